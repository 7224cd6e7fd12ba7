import tempfile
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import make_signals

from lit_react.acquisition import callback as acquisition
from lit_react.acquisition.agents import ALBL, TAILOR, DoubleDQN, OneRule, Schedule
from lit_react.acquisition.callback import AcquisitionCallback
from lit_react.acquisition.knapsack import ByRank, ByValuePerCost, QueryLimits, knapsack
from lit_react.acquisition.proposals import Batches, Samples
from lit_react.acquisition.signals import PoolSignals
from lit_react.acquisition.strategies import STRATEGIES
from lit_react.annotation.ledger import Ledger, Query
from lit_react.core.errors import UserError
from lit_react.data.pool import Pool
from lit_react.run.books import LedgerBooks

ROWS = 30
INITIAL = 4
SELECTIONS = [ByRank(), ByValuePerCost()]
WAYS = {
    "one strategy": lambda: (Batches(["cluster_margin"]), None),
    "one rule": lambda: (Batches(["cluster_margin", "margin"]), OneRule()),
    "schedule": lambda: (Batches(["typiclust", "margin"]), Schedule("typiclust", "margin", until_labels_per_class=4)),
    "batches": lambda: (Batches(["facility_location", "margin", "margin+badge"]), DoubleDQN()),
    "samples": lambda: (Samples(candidates=20), DoubleDQN()),
    "ALBL": lambda: (Batches(["margin", "random"]), ALBL()),
    "TAILOR": lambda: (Batches(["margin", "random"]), TAILOR()),
}
prices = st.lists(st.floats(0.01, 50), min_size=1, max_size=30)


# ---- a set within a limit


@given(costs=prices, limit=st.floats(0, 200), data=st.data(), selection=st.sampled_from(SELECTIONS))
def test_a_selection_costs_no_more_than_the_limit_and_is_full(costs, limit, data, selection):
    rows = np.asarray(data.draw(st.permutations(range(len(costs)))), dtype=np.int64)
    costs = np.asarray(costs)
    kept = selection(rows, costs, limit)
    assert kept.dtype == np.int64
    assert costs[kept].sum() <= limit * (1 + 1e-6)
    positions = [rows.tolist().index(row) for row in kept]
    assert positions == sorted(positions), "in the rows' order"
    left = limit - costs[kept].sum()
    assert all(costs[row] > left * (1 - 1e-6) - 1e-9 for row in rows if row not in kept), "what fits is bought"


@pytest.mark.parametrize("selection", SELECTIONS)
def test_where_all_rows_fit_all_are_taken(selection):
    assert selection(np.array([3, 0, 2]), np.array([5.0, 9.0, 1.0, 4.0]), 10).tolist() == [3, 0, 2]
    assert len(selection(np.arange(10), np.full(10, 0.1), sum([0.1] * 10))) == 10, "cents are inexact"
    assert selection(np.array([], dtype=np.int64), np.array([5.0]), 10).tolist() == []


def test_by_rank_a_row_too_dear_does_not_keep_later_ones_out():
    assert ByRank()(np.array([0, 1, 2, 3]), np.array([3.0, 9.0, 2.0, 1.0]), 5).tolist() == [0, 2]


def test_by_value_per_cost_a_dear_row_gives_way_to_cheap_ones_that_are_worth_more():
    costs = np.array([9.0, 3.0, 3.0, 3.0])
    assert ByRank()(np.arange(4), costs, 10).tolist() == [0]
    assert ByValuePerCost()(np.arange(4), costs, 10).tolist() == [1, 2, 3], "3 + 2 + 1 > 4"
    assert ByValuePerCost()(np.arange(4), np.ones(4), 2).tolist() == [0, 1], "equal costs: the rule's order"


def test_one_dear_item_that_is_worth_more_than_all_cheap_ones_is_taken():
    values, costs = np.array([1.0, 100.0]), np.array([0.1, 11.0])
    assert knapsack(values, costs, 11).tolist() == [1]
    assert knapsack(np.array([1.0, 100.0, 0.5]), np.array([0.1, 10.9, 0.1]), 11).tolist() == [0, 1], "and what fits"


@settings(deadline=None)
@given(
    items=st.lists(st.tuples(st.floats(0, 100), st.floats(0.01, 20)), min_size=1, max_size=9),
    limit=st.floats(0.01, 60),
)
def test_a_knapsack_is_worth_half_of_the_best_at_least(items, limit):
    values, costs = np.array(items).T
    sets = [list(chosen) for size in range(len(items) + 1) for chosen in combinations(range(len(items)), size)]
    best = max(values[chosen].sum() for chosen in sets if costs[chosen].sum() <= limit)
    taken = knapsack(values, costs, limit)
    assert values[taken].sum() >= best / 2 * (1 - 1e-9)
    assert costs[taken].sum() <= limit * (1 + 1e-6)


# ---- how much a query may hold


@given(costs=prices, limit=st.floats(0.01, 200), size=st.none() | st.integers(1, 40), data=st.data())
def test_rules_are_asked_for_enough_to_fill_the_limit_in_any_order(costs, limit, size, data):
    costs = np.asarray(costs)
    limits = QueryLimits(size, limit)
    limit = limits.cost_limit(costs, left=1000)
    payable = np.flatnonzero(costs <= limit * (1 + 1e-9))
    k = limits.most_samples(costs[payable], limit)
    assert 1 <= k <= min(len(payable), size or ROWS)
    proposed = np.asarray(data.draw(st.permutations(payable.tolist())), dtype=np.int64)[:k]
    others = np.setdiff1d(payable, proposed)
    assert k == size or len(others) == 0 or costs[proposed].sum() + costs[others].min() > limit


def test_a_query_costs_more_than_its_limit_only_where_every_row_does():
    limits = QueryLimits(None, 5)
    assert limits.cost_limit(np.array([9.0, 3.0]), left=100) == 5
    assert limits.cost_limit(np.array([9.0, 7.0]), left=100) == 7
    assert limits.cost_limit(np.array([9.0, 3.0]), left=4) == 4


def test_both_limits_hold():
    costs = np.array([1.0, 2.0, 3.0, 4.0])
    assert QueryLimits(None, 6).most_samples(costs, 6) == 3
    assert QueryLimits(2, 6).most_samples(costs, 6) == 2
    assert QueryLimits(20, None).most_samples(costs, 1) == 4, "without a limit of cost, as many as there are"


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"query_size": None}, "expected query_size"),
        ({"query_size": 0}, "query_size: 0 is too small, expected 1 or more"),
        ({"query_cost": 0.0}, "query_cost: 0.0 is too small, expected more than 0"),
        ({"query_cost": float("nan")}, "query_cost: nan is not finite, expected more than 0"),
    ],
)
def test_limits_that_allow_nothing_are_refused(limits, message):
    with pytest.raises(UserError, match=message):
        AcquisitionCallback(Batches(["margin"]), **limits)


# ---- the budget, through callback and ledger


def signals_of(everything: PoolSignals, pool: Pool) -> PoolSignals:
    """One pass over the pool: `everything` has all rows of the pool unlabeled."""
    labeled, left = pool.labeled_rows, pool.unlabeled_rows
    return PoolSignals(
        rows=left,
        probabilities=everything.probabilities[left],
        embeddings=everything.embeddings[left],
        labeled_rows=labeled,
        labels=np.array([pool.labels[row] for row in labeled.tolist()]),
        labeled_probabilities=everything.probabilities[labeled],
        labeled_embeddings=everything.embeddings[labeled],
        head_inputs=everything.head_inputs[left],
    )


def spend(
    costs, budget, proposals, agent=None, seed=0, validation_rows=(0,), **options
) -> tuple[Pool, list[list[Query]], str]:
    """Buy until the callback stops: the pool then, the queries and the reason. Labels come at once, from a die."""
    everything = make_signals(seed, unlabeled=len(costs), labeled=0)
    pool, rng = Pool(None, np.asarray(costs)), np.random.default_rng(seed)
    task = SimpleNamespace(monitor="val/accuracy", labels_are_classes=True)
    module = SimpleNamespace(task=task, offers=frozenset({"head_inputs"}))
    trainer = SimpleNamespace(checkpoint_callbacks=[])
    buyer, queries = AcquisitionCallback(proposals, agent, **options), []
    with (
        tempfile.TemporaryDirectory() as folder,
        Ledger(Path(folder) / "ledger.sqlite", budget=budget, fingerprint="") as ledger,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr(acquisition, "score_pool", lambda *_: signals_of(everything, pool))
        books = LedgerBooks(budget, SimpleNamespace(answers_wanted=lambda *_: 1))
        books.ledger = ledger
        buyer.begin(books, seed=seed)
        ledger.ask(0, [Query("pool", row, float(pool.costs[row]), "initial") for row in range(INITIAL)])
        while buyer.report.stop is None:
            asked = ledger.asked(len(queries))
            assert asked, "each round buys something"
            pool = pool.with_labels({**pool.labels, **{query.row: int(rng.integers(3)) for query in asked}})
            trainer.datamodule = SimpleNamespace(pool=pool, fit_data=SimpleNamespace(validation_rows=validation_rows))
            queries.append(asked)
            buyer._best = buyer._last = {"val/accuracy": float(rng.random())}
            buyer.on_train_end(trainer, module)
            assert len(validation_rows) or set(buyer.report.metrics) == {"val/estimate", "val/standard_error"}
        assert ledger.spent <= budget * (1 + 1e-9)
    return pool, queries, buyer.report.stop


def check_spent(pool: Pool, queries: list[list[Query]], budget: float, query_cost: float | None) -> None:
    left = budget - sum(entry.cost for query in queries for entry in query)
    assert len(pool.unlabeled_rows) == 0 or left < pool.costs[pool.unlabeled_rows].min(), "the budget binds"
    unlabeled = set(range(len(pool)))
    for number, query in enumerate(queries):
        cost = sum(entry.cost for entry in query)
        cheapest = min(pool.costs[row] for row in unlabeled)
        if number and query_cost is not None:
            assert cost <= max(query_cost, cheapest) * (1 + 1e-6)
        unlabeled -= {entry.row for entry in query}


@settings(max_examples=60, deadline=None)
@given(
    costs=st.lists(st.floats(0.01, 50) | st.integers(1, 9).map(float), min_size=INITIAL + 1, max_size=ROWS),
    more=st.floats(0, 300),
    size=st.none() | st.integers(1, 9),
    query_cost=st.none() | st.floats(0.5, 80),
    selection=st.sampled_from(SELECTIONS),
)
def test_whatever_labels_cost_what_is_left_buys_no_other_one(costs, more, size, query_cost, selection):
    budget = sum(costs[:INITIAL]) + more
    size = 5 if size is None and query_cost is None else size
    options = {"query_size": size, "query_cost": query_cost, "selection": selection}
    pool, queries, _ = spend(costs, budget, Batches(["margin"]), **options)
    check_spent(pool, queries, budget, query_cost)
    assert all(len(query) <= (size or ROWS) for query in queries[1:])


@pytest.mark.parametrize("selection", SELECTIONS, ids=["by rank", "by value per cost"])
@pytest.mark.parametrize("way", WAYS)
def test_every_agent_spends_its_budget_in_queries_of_a_cost(way, selection, one_thread):
    costs = np.random.default_rng(1).integers(5, 40, ROWS).astype(float)
    budget = costs[:INITIAL].sum() + 300
    options = {"query_size": None, "query_cost": 80, "selection": selection}
    pool, queries, reason = spend(costs, budget, *WAYS[way](), **options)
    check_spent(pool, queries, budget, 80)
    assert "is spent" in reason
    assert all(sum(entry.cost for entry in query) > 80 - 40 for query in queries[1:4]), "queries are filled"


@pytest.mark.parametrize("way", WAYS)
def test_every_agent_spends_its_budget_without_validation_labels(way, one_thread):
    costs = np.ones(ROWS)
    pool, queries, reason = spend(costs, INITIAL + 12, *WAYS[way](), query_size=4, validation_rows=())
    assert [len(query) for query in queries] == [INITIAL, 4, 4, 4]
    assert "is spent" in reason
    assert len(pool.labels) == INITIAL + 12


@pytest.mark.parametrize("seed", range(4))
def test_a_thrifty_facility_location_picks_by_gain_per_cost(seed):
    signals = make_signals(seed)
    signals = replace(signals, costs=np.random.default_rng(seed).integers(1, 20, len(signals)).astype(float))
    picks = STRATEGIES["facility_location"](signals, 6, np.random.default_rng(0), exponent=0, thrift=1)
    points, covered, expected = signals.embeddings, signals.embeddings @ signals.labeled_embeddings.T, []
    covered = np.maximum(covered.max(axis=1), 0)
    for _ in range(6):
        gains = np.maximum(points @ points.T - covered, 0).sum(axis=1) / signals.costs
        gains[expected] = -1
        expected.append(int(gains.argmax()))
        covered = np.maximum(covered, points @ points[expected[-1]])
    assert picks.tolist() == signals.rows[expected].tolist()
    alike = STRATEGIES["facility_location"](replace(signals, costs=None), 6, np.random.default_rng(0), thrift=1)
    assert alike.tolist() == STRATEGIES["facility_location"](signals, 6, np.random.default_rng(0)).tolist(), (
        "without costs: thrift 0"
    )
