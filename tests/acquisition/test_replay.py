import io
from types import SimpleNamespace

import torch

from lit_react.acquisition.agents.replay import ReplayBuffer, Transition


def transition(number, k=2, options=(3, 2), takes=1):
    a, width = options
    mask = torch.ones(a, width, dtype=torch.bool)
    mask[-1:, 1:] = False
    return Transition(
        state=torch.full((4,), float(number)),
        action=torch.full((k, 5), float(number)),
        reward=float(number),
        discount=0.9,
        next_state=torch.full((4,), float(number + 1)),
        next_options=torch.full((a, width, 5), float(number)),
        next_mask=mask,
        next_default=torch.arange(a) == 0,
        next_takes=takes,
        members=torch.tensor([True, False]),
    )


def drawn(buffer, size=200, seed=0):
    return SimpleNamespace(**buffer.sample(size, torch.Generator().manual_seed(seed)))


def test_transitions_of_any_shape_are_padded_and_masked():
    buffer = ReplayBuffer()
    shapes = {1: (1, (4, 3)), 2: (3, (2, 1)), 3: (2, (1, 0))}
    for number, (k, options) in shapes.items():
        buffer.add(transition(number, k, options, takes=number))
    batch = drawn(buffer)
    assert batch.action.shape == (200, 3, 5)
    assert batch.next_options.shape == (200, 4, 3, 5)
    for i, number in enumerate(batch.reward.int().tolist()):
        k, options = shapes[number]
        given = transition(number, k, options)
        assert batch.action_mask[i].tolist() == [True] * k + [False] * (3 - k)
        assert torch.all(batch.action[i, :k] == number)
        assert torch.all(batch.action[i, k:] == 0)
        a, width = options
        assert torch.equal(batch.next_mask[i, :a, :width], given.next_mask)
        assert batch.next_mask[i].sum() == given.next_mask.sum(), "nothing beside the given options exists"
        assert torch.equal(batch.next_options[i, :a, :width], given.next_options)
        assert batch.next_default[i].tolist() == [True] + [False] * 3
        assert batch.next_takes[i] == number
        assert torch.all(batch.state[i] == number)
        assert torch.all(batch.next_state[i] == number + 1)


def test_sampling_is_decided_by_the_generator():
    buffer = ReplayBuffer()
    for number in range(10):
        buffer.add(transition(number))
    assert torch.equal(drawn(buffer, 20).reward, drawn(buffer, 20).reward)
    assert not torch.equal(drawn(buffer, 20).reward, drawn(buffer, 20, seed=1).reward)


def test_a_saved_buffer_gives_the_same_batches():
    buffer, loaded = ReplayBuffer(), ReplayBuffer()
    for number in range(4):
        buffer.add(transition(number, k=number + 1))
    loaded.add(transition(99))
    file = io.BytesIO()
    torch.save(buffer.state_dict(), file)
    file.seek(0)
    loaded.load_state_dict(torch.load(file, weights_only=True))
    for one, other in zip(vars(drawn(buffer)).values(), vars(drawn(loaded)).values(), strict=True):
        assert torch.equal(one, other)
