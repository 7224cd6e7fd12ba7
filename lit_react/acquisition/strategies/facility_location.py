"""Facility location: a batch to which the uncertain part of the pool is similar."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from lit_react.acquisition.signals import MANY_ROWS, Floats, PoolSignals, Rows
from lit_react.acquisition.strategies.geometry import Float32s, chunks, load
from lit_react.acquisition.strategies.ranking import highest

BATCH = 64  # gains recomputed at a time
KEPT_ELEMENTS = MANY_ROWS**2  # the similarities of fewer pairs stay in memory (128 MiB)
NOTHING_LEFT = 1e-6  # share of all weight below which a gain is rounding


class Kernel(Protocol):
    """How similar two rows are, in [0, 1], by the cosine of their embeddings: not less for a larger cosine."""

    def __call__(self, cosines: Float32s, out: Float32s | None = None) -> Float32s:
        """float32, similarities of the same shape, in `out` where it is given, which may be the cosines themselves."""
        ...


def powered(power: float) -> Kernel:
    """max(cos, 0)^power."""

    def kernel(cosines: Float32s, out: Float32s | None = None) -> Float32s:
        block = np.maximum(cosines, 0, out=out)
        return block if power == 1 else np.power(block, power, out=block)

    return kernel


def facility_location(
    signals: PoolSignals,
    k: int,
    generator: np.random.Generator,
    *,
    power: float = 1.0,
    exponent: float = 3.0,
    thrift: float = 0.0,
    max_candidates: int = 20_000,
) -> Rows:
    """Uncertainty-weighted facility location, the default.

    Maximises Σ_i w_i · max_{j labeled or picked} s(i, j) greedily (within 1 − 1/e of the best; Nemhauser, Wolsey and
    Fisher 1978; on text with uncertainty: Wei, Iyer and Bilmes 2015), with s = max(cos, 0)^power and the weight w_i =
    (rank of −margin_i / n)^exponent in (0, 1]: ranks, since the scale of probabilities is not to be trusted; the
    exponent 0 weighs all rows alike. The objective is the uncertainty coverage of Uncertainty Herding (Bae, Oliveira
    and Sutherland 2025, arXiv 2412.20644), with other weights and another kernel than in `uncertainty_herding`.

    Gains only shrink as the batch grows, so a pick recomputes those that may still be the highest (Minoux 1978): O(N²
    d) once and a part of it per pick. Of equal gains the lowest position goes first; when nothing is left to gain, the
    rest goes by weight.

    Each pick has the highest gain per cost^thrift; with `thrift=1` that is the cost-benefit part of CELF (Leskovec et
    al. 2007), with 0 costs are left to the selection.

    Pools beyond `max_candidates` are thinned by priority sampling (Duffield, Lund and Thorup 2007) of w_i · (1 −
    similarity to the nearest labeled row), the most that row i can add: the sum over the sample is an unbiased estimate
    of that over the pool.
    """
    weights = ((rankdata(-signals.margin) / len(signals)) ** exponent).astype(np.float32)
    prices = None
    if thrift and signals.costs is not None:
        prices = (signals.costs / signals.costs.mean()).astype(np.float32) ** thrift
    return cover(signals, k, generator, weights, powered(power), max_candidates, prices)


def coverage(signals: PoolSignals, k: int, generator: np.random.Generator, *, max_candidates: int = 20_000) -> Rows:
    """Facility location without uncertainty: the batch that represents the unlabeled rows best; arguments as there."""
    return facility_location(signals, k, generator, exponent=0.0, max_candidates=max_candidates)


def cover(
    signals: PoolSignals,
    k: int,
    generator: np.random.Generator,
    weights: Float32s,
    kernel: Kernel,
    max_candidates: int,
    prices: Float32s | None = None,
) -> Rows:
    """The greedy batch of `facility_location` for any weights in [0, 1], kernel and prices.

    Weights and prices are float32 [n]; None: all cost the same.
    """
    k = min(k, len(signals))
    if k == 0:
        return signals.rows[:0]
    covered = _covered(signals.embeddings, load(signals.labeled_embeddings), kernel)
    room: Float32s = np.maximum(1 - covered, 1e-6)
    positions, worth = _priority_sample(weights * room, max(k, max_candidates), generator)

    points = load(signals.embeddings, positions)
    known = signals.similarities if len(positions) == len(signals) <= KEPT_ELEMENTS**0.5 else None
    if known is not None:
        known = kernel(known)
    elif len(points) ** 2 <= KEPT_ELEMENTS:
        known = _similarity(points, points, kernel)
    own_weights = weights[positions]
    price = None if prices is None else prices[positions]
    picks = _lazy_greedy(points, worth / room[positions], own_weights, covered[positions], k, kernel, known, price)
    rest = np.setdiff1d(np.arange(len(positions)), picks)
    by_weight = rest[highest(own_weights[rest], k - len(picks), generator)]
    return signals.rows[positions[np.concatenate([picks, by_weight])]]


def _covered(points: Floats, labeled: Float32s, kernel: Kernel) -> Float32s:
    """float32 [n], similarity to the nearest labeled row; 0 where there is none."""
    covered = np.zeros(len(points), dtype=np.float32)
    for part in chunks(len(points), max(labeled.shape)):
        covered[part] = _similarity(load(points[part]), labeled, kernel).max(axis=1, initial=0)
    return covered


def _priority_sample(sizes: Float32s, count: int, generator: np.random.Generator) -> tuple[Rows, NDArray[np.float32]]:
    """Ascending positions of a sample and sizes that make its sums unbiased; all, as they are, where count >= n."""
    if count >= len(sizes):
        return np.arange(len(sizes)), sizes
    priorities = sizes / (1 - generator.random(len(sizes), dtype=np.float32))
    order = np.argsort(-priorities, kind="stable")
    positions = np.sort(order[:count])
    return positions, np.maximum(sizes[positions], priorities[order[count]])


def _similarity(points: Float32s, others: Float32s, kernel: Kernel) -> Float32s:
    """float32 [n, m], of unit vectors."""
    block = points @ others.T
    return kernel(block, out=block)


def _lazy_greedy(
    points: Float32s,
    weights: Float32s,
    own_weights: Float32s,
    covered: Float32s,
    k: int,
    kernel: Kernel,
    kept: Float32s | None,
    prices: Float32s | None = None,
) -> Rows:
    """Greedy positions in `points`, int64, until k or until nothing is left to gain.

    Points are float32 [n, d]: they may be picked and are to be covered, as far as `covered`, the similarity to the
    nearest labeled row, is not there. Each has a weight as one of the sample, for all the pool that it stands for, and
    its own: by covering itself it covers no more than that. `kept` are the similarities of all pairs, float32 [n, n];
    None where they take too much memory. The gain of each point is divided by its price.
    """
    to_itself = kernel(np.einsum("ij,ij->i", points, points))
    overweight = weights - own_weights

    def gain(positions: Rows | slice) -> Float32s:
        similarity = _similarity(points[positions], points, kernel) if kept is None else kept[positions]
        block = similarity - covered
        own = overweight[positions] * np.maximum(to_itself[positions] - covered[positions], 0)
        gained = np.maximum(block, 0, out=block) @ weights - own
        return gained if prices is None else gained / prices[positions]

    gains = np.empty(len(points), dtype=np.float32)  # upper bounds: as they were at some earlier pick
    for part in chunks(len(points), len(points)):
        gains[part] = gain(part)
    least = NOTHING_LEFT * weights.sum()
    picks: list[int] = []
    while len(picks) < k:
        order = np.argsort(-gains, kind="stable")[: len(points) - len(picks)]
        for end in range(BATCH, len(order) + BATCH, BATCH):
            gains[order[end - BATCH : end]] = gain(order[end - BATCH : end])
            if end >= len(order) or gains[order[:end]].max() > gains[order[end]]:
                break
        pick = int(gains.argmax())
        if gains[pick] <= least:
            break
        picks.append(pick)
        similarity = _similarity(points, points[[pick]], kernel)[:, 0] if kept is None else kept[pick]
        np.maximum(covered, similarity, out=covered)
        gains[pick] = -np.inf
    return np.array(picks, dtype=np.int64)
