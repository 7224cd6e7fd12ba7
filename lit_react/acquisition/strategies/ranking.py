"""From scores to an order: the best of all, or the best of each group in turn."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from lit_react.acquisition.signals import Rows


def highest(scores: NDArray[np.floating], k: int, generator: np.random.Generator) -> Rows:
    """Positions of the `k` highest of n scores, best first, equal scores in random order; O(n log n)."""
    shuffled = generator.permutation(len(scores))
    order = np.argsort(-scores[shuffled], kind="stable")
    return shuffled[order[:k]]


def round_robin(groups: Rows, scores: NDArray[np.floating], order: Iterable[int], k: int) -> Rows:
    """Visit the groups in `order`, again and again, and take the best remaining member of each; O(n log n).

    The groups of the positions are int [n]; in a group the highest of the scores, float [n], goes first, of equal ones
    the lowest position. Groups without members are passed over. Returns int64 [min(k, n)], positions.
    """
    turn = np.empty(int(groups.max(initial=-1)) + 1, dtype=np.int64)
    for place, group in enumerate(g for g in order if g < len(turn)):
        turn[group] = place
    by_group = np.lexsort((-scores, groups))
    sizes = np.bincount(groups, minlength=len(turn))
    cycle = np.empty(len(groups), dtype=np.int64)
    cycle[by_group] = np.arange(len(groups)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return np.lexsort((turn[groups], cycle))[:k]
