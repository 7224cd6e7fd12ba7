"""A simulated round sees what a run's round would see."""

from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import world

from lit_react.acquisition.features import STATE_FEATURES, FeatureMap, History
from lit_react.acquisition.proposals import Batches
from lit_react.acquisition.signals import PoolSignals
from lit_react.acquisition.strategies import STRATEGIES
from lit_react.core.logistic_regression import fit_logistic_regression
from lit_react.simulation.environment import VALIDATION_SIZE, Annotation, begin
from lit_react.simulation.tasks import Embedded


def generator(seed=0):
    return np.random.default_rng(seed)


def walk(task, rounds, seed=0, rule="facility_location"):
    """States of a run: the first, and one after each purchase."""
    states = [begin(task, generator(seed))]
    for _ in range(rounds):
        now = states[-1]
        states.append(now.buy(STRATEGIES[rule](now.signals, task.query_size, generator(seed))))
    return states


def from_scratch(task, labeled, head):
    """Signals as one pass over the pool gives them, nothing reused."""
    labeled = np.sort(labeled)
    rows = np.setdiff1d(np.arange(len(task.pool)), labeled)
    points = task.pool.embeddings
    return PoolSignals(
        rows=rows,
        probabilities=head.probabilities(points[rows]),
        embeddings=points[rows],
        labeled_rows=labeled,
        labels=task.pool.labels[labeled],
        labeled_probabilities=head.probabilities(points[labeled]),
        labeled_embeddings=points[labeled],
        head_inputs=points[rows],
    )


def test_signals_are_those_of_a_pass_over_the_pool():
    for now in walk(world(), 3):
        signals, expected = now.signals, from_scratch(now.task, now.labeled, now.head)
        assert signals.scores == expected.scores == {}
        assert signals.costs is expected.costs is None
        for field in fields(PoolSignals):
            if field.name in ("scores", "costs"):
                continue
            one, two = getattr(signals, field.name), getattr(expected, field.name)
            assert one.dtype == two.dtype
            assert np.allclose(one, two, atol=1e-6), field.name
        assert np.allclose(signals.similarities, expected.similarities, atol=1e-6)
        for name in ("predictions", "margin", "entropy", "max_probability"):
            assert np.allclose(getattr(signals, name), getattr(expected, name), atol=1e-5), name


def test_features_and_proposals_are_those_of_signals_made_from_scratch():
    task, policy = world(), Batches()
    now = walk(task, 2)[-1]
    expected = from_scratch(task, now.labeled, now.head)
    here, there = now.features(5, generator()), FeatureMap(expected, now.history, np.ones(300), 2 / 5, generator())
    assert np.allclose(here.state(), there.state(), atol=1e-5)
    assert here.state()[STATE_FEATURES.index("budget spent (share)")] == pytest.approx(0.4)
    proposals = [policy.propose(signals, 6, generator()) for signals in (now.signals, expected)]
    for one, two in zip(*proposals, strict=True):
        assert np.array_equal(one.rows, two.rows)
        assert np.allclose(here.batch(one.rows), there.batch(two.rows), atol=1e-4)


def test_the_head_is_fitted_to_the_labels_that_were_bought():
    task = world()
    for now in walk(task, 3):
        labels = task.pool.labels[now.labeled]
        cold = fit_logistic_regression(task.pool.embeddings[now.labeled], labels, task.num_classes, task.l2)
        test = task.test.embeddings
        assert np.abs(now.head.probabilities(test) - cold.probabilities(test)).max() < 1e-2


def test_the_metric_that_the_policy_knows_is_of_other_rows_than_the_accuracy_it_is_judged_by():
    task = world(test=250)
    states = walk(task, 3)
    for now in states:
        p = now.head.probabilities(task.test.embeddings)
        right = p.argmax(1) == task.test.labels
        assert now.accuracy == pytest.approx(right[VALIDATION_SIZE:].mean())
        true = np.mean([p[i, label] for i, label in enumerate(task.test.labels)])
        assert now.value == pytest.approx((right.mean() + true) / 2)
        assert now.history.values[-1] == pytest.approx(right[:VALIDATION_SIZE].mean())
    assert states[-1].history.values == [state.history.values[-1] for state in states]
    assert states[-1].accuracy > states[0].accuracy


@pytest.mark.parametrize("rows", [1, VALIDATION_SIZE])
def test_a_test_set_too_small_for_two_parts_is_used_whole(rows):
    task = world(test=rows)
    for now in walk(task, 1):
        right = now.head.probabilities(task.test.embeddings).argmax(1) == task.test.labels
        assert now.accuracy == now.history.values[-1] == pytest.approx(right.mean())


def test_the_history_remembers_what_the_last_round_predicted():
    before, after = walk(world(), 1)
    assert len(before.history.predictions) == 0
    remembered = History()
    remembered.remember(before.signals, 300)
    assert np.array_equal(after.history.predictions, remembered.predictions)
    assert np.array_equal(after.history.confidences, remembered.confidences)
    churn = after.features(3, generator()).state()[
        STATE_FEATURES.index("share of predictions that changed since the last round")
    ]
    expected = np.mean(before.head.probabilities(after.signals.embeddings).argmax(1) != after.signals.predictions)
    assert churn == pytest.approx(expected)
    assert 0 < churn < 1


def test_each_state_keeps_its_history_whatever_is_bought_from_it():
    now = begin(world(), generator())
    rows = now.signals.rows
    one, two = now.buy(rows[:6]), now.buy(rows[6:12])
    assert len(now.history.values) == 1
    assert len(one.history.values) == len(two.history.values) == 2
    assert one.history.values[0] == two.history.values[0] == now.history.values[0]
    assert len(now.labeled) == 8
    again = now.buy(rows[:6])
    assert (again.accuracy, again.value) == (one.accuracy, one.value), "what was bought elsewhere leaves no trace"


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 1000), rounds=st.integers(1, 4), rule=st.sampled_from(["margin", "random", "facility_location"])
)
def test_no_row_is_ever_labeled_twice(seed, rounds, rule):
    task = world(pool=60, seed=seed % 3, initial_size=5, query_size=9)
    for count, now in enumerate(walk(task, rounds, seed, rule)):
        assert len(set(now.labeled.tolist())) == len(now.labeled) == 5 + 9 * count
        assert sorted([*now.labeled, *now.signals.rows]) == list(range(60))
        assert np.array_equal(now.signals.labels, task.pool.labels[now.signals.labeled_rows])


def test_the_whole_pool_can_be_bought():
    task = world(pool=20, initial_size=8, query_size=6)
    last = walk(task, 2)[-1]
    assert len(last.signals) == 0
    assert np.isfinite(last.features(2, generator()).state()).all()


def test_the_first_labels_are_drawn_by_the_generator():
    task = world()
    starts = [tuple(begin(task, generator(seed)).labeled) for seed in (0, 0, 1)]
    assert starts[0] == starts[1] != starts[2]
    assert len(set(starts[0])) == task.initial_size
    small = world(pool=40)
    often = np.bincount(np.concatenate([begin(small, generator(seed)).labeled for seed in range(300)]), minlength=40)
    assert np.abs(often - 60).max() < 35, "Binomial(300, 8/40): five standard deviations are 35"


@settings(max_examples=10, deadline=None)
@given(shuffle=st.integers(0, 1000))
def test_order_of_the_pool_does_not_matter(shuffle):
    """With rules that draw for ties only, and the same first labels."""
    task = world(pool=150)
    order = generator(shuffle).permutation(150)  # new row → old row
    new_row = np.argsort(order)
    other = replace(task, pool=Embedded(task.pool.embeddings[order], task.pool.labels[order]))
    first = generator().permutation(150)[:8]
    one, two = Annotation(task, first), Annotation(other, new_row[first])
    for rule in ("facility_location", "transductive_design", "margin"):
        bought = [STRATEGIES[rule](now.signals, 6, generator()) for now in (one, two)]
        assert np.array_equal(new_row[bought[0]], bought[1]), rule
        one, two = one.buy(bought[0]), two.buy(bought[1])
        assert one.accuracy == pytest.approx(two.accuracy, abs=0.011), "a row of 100 on the border"
        assert one.value == pytest.approx(two.value, abs=5e-3)


def test_test_labels_reach_no_signal_and_no_head():
    """What a simulated policy sees beside its metric: other test labels change nothing of it."""
    task = world()
    tainted = replace(task, test=Embedded(task.test.embeddings, task.test.labels[::-1].copy()))
    for one, two in zip(walk(task, 2), walk(tainted, 2), strict=True):
        assert np.array_equal(one.labeled, two.labeled)
        assert np.array_equal(one.head.weight, two.head.weight)
        assert np.array_equal(one.signals.probabilities, two.signals.probabilities)
        assert one.history.values != two.history.values
