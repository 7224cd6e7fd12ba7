"""V(s) without validation labels: how good a model is, by labels that were bought for learning."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import expit, logit
from tiny import make_signals

from lit_react.acquisition.estimate import (
    PRIOR,
    SPREAD,
    UNSEEN,
    calibrated_accuracy,
    estimated_accuracy,
    mean_certainty,
)
from lit_react.acquisition.features import History
from lit_react.acquisition.signals import PoolSignals

SHARES = st.floats(0, 1)
EVIDENCE = st.lists(st.tuples(SHARES, st.booleans()), max_size=40)


def estimate(confidences: list[float], evidence: list[tuple[float, bool]]):
    shares, right = [share for share, _ in evidence], [was for _, was in evidence]
    return estimated_accuracy(np.array(confidences), np.array(shares), np.array(right, dtype=bool))


@given(st.lists(SHARES, max_size=30), EVIDENCE)
def test_it_is_a_share_and_its_error_no_more_than_that_of_what_is_unknown(confidences, evidence) -> None:
    found = estimate(confidences, evidence)
    assert 0 <= found.value <= 1
    assert UNSEEN <= found.error <= 0.6


@given(st.lists(st.floats(0.5, 1), min_size=1, max_size=30))
def test_without_evidence_a_model_is_believed_in_part(confidences) -> None:
    found = estimate(confidences, [])
    assert 0.5 - 1e-9 <= found.value <= np.mean(confidences) + 1e-9
    assert found.value == pytest.approx(np.mean([estimate([share], []).value for share in confidences]))


@given(SHARES, SHARES)
def test_a_surer_model_is_thought_better(one, other) -> None:
    low, high = sorted((one, other))
    assert estimate([low] * 3, []).value <= estimate([high] * 3, []).value


@pytest.mark.parametrize("share", [0.6, 0.75, 0.9])
def test_the_error_falls_with_the_labels_that_confirm_the_model(share) -> None:
    evidence = [(share, number % 20 < 20 * share) for number in range(200)]
    mixed = [evidence[number] for number in np.random.default_rng(0).permutation(200)]
    errors = [estimate([share] * 5, mixed[:labels]).error for labels in (0, 20, 60, 200)]
    assert errors == sorted(errors, reverse=True)
    seen = [np.sqrt(error**2 - UNSEEN**2) for error in errors]
    assert seen[-1] < seen[0] / 2


@given(st.lists(st.floats(0.5, 0.99), min_size=1, max_size=20), st.floats(0.5, 0.99), st.integers(1, 40))
def test_a_model_that_was_sure_and_wrong_is_believed_less_and_one_that_was_right_more(rows, sure, labels) -> None:
    believed = estimate(rows, []).value
    assert estimate(rows, [(sure, False)] * labels).value < believed
    assert estimate(rows, [(sure, True)] * labels).value > believed


@given(st.lists(SHARES, min_size=1, max_size=10), st.lists(st.tuples(SHARES, st.booleans()), max_size=400))
def test_no_curve_fits_the_evidence_better(confidences, evidence) -> None:
    """Against the minimum that is found by small steps; a whole step of Newton's method can go beyond it."""
    shares, right = (np.array([pair[part] for pair in evidence], dtype=np.float64) for part in (0, 1))

    def inputs(values):
        clipped = np.clip(np.array(values, dtype=np.float64), 1e-4, 1 - 1e-4)
        return np.column_stack([np.ones(len(clipped)), logit(clipped)])

    def loss(weights):
        logits = inputs(shares) @ weights
        prior = (((weights - PRIOR) / SPREAD) ** 2).sum() / 2
        return np.logaddexp(0, logits).sum() - right @ logits + prior

    best = minimize(loss, PRIOR, method="BFGS", options={"gtol": 1e-7}).x
    found = estimated_accuracy(np.array(confidences), shares, right > 0)
    assert found.value == pytest.approx(expit(inputs(confidences) @ best).mean(), abs=1e-3)


def test_it_comes_to_the_share_of_right_rows_where_there_is_much_evidence() -> None:
    """A model that says 0.99 and is right in 70 of 100."""
    found = estimate([0.99] * 10, [(0.99, number % 10 < 7) for number in range(1000)])
    assert found.value == pytest.approx(0.7, abs=0.03)
    assert found.error == pytest.approx(UNSEEN, abs=0.01)


def test_where_every_row_is_labeled_the_evidence_alone_is_left() -> None:
    assert estimate([], [(0.5, True), (0.9, False)]).value == 0.5
    assert estimate([], []).value == 0.5


def labeled_next(signals: PoolSignals, rows: list[int], labels: list[int]) -> PoolSignals:
    """The signals of the next fit, after the labels of some unlabeled rows were bought."""
    kept = ~np.isin(signals.rows, rows)
    empty = np.zeros((len(rows), signals.probabilities.shape[1]), dtype=np.float32)
    order = np.argsort(np.concatenate([signals.labeled_rows, rows]))
    everything = {
        "labeled_rows": np.concatenate([signals.labeled_rows, rows])[order],
        "labels": np.concatenate([signals.labels, labels])[order],
        "labeled_probabilities": np.concatenate([signals.labeled_probabilities, empty])[order],
        "labeled_embeddings": np.concatenate([signals.labeled_embeddings, signals.labeled_embeddings[: len(rows)]]),
    }
    only = {name: getattr(signals, name)[kept] for name in ("rows", "probabilities", "embeddings", "head_inputs")}
    return replace(signals, **everything, **only)


def test_evidence_is_what_the_round_before_said_of_the_labels_that_are_new() -> None:
    history, first = History(), make_signals(1)
    calibrated_accuracy(first, history)
    assert history.evidence == [], "nobody predicted the first labels"
    history.remember(first, 48)
    rows = [int(row) for row in first.rows[[3, 8, 11]]]
    predicted = first.probabilities[[3, 8, 11]].argmax(axis=1)
    second = labeled_next(first, rows, [int(predicted[0]), int(predicted[1] + 1) % 3, int(predicted[2])])
    found = calibrated_accuracy(second, history)
    shares = first.probabilities[[3, 8, 11]].max(axis=1)
    assert sorted(history.evidence) == sorted(zip(shares.tolist(), [True, False, True], strict=True))
    confidences, right = zip(*history.evidence, strict=True)
    assert found == estimated_accuracy(second.max_probability, np.array(confidences), np.array(right))
    history.remember(second, 48)
    calibrated_accuracy(second, history)
    assert len(history.evidence) == 3, "each label counts once"


def test_evidence_survives_a_restart() -> None:
    history, signals = History(), make_signals(2)
    history.remember(signals, 48)
    history.observe(labeled_next(signals, [int(signals.rows[0])], [1]))
    again = History()
    again.load_state_dict(history.state_dict())
    assert again.evidence == history.evidence
    assert len(again.evidence) == 1


def test_tasks_without_classes_are_told_how_sure_the_model_is_and_that_nothing_is_known_of_it() -> None:
    signals = make_signals(3)
    found = mean_certainty(signals, History())
    assert found.value == pytest.approx(signals.max_probability.mean())
    assert found.error == 0.5
