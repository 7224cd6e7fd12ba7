"""Options are compared from the same state, on the same way on, and their rewards are what they brought."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import world

from lit_react.acquisition.agents.double_dqn import POINTS
from lit_react.acquisition.features import SAMPLE_FEATURES, STATE_FEATURES
from lit_react.acquisition.proposals import Batches
from lit_react.simulation.comparison import Episodes, compare
from lit_react.simulation.environment import begin

RULES = ("facility_location", "margin", "random", "facility_location(exponent=3)")
POLICY = Batches(RULES)
PLAN = Episodes(rounds=4, compared=0.5, horizon=2)


def compared(task=None, policy=POLICY, seed=0, plan=PLAN):
    return compare(task or world(pool=200), policy, np.random.default_rng(seed), plan)


def state_feature(found, name):
    return found.states[:, STATE_FEATURES.index(name)]


def sample_feature(found, name):
    return found.options[..., SAMPLE_FEATURES.index(name)]


def test_shapes_and_types_are_those_of_the_plan():
    found = compared(plan=replace(PLAN, compared=1.0, horizon=3))
    assert found.states.shape == (4, len(STATE_FEATURES))
    assert found.options.shape == (4, 4, 6, len(SAMPLE_FEATURES))
    assert found.rewards.shape == (4, 4, 3)
    assert found.taken.shape == (4,)
    assert found.taken.dtype == torch.int64
    assert {found.states.dtype, found.options.dtype, found.rewards.dtype} == {torch.float32}
    assert all(tensor.isfinite().all() for tensor in vars(found).values())


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1000))
def test_options_that_are_the_same_batch_bring_the_same(seed):
    found = compared(seed=seed)
    assert torch.equal(found.options[:, 0], found.options[:, 3])
    assert torch.equal(found.rewards[:, 0], found.rewards[:, 3])
    assert not torch.equal(found.rewards[:, 0], found.rewards[:, 2]), "another batch brings something else"


def replay(task, seed, horizon):
    """Each option of the first state bought by hand, and the default rule's batches after it; values of all states."""
    generator = np.random.default_rng(seed)
    start = begin(task, generator)
    generator.integers(1), generator.random()
    start.features(1, generator)
    proposals = POLICY.propose(start.signals, task.query_size, generator)
    courses = []
    for proposal in proposals:
        state = start.buy(proposal.rows)
        values = [start.value, state.value]
        for _ in range(horizon - 1):
            state = state.buy(POLICY.default_batch(state.signals, task.query_size, generator))
            values.append(state.value)
        courses.append(values)
    return np.array(courses)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("horizon", [1, 3])
def test_rewards_are_the_gains_of_the_value_round_by_round(seed, horizon):
    task = world(pool=200)
    found = compared(task, seed=seed, plan=Episodes(rounds=1, compared=1.0, horizon=horizon))
    values = replay(task, seed, horizon)
    assert np.allclose(found.rewards[0].numpy(), POINTS * np.diff(values, axis=1), atol=1e-3)
    telescoped = found.rewards[0].sum(1).numpy()
    assert np.allclose(telescoped, POINTS * (values[:, -1] - values[:, 0]), atol=1e-3)
    assert np.ptp(values[:, 1]) > 0


def test_the_way_on_is_through_one_of_the_options():
    """With one option alone an episode is a run of the rule, so the first gains add up to that run's value."""
    task, plan = world(pool=200), Episodes(rounds=5, compared=1.0, horizon=1)
    found = compared(task, Batches(("facility_location",)), plan=plan)
    now = begin(task, np.random.default_rng(0))
    values = [now.value]
    for _ in range(5):
        now = now.buy(Batches(("facility_location",)).default_batch(now.signals, 6, np.random.default_rng(0)))
        values.append(now.value)
    assert np.allclose(found.rewards[:, 0, 0].numpy(), POINTS * np.diff(values), atol=1e-3)
    assert state_feature(found, "budget spent (share)").tolist() == pytest.approx([0, 0.2, 0.4, 0.6, 0.8])


def test_the_way_on_leads_through_the_default_batch_through_the_best_and_through_others():
    """The second state's metric tells which option was taken in the first."""
    task, plan = world(200, 8), Episodes(rounds=2, compared=1.0, horizon=1)
    policy, taken = Batches(("random", "margin", "facility_location"), default_rule="random"), []
    for seed in range(50):
        generator = np.random.default_rng(seed)
        start = begin(task, generator)
        generator.integers(2), generator.random()
        start.features(2, generator)
        after = [start.buy(p.rows) for p in policy.propose(start.signals, 6, generator)]
        metrics = np.array([state.history.values[-1] for state in after], dtype=np.float32)
        seen = np.isclose(metrics, float(state_feature(compared(task, policy, seed, plan), "metric")[1]))
        best = np.argmax([state.value for state in after])
        if seen.sum() == 1:
            taken.append((int(seen.argmax()), int(best)))
    options, best = np.array([pair for pair in taken if pair[1] != 0]).T
    assert len(options) > 30, "a default rule that draws at random is seldom the best"
    assert 0.25 < np.mean(options == 0) < 0.65, "a third, and a third of a third by chance"
    assert 0.25 < np.mean(options == best) < 0.65
    assert np.any((options != 0) & (options != best))


def test_states_that_are_not_compared_are_passed_by_with_the_default_rule():
    task, spent = world(pool=200), set()
    for seed in range(12):
        found = compared(task, seed=seed, plan=replace(PLAN, compared=0.0))
        assert len(found.states) == 1, "one state is compared in any case"
        spent.add(round(4 * float(state_feature(found, "budget spent (share)")[0])))
    assert spent == {0, 1, 2, 3}, "and it may be any"


def test_about_the_planned_share_of_the_states_is_compared():
    counts = [len(compared(seed=seed, plan=Episodes(rounds=6, compared=0.5, horizon=1)).states) for seed in range(20)]
    assert 3.0 < np.mean(counts) < 4.1, "half of 6 and, where that one was left out, the last chance"


def test_an_option_is_described_as_the_batch_that_is_bought():
    task = world(pool=200)
    found = compared(task, plan=Episodes(rounds=1, compared=1.0, horizon=1))
    start = begin(task, np.random.default_rng(0))
    rows = Batches(("margin",), "margin").default_batch(start.signals, 6, np.random.default_rng(0))
    expected = start.features(1, np.random.default_rng(0)).batch(rows)
    assert np.allclose(found.options[0, 1].numpy(), expected, atol=1e-5)
    assert (sample_feature(found, "relative cost") == 1).all()


@pytest.mark.parametrize(("pool", "simulated"), [(8 + 7 * 6 - 1, False), (8 + 7 * 6, True)])
def test_a_pool_too_small_for_all_rounds_and_the_way_on_is_left_out(pool, simulated):
    assert (compared(world(pool=pool)) is not None) == simulated


def test_the_seed_alone_decides_an_episode():
    one, two, other = compared(seed=3), compared(seed=3), compared(seed=4)
    for name in vars(one):
        assert torch.equal(getattr(one, name), getattr(two, name))
    assert one.states.shape != other.states.shape or not torch.equal(one.states, other.states)


def test_informed_batches_bring_more_than_random_ones_in_the_mean():
    """Over several tasks; where this fails the simulation teaches nonsense."""
    plan = Episodes(rounds=4, compared=1.0, horizon=1)
    gains = torch.cat([compared(world(300, 8, seed=s), seed=s, plan=plan).rewards[..., 0] for s in range(8)])
    best = gains[:, :2].mean()
    assert best > gains[:, 2].mean()
