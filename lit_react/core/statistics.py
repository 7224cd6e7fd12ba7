"""Statistics of paired scores: plain functions of numpy arrays, in whatever unit the scores have."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Array = NDArray[np.float64]
DIGITS = 9  # differences are rounded to these before ties are looked for


def holm(p_values: Sequence[float]) -> Array:
    """Holm's step-down adjustment: below α with family-wise error at most α, whatever the dependence."""
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(np.maximum.accumulate((len(p) - np.arange(len(p))) * p[order]), 1.0)
    return adjusted


def wilcoxon(differences: Array) -> float:
    """Two-sided p of the signed-rank test that paired differences are symmetric about 0; zeros are dropped.

    Exact, with ties as well: for them scipy takes the normal distribution, or seconds. The chance of every rank sum is
    added up rank by rank, in halves as ties share ranks.
    """
    kept = np.round(differences, DIGITS)
    kept = kept[kept != 0]
    ranks = np.rint(2 * stats.rankdata(np.abs(kept))).astype(int)
    chances = np.zeros(ranks.sum() + 1)
    chances[0] = 1.0
    for rank in ranks:
        chances[rank:] += chances[: len(chances) - rank].copy()
        chances /= 2
    positive = ranks[kept > 0].sum()
    return float(min(1.0, 2 * chances[: min(positive, ranks.sum() - positive) + 1].sum()))


def win_share(differences: Array) -> float:
    """Share of pairs with a positive difference; a tie is half a win."""
    signs = np.sign(np.round(differences, DIGITS))
    return float((signs + 1).mean() / 2)


def bootstrap_interval(
    values: Array,
    generator: np.random.Generator,
    clusters: Sequence[object] | None = None,
    level: float = 0.95,
    draws: int = 10_000,
) -> tuple[float, float]:
    """Percentile interval of the mean.

    Args:
        values: one per pair; their order does not matter.
        generator: of the resamples.
        clusters: the group of each value; whole groups are resampled then, else single values.
        level: of the interval.
        draws: resamples.

    Returns:
        lower and upper end; NaN if there is only one value or group to draw from.
    """
    codes = np.arange(len(values)) if clusters is None else np.unique(np.asarray(clusters), return_inverse=True)[1]
    sums, counts = np.bincount(codes, weights=values), np.bincount(codes)
    if len(sums) < 2:
        return np.nan, np.nan
    order = np.lexsort((counts, np.round(sums, DIGITS)))
    drawn = generator.integers(len(sums), size=(draws, len(sums)))
    means = sums[order][drawn].sum(axis=1) / counts[order][drawn].sum(axis=1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def tost(differences: Array, margin: float) -> float:
    """The p-value of two one-sided t-tests: small if the mean lies within ±margin; NaN for fewer than two values."""
    if len(differences) < 2:
        return np.nan
    if np.ptp(differences) == 0:
        return 0.0 if abs(differences[0]) < margin else 1.0
    above = stats.ttest_1samp(differences, -margin, alternative="greater").pvalue
    below = stats.ttest_1samp(differences, margin, alternative="less").pvalue
    return float(max(above, below))


def standard_error(values: Array) -> float:
    """Of the mean; NaN for fewer than two values."""
    return float(stats.sem(values)) if len(values) > 1 else np.nan


def held_out_best(scores: Array) -> Array:
    """Per seed (row), the score of the rule (column) that is best on average over the other seeds.

    The mean of the best column is too high an estimate, since noise helped to choose it; this one is not.
    """
    others = (scores.sum(axis=0) - scores) / (len(scores) - 1)
    return scores[np.arange(len(scores)), np.round(others, DIGITS).argmax(axis=1)]


def labels_to_reach(labels: Array, curve: Array, target: float) -> float:
    """The first label count at which the curve, linear between its points, is at the target; infinity if never."""
    reached = np.flatnonzero(curve >= target)
    if not len(reached):
        return np.inf
    last = reached[0]
    if last == 0:
        return float(labels[0])
    share = (target - curve[last - 1]) / (curve[last] - curve[last - 1])
    return float(labels[last - 1] + share * (labels[last] - labels[last - 1]))


def share_of_rounds_won(first: Array, second: Array, level: float = 0.95) -> float:
    """Share of rounds (columns) in which `first` is above `second` by a paired two-sided t-test over seeds (rows)."""
    differences = np.round(first - second, DIGITS)
    seeds = len(differences)
    if seeds < 2:
        return np.nan
    mean, error = differences.mean(axis=0), differences.std(axis=0, ddof=1) / np.sqrt(seeds)
    return float((mean > stats.t.ppf((1 + level) / 2, seeds - 1) * error).mean())
