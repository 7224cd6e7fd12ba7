"""The oracle that may look at test labels, in small worlds."""

from functools import partial

import numpy as np
import pytest
from worlds import world

from lit_react.acquisition.strategies import STRATEGIES
from lit_react.acquisition.strategies.naming import Rule
from lit_react.core.errors import UserError
from lit_react.simulation.environment import begin
from lit_react.simulation.oracle import accuracy, best_of_strategies, measured_run

K = 6


def rule(name):
    return lambda now, generator: STRATEGIES[name](now.signals, now.task.query_size, generator)


def test_no_other_batch_that_was_proposed_is_better_on_the_test_rows():
    now = begin(world(pool=120, classes=6), np.random.default_rng(0))
    reached = [
        accuracy(now.buy(best_of_strategies(now, np.random.default_rng(1), batches=batches)), now.task.test)
        for batches in range(1, 20)
    ]
    assert reached == sorted(reached), "those of fewer are among those of more"
    assert reached[-1] > reached[0]


def test_it_buys_unlabeled_rows_once_and_what_is_left_of_a_small_pool():
    now = begin(world(pool=20, initial_size=10), np.random.default_rng(0))
    for left in (10, 4):
        rows = best_of_strategies(now, np.random.default_rng(2), batches=9)
        assert len(np.unique(rows)) == min(K, left)
        assert not np.isin(rows, now.labeled).any()
        now = now.buy(rows)
    assert len(now.labeled) == 20


def test_it_gains_more_than_random_on_rows_that_it_did_not_see():
    task = world(pool=120, classes=8, test=400, spread=1.5)
    choose = {name: rule(name) for name in ("random", "margin")}
    choose["oracle"] = partial(best_of_strategies, batches=30)
    runs = {name: measured_run(task, chosen, rounds=3, seed=0) for name, chosen in choose.items()}
    assert len({(run["seen"][0], run["unseen"][0]) for run in runs.values()}) == 1, "the same start"
    for half in ("seen", "unseen"):
        assert len(runs["oracle"][half]) == 4
        assert np.mean(runs["oracle"][half]) > np.mean(runs["random"][half])


def test_halves_of_the_test_rows_are_judged_apart():
    task = world(pool=80)
    found = measured_run(task, rule("random"), rounds=1, seed=3)
    start = begin(task, np.random.default_rng([3, 1]))
    by_hand = [accuracy(start, task.test.take(np.arange(first, 200, 2))) for first in (0, 1)]
    assert [found["seen"][0], found["unseen"][0]] == pytest.approx(by_hand)


def test_a_run_is_told_that_it_may_not_choose_by_test_labels():
    with pytest.raises(UserError, match=r"proposals.strategies: BoSS chooses by test labels.*reachable_gain.py"):
        Rule.of("BoSS", "acquisition.proposals.strategies")
