"""Whole simulated runs: the steps of the callback, without a Trainer."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from tiny import linear_policy, random_policy
from worlds import embedded, row_ids, world

from lit_react.acquisition.agents import ALBL
from lit_react.acquisition.agents.double_dqn import POINTS, DoubleDQN
from lit_react.acquisition.proposals import Batches
from lit_react.acquisition.strategies import STRATEGIES
from lit_react.simulation.environment import begin
from lit_react.simulation.evaluation import SimulatedRun, simulate_run, standard_task

RULES = ("facility_location", "margin", "random")


@pytest.fixture
def eager(tmp_path):
    """A policy that likes uncertain rows, so that it leaves the default rule."""
    linear_policy("1 - margin", slope=2.0).save(tmp_path)
    return str(tmp_path)


@pytest.mark.parametrize("rule", ["facility_location", "margin"])
def test_a_run_of_one_rule_is_that_rule_bought_round_by_round(rule):
    task = world(pool=150)
    run = simulate_run(task, Batches([rule]), DoubleDQN(None), rounds=4, seed=3)
    now = begin(task, np.random.default_rng([3, 1]))
    accuracies = [now.accuracy]
    for _ in range(4):
        now = now.buy(STRATEGIES[rule](now.signals, task.query_size, np.random.default_rng(0)))
        accuracies.append(now.accuracy)
    assert run.accuracies == pytest.approx(accuracies)
    assert run.chosen == [rule] * 4
    assert run.aulc == pytest.approx(np.mean(accuracies))


def test_runs_of_one_seed_start_from_the_same_labels_whatever_the_policy(eager):
    task = world(pool=150, classes=8)
    runs = [simulate_run(task, Batches([rule]), DoubleDQN(None), rounds=2, seed=5) for rule in RULES]
    runs.append(simulate_run(task, Batches(RULES), DoubleDQN(eager), rounds=2, seed=5))
    assert len({run.accuracies[0] for run in runs}) == 1
    assert len({tuple(run.accuracies) for run in runs}) > 1
    other = simulate_run(task, Batches(["margin"]), DoubleDQN(None), rounds=2, seed=6)
    assert other.accuracies[0] != runs[0].accuracies[0]


def test_the_same_seed_gives_the_same_run(eager):
    task = world(pool=150)
    one, two = (simulate_run(task, Batches(RULES), DoubleDQN(eager), rounds=4, seed=1) for _ in range(2))
    assert vars(one) == vars(two)


def test_a_policy_that_prefers_uncertain_rows_leaves_the_default_rule(eager):
    run = simulate_run(world(pool=150), Batches(RULES), DoubleDQN(eager), rounds=4, seed=0)
    assert run.chosen[0] == "margin"


def test_the_agent_sees_each_purchase_but_the_last_with_its_reward(tmp_path):
    random_policy(spread=4.0).save(tmp_path)
    task, agent = world(pool=150), DoubleDQN(str(tmp_path), doubt=-10.0)
    run = simulate_run(task, Batches(RULES), agent, rounds=4, seed=0)
    seen = agent.replay_buffer.transitions
    assert len(seen) == 3
    left = [name != "facility_location" for name in run.chosen[:3]]
    assert (len(agent.guard.left), len(agent.guard.kept)) == (sum(left), 3 - sum(left))
    assert sum(left) > 0
    # the reward is the gain of the metric, of 100 of the 200 test rows, less 0.0001 per label
    steps = [t.next_state[8] - t.state[8] - 6e-4 for t in seen]  # "metric" is the ninth state feature
    assert [t.reward for t in seen] == pytest.approx([POINTS * float(step) for step in steps], abs=1e-3)
    assert all(torch.equal(before.next_state, after.state) for before, after in pairwise(seen))


def test_a_bandit_learns_its_arms():
    agent = ALBL(horizon=10)
    run = simulate_run(world(pool=150), Batches(["margin", "random"]), agent, rounds=6, seed=0)
    assert set(run.chosen) == {"margin", "random"}
    assert agent.log_weights.max() > 0


def test_a_pool_smaller_than_the_rounds_want_is_bought_whole():
    task = world(pool=20, initial_size=8, query_size=9)
    run = simulate_run(task, Batches(["margin"]), DoubleDQN(None), rounds=2, seed=0)
    assert len(run.accuracies) == 3


def test_a_standard_task_is_the_sets_own_and_drawn_by_the_seed_alone():
    parts = embedded(90, 3), embedded(40, 4, seed=1)
    one, two, other = (standard_task("toy", parts, seed, pool_size=60) for seed in (0, 0, 1))
    assert len(one.pool) == 60
    assert np.array_equal(one.pool.embeddings, two.pool.embeddings)
    assert not np.array_equal(one.pool.embeddings, other.pool.embeddings)
    at = row_ids(one.pool, parts[0])
    assert len(set(at)) == 60
    assert np.array_equal(one.pool.labels, parts[0].labels[at])
    assert np.array_equal(one.test.embeddings, two.test.embeddings)
    assert not np.array_equal(one.test.embeddings, other.test.embeddings)
    at = row_ids(one.test, parts[1])
    assert sorted(at) == list(range(40)), "in another order, for its first rows stand for the validation split"
    assert np.array_equal(one.test.labels, parts[1].labels[at])
    assert (one.num_classes, one.initial_size, one.query_size, one.sources) == (4, 20, 20, ("toy",))


def test_the_area_is_the_mean_over_all_rounds_and_the_start():
    assert SimulatedRun([0.2, 0.4, 0.9], ["margin", "margin"]).aulc == pytest.approx(0.5)
