"""The network learns what compared batches brought."""

from dataclasses import replace

import pytest
import torch

from lit_react.acquisition.features import SAMPLE_FEATURES, STATE_FEATURES
from lit_react.simulation.comparison import Comparisons
from lit_react.simulation.training import Training, expected_gain, lessons, train

STATE, SAMPLE = len(STATE_FEATURES), len(SAMPLE_FEATURES)
PLAN = Training(members=2, hidden=16, epochs=12, learning_rate=5e-3)


pytestmark = pytest.mark.usefixtures("one_thread")


def episode(seed, worth=lambda states, options: options[..., 3].mean(-1), noise=0.0, k=4, t=5, a=4, horizon=2):
    """Random states and options; the first reward is what `worth` says, in points, those after it are noise."""
    g = torch.Generator().manual_seed(seed)
    states, options = torch.rand(t, STATE, generator=g), torch.rand(t, a, k, SAMPLE, generator=g)
    rewards = noise * torch.randn(t, a, horizon, generator=g)
    rewards[..., 0] += worth(states, options)
    return "toy", Comparisons(states, options, rewards, torch.zeros(t, dtype=torch.int64))


def episodes(count, first=0, **options):
    return [episode(seed, **options) for seed in range(first, first + count)]


def ranked_right(network, found):
    """Share of the pairs of options of a state that the network's mean puts into the order of their returns."""
    data = lessons(found, PLAN.gamma)
    with torch.no_grad():
        values = network(data.states, data.options, data.mask).mean(0)
    i, j = torch.triu_indices(values.shape[1], values.shape[1], 1)
    predicted, true = values[:, i] - values[:, j], data.returns[:, i] - data.returns[:, j]
    return float((predicted.sign() == true.sign()).float().mean())


# ---- lessons


def test_lessons_by_hand():
    (_, short), (_, long) = episode(0, k=2, t=1, a=2), episode(1, k=3, t=2, a=2)
    short = replace(short, rewards=torch.tensor([[[1.0, 2.0], [3.0, 0.0]]]))
    long = replace(long, rewards=torch.tensor([[[0.0, 0.0], [0.0, 8.0]], [[1.0, 0.0], [1.0, 0.0]]]))
    data = lessons([("one", short), ("other", long)], gamma=0.5)
    assert data.returns.tolist() == [[2.0, 3.0], [0.0, 4.0], [1.0, 1.0]]
    # mean squared distance from the state's mean: 0.25 in one; 4 and 0, so 2, in the other
    assert data.scales.tolist() == pytest.approx([0.5, 2**0.5, 2**0.5])
    assert data.episodes.tolist() == [0, 1, 1]
    assert data.mask.tolist() == [[[True, True, False]] * 2, *[[[True] * 3] * 2] * 2]
    assert torch.equal(data.options[0, :, :2], short.options[0])
    assert (data.options[0, :, 2] == 0).all()
    assert torch.equal(data.options[1:], long.options)
    assert torch.equal(data.states, torch.cat([short.states, long.states]))


def test_differences_weigh_by_the_spread_of_their_source_not_of_their_episode():
    flat, steep = episode(0)[1], episode(1)[1]
    flat, steep = replace(flat, rewards=0 * flat.rewards), replace(steep, rewards=9 * steep.rewards)
    apart = lessons([("a", flat), ("b", steep)], 0.7).scales
    assert apart[0] == pytest.approx(0.1), "what is all alike is not blown up to infinity"
    assert apart[-1] > 0.2
    together = lessons([("a", flat), ("a", steep)], 0.7).scales
    assert together.unique().numel() == 1
    assert together[0] == pytest.approx(float(apart[-1]) / 2**0.5)


# ---- training


def test_a_planted_difference_is_learned_and_holds_for_unseen_episodes():
    network = train(lessons(episodes(60, noise=0.02), PLAN.gamma), PLAN, seed=0)
    assert ranked_right(network, episodes(20, first=1000)) > 0.9
    assert ranked_right(network, [(n, replace(c, rewards=-c.rewards)) for n, c in episodes(20, first=1000)]) < 0.1
    assert not network.training


def test_a_difference_that_depends_on_the_state_is_learned():
    """Where the first state feature is large, the sample feature counts; where it is small, it harms."""

    def worth(states, options):
        return 4 * (states[:, :1] - 0.5) * options[..., 3].mean(-1)

    plan = replace(PLAN, epochs=40)
    network = train(lessons(episodes(100, worth=worth), plan.gamma), plan, seed=0)
    found = episodes(20, first=1000, worth=worth)
    far = [(n, Comparisons(*(part[(c.states[:, 0] - 0.5).abs() > 0.2] for part in vars(c).values()))) for n, c in found]
    assert ranked_right(network, far) > 0.9


def test_nothing_is_found_where_nothing_is():
    noise = dict(worth=lambda states, options: torch.zeros(options.shape[:2]), noise=1.0)
    network = train(lessons(episodes(60, **noise), PLAN.gamma), PLAN, seed=0)
    assert 0.4 < ranked_right(network, episodes(40, first=1000, **noise)) < 0.6


def test_values_are_differences_in_points():
    """Returns spread over some points: so do the values of held-out options, a little less."""
    worth = lambda states, options: 10 * options[..., 3].mean(-1)  # noqa: E731
    network = train(lessons(episodes(60, worth=worth), PLAN.gamma), replace(PLAN, epochs=30), seed=0)
    data = lessons(episodes(20, first=1000, worth=worth), PLAN.gamma)
    with torch.no_grad():
        values = network(data.states, data.options, data.mask).mean(0)
    centred = [x - x.mean(1, keepdim=True) for x in (values, data.returns)]
    slope = (centred[0] * centred[1]).sum() / centred[1].square().sum()
    assert 0.85 < slope < 1.1


def test_the_mean_value_of_a_state_is_learned_by_its_weight():
    """`level` 0: differences only."""
    worth = lambda states, options: 5 + options[..., 3].mean(-1)  # noqa: E731
    data = lessons(episodes(40, worth=worth), PLAN.gamma)
    means = {}
    for level in (0.0, 1.0):
        network = train(data, replace(PLAN, level=level, epochs=20), seed=0)
        with torch.no_grad():
            means[level] = float(network(data.states, data.options, data.mask).mean())
    assert means[1.0] == pytest.approx(5.5, abs=0.5)
    assert abs(means[0.0]) < 2


def test_the_seed_alone_decides_the_weights():
    data = lessons(episodes(12), PLAN.gamma)
    plan = replace(PLAN, epochs=2)
    one, two, other = (train(data, plan, seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert not torch.equal(one["weights.0"], other["weights.0"])


def test_inputs_are_standardised_by_the_samples_that_exist():
    data = lessons([*episodes(6, k=2), *episodes(6, first=6, k=5)], PLAN.gamma)
    network = train(data, replace(PLAN, epochs=1), seed=0)
    states = data.states[:, None, None].expand(*data.mask.shape, -1)[data.mask]
    every = torch.cat([states, data.options[data.mask]], dim=-1)
    assert torch.allclose(network.mean, every.mean(0), atol=1e-5)
    assert torch.allclose(network.scale, every.std(0), atol=1e-5)


def test_members_disagree_more_where_there_is_less_evidence():
    """After as many steps: what has hardly been trained disagrees about nothing, see `QNetwork`."""
    doubt = {}
    for count, epochs in ((4, 80), (80, 12)):
        plan = replace(PLAN, members=6, epochs=epochs)
        network = train(lessons(episodes(count, noise=0.3), plan.gamma), plan, seed=0)
        data = lessons(episodes(20, first=1000), plan.gamma)
        with torch.no_grad():
            values = network(data.states, data.options, data.mask)
        doubt[count] = float((values - values.mean(-1, keepdim=True)).std(0).mean())
    assert doubt[4] > 1.5 * doubt[80] > 0


def test_members_draw_whole_episodes():
    """States of one episode are no independent witnesses: of the only one, some members see nothing at all."""
    data = lessons([episode(0, t=30)], PLAN.gamma)
    network = train(data, replace(PLAN, members=12, epochs=2), seed=0)
    with torch.no_grad():
        values = network(data.states, data.options, data.mask)
    ignorant = (values == 0).flatten(1).all(1)
    assert 0 < ignorant.sum() < 12


def test_each_epoch_is_told_and_the_loss_falls():
    told = []
    train(lessons(episodes(30), PLAN.gamma), PLAN, 0, lambda epoch, loss: told.append((epoch, loss)))
    assert [epoch for epoch, _ in told] == list(range(PLAN.epochs))
    assert told[-1][1] < told[0][1] / 2


# ---- the guard's yardstick


def test_the_expected_gain_recovers_a_linear_function_of_the_state():
    g = torch.Generator().manual_seed(0)
    weights = torch.randn(STATE, generator=g)
    found = episodes(200, worth=lambda states, options: (states @ weights + 3)[:, None] * torch.tensor([1.0, 0, 0, 9]))
    learned = expected_gain(found, default=0)
    assert learned.dtype == torch.float32
    assert torch.allclose(learned[:-1], weights, atol=0.02)
    assert float(learned[-1]) == pytest.approx(3, abs=0.05)
    assert torch.allclose(expected_gain(found, default=3), 9 * learned, atol=1e-3), (
        "it is that of the default rule's option"
    )


def test_the_expected_gain_is_that_of_the_next_round_alone():
    found = episodes(50, worth=lambda states, options: torch.full(options.shape[:2], 2.0))
    later = [(name, replace(c, rewards=c.rewards + torch.tensor([0.0, 7.0]))) for name, c in found]
    assert torch.equal(expected_gain(found, 0), expected_gain(later, 0))


def test_a_state_feature_that_never_changes_gets_no_weight_to_speak_of():
    found = episodes(50, noise=1.0)
    for _, c in found:
        c.states[:, 4] = 0.25
    learned = expected_gain(found, 0)
    assert learned.isfinite().all()
    assert abs(float(learned[4])) < 1e-2
