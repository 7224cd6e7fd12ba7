"""What signals tell of a row: from the probabilities of the classes, or as the task itself gives it."""

from dataclasses import replace

import numpy as np
import pytest
from tiny import make_signals

from lit_react.acquisition.strategies import STRATEGIES

OF_PROBABILITIES = {
    "margin": lambda p: np.sort(p, axis=1)[:, -1] - np.sort(p, axis=1)[:, -2],
    "entropy": lambda p: -(p * np.log(p)).sum(axis=1),
    "max_probability": lambda p: p.max(axis=1),
}
LEAST_FIRST = {"margin": ("margin", 1), "max_probability": ("least_confidence", 1), "entropy": ("entropy", -1)}
"""Score → the strategy that ranks by it, and the sign by which the first row is the lowest."""


def given(seed=0, *names):
    """Signals in which a task gives scores of these names, unlike those of the probabilities."""
    signals = make_signals(seed)
    rng = np.random.default_rng([seed, 1])
    return replace(signals, scores={name: rng.random(len(signals)).astype(np.float32) for name in names})


@pytest.mark.parametrize("name", OF_PROBABILITIES)
def test_without_a_score_the_probabilities_tell(name):
    signals = given(0, "token_entropy", *(other for other in OF_PROBABILITIES if other != name))
    expected = OF_PROBABILITIES[name](signals.probabilities.astype(float))
    assert getattr(signals, name) == pytest.approx(expected, abs=1e-5)
    assert getattr(signals, name).dtype == np.float32


@pytest.mark.parametrize("name", OF_PROBABILITIES)
def test_a_score_of_the_task_comes_before_the_probabilities(name):
    signals = given(0, name)
    assert np.array_equal(getattr(signals, name), signals.scores[name])
    strategy, sign = LEAST_FIRST[name]
    picks = STRATEGIES[strategy](signals, 7, np.random.default_rng(0))
    assert picks.tolist() == signals.rows[np.argsort(sign * signals.scores[name])[:7]].tolist()


def test_scores_follow_a_selection_of_rows():
    signals = given(0, "margin", "entropy", "max_probability", "token_entropy")
    keep = np.random.default_rng(2).random(len(signals)) < 0.5
    assert 0 < keep.sum() < len(signals)
    some = signals.select(keep)
    assert some.rows.tolist() == signals.rows[keep].tolist()
    assert set(some.scores) == set(signals.scores)
    for name, values in signals.scores.items():
        assert np.array_equal(some.scores[name], values[keep])
    for name in OF_PROBABILITIES:
        assert np.array_equal(getattr(some, name), signals.scores[name][keep])
