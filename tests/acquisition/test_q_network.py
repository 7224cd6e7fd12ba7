import pytest
import torch
from torch.nn import functional as F

from lit_react.acquisition.q_network import QNetwork

pytestmark = pytest.mark.usefixtures("one_thread")


def network(seed=0, members=3, trained=True):
    generator = torch.Generator().manual_seed(seed)
    net = QNetwork(4, 5, members=members, hidden=8, generator=generator)
    if trained:
        for parameter in net.parameters():
            parameter.data.add_(torch.randn(parameter.shape, generator=generator) * 0.3)
    return net


def inputs(b=2, a=3, k=4, seed=1):
    generator = torch.Generator().manual_seed(seed)
    state, samples = torch.randn(b, 4, generator=generator), torch.randn(b, a, k, 5, generator=generator)
    return state, samples, torch.ones(b, a, k, dtype=torch.bool)


def test_untrained_network_values_all_batches_exactly_alike():
    values = network(trained=False)(*inputs())
    assert values.shape == (3, 2, 3)
    assert torch.all(values == 0)


def test_value_of_a_batch_is_the_mean_of_its_samples_values():
    net = network()
    state, samples, mask = inputs()
    singles = net(state, samples.flatten(1, 2)[:, :, None], mask.flatten(1)[..., None])
    assert torch.allclose(net(state, samples, mask), singles.view(3, 2, 3, 4).mean(-1), atol=1e-6)


def test_members_are_plain_networks_side_by_side():
    net = network()
    state, samples, mask = inputs(b=1, a=1, k=1)
    x = torch.cat([state[0], samples[0, 0, 0]])
    for member in range(3):
        h = torch.relu(x @ net.weights[0][member] + net.biases[0][member, 0])
        h = torch.relu(h @ net.weights[1][member] + net.biases[1][member, 0])
        value = h @ net.weights[2][member] + net.biases[2][member, 0]
        assert torch.allclose(net(state, samples, mask)[member, 0, 0], value[0], atol=1e-6)


def test_order_of_samples_and_of_batches_does_not_matter():
    net = network()
    state, samples, mask = inputs()
    mask[:, 1, 2:] = False
    values = net(state, samples, mask)
    order = torch.tensor([3, 0, 2, 1])
    assert torch.allclose(net(state, samples[:, :, order], mask[:, :, order]), values, atol=1e-6)
    order = torch.tensor([2, 0, 1])
    assert torch.allclose(net(state, samples[:, order], mask[:, order]), values[:, :, order], atol=1e-6)


def test_masked_samples_are_ignored():
    net = network()
    state, samples, mask = inputs()
    mask[:, :, 2:] = False
    values = net(state, samples, mask)
    assert torch.allclose(values, net(state, samples[:, :, :2], mask[:, :, :2]), atol=1e-6)
    samples[:, :, 2:] = 1e6
    assert torch.allclose(values, net(state, samples, mask), atol=1e-6)


def test_a_batch_without_samples_is_worth_nothing():
    state, samples, mask = inputs()
    mask[0, 1] = False
    assert torch.all(network()(state, samples, mask)[:, 0, 1] == 0)


@pytest.mark.parametrize(("a", "k"), [(0, 4), (1, 0)])
def test_nothing_to_choose_from_gives_values_of_that_shape(a, k):
    values = network()(*inputs(a=a, k=k))
    assert values.shape == (3, 2, a)
    assert torch.all(values == 0)


def test_inputs_are_standardised_and_cut_where_training_saw_nothing():
    net, (state, samples, mask) = network(), inputs(b=1, a=1, k=1)
    plain = network()
    seen = torch.randn(200, 9, generator=torch.Generator().manual_seed(2)) * 3 + 1
    net.standardise(seen)
    x = (torch.cat([state, samples[0, 0]], dim=1) - seen.mean(0)) / seen.std(0)
    expected = plain(x[:, :4], x[:, None, None, 4:], mask)
    assert torch.allclose(net(state, samples, mask), expected, atol=1e-5)
    far = seen.mean(0) + 50 * seen.std(0)
    at_the_edge = seen.mean(0) + 4 * seen.std(0)
    values = [net(x[None, :4], x[None, None, None, 4:], mask) for x in (far, at_the_edge)]
    assert torch.allclose(*values, atol=1e-4)


def test_an_input_that_never_varied_in_training_is_not_listened_to():
    net, (state, samples, mask) = network(), inputs()
    seen = torch.randn(200, 9, generator=torch.Generator().manual_seed(2))
    seen[:, 6] = 0.5
    net.standardise(seen)
    before = net(state, samples, mask)
    samples[..., 2] += 7  # input 6 = 4 state features + 2
    assert torch.equal(net(state, samples, mask), before)
    samples[..., 3] += 7
    assert not torch.allclose(net(state, samples, mask), before)
    assert net(state, samples, mask).isfinite().all()


def test_weights_come_from_the_generator():
    first, same, other = network(0), network(0), network(1)
    assert all(torch.equal(p, q) for p, q in zip(first.parameters(), same.parameters(), strict=True))
    assert not torch.equal(first.weights[0], other.weights[0])
    assert not torch.equal(first.weights[0][0], first.weights[0][1]), "members differ"


def test_members_trained_on_other_samples_disagree_where_there_was_no_data():
    net = network(trained=False)
    state, samples, mask = inputs(b=16, a=1, k=1)
    target = samples[:, 0, 0, 0].expand(3, -1)
    seen = torch.rand(3, 16, generator=torch.Generator().manual_seed(0)) < 0.7
    optimizer = torch.optim.Adam(net.parameters(), 1e-2)
    for _ in range(80):
        optimizer.zero_grad()
        (F.mse_loss(net(state, samples, mask)[..., 0], target, reduction="none") * seen).mean().backward()
        optimizer.step()
    far_state, far, far_mask = inputs(b=16, a=1, k=1, seed=2)
    doubt = net(state, samples, mask).std(0).mean()
    assert doubt > 0
    assert net(far_state, 3 * far, far_mask).std(0).mean() > 2 * doubt
