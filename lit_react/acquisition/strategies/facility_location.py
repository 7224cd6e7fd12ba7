"""Facility location: a batch to which the uncertain part of the pool is similar."""

from __future__ import annotations

import numpy as np
from scipy.stats import rankdata

from lit_react.acquisition.signals import PoolSignals, Rows
from lit_react.acquisition.strategies.geometry import Float32s, chunks, load, sample
from lit_react.acquisition.strategies.ranking import highest

BATCH = 64
NOTHING_LEFT = 1e-6


def facility_location(
    signals: PoolSignals,
    k: int,
    generator: np.random.Generator,
    *,
    power: float = 1.0,
    exponent: float = 3.0,
    max_candidates: int = 20_000,
    max_anchors: int = 20_000,
) -> Rows:
    """Uncertainty-weighted facility location, the default.

    Maximises Σ_i w_i · max_{j labeled or picked} s(i, j) greedily (within 1 − 1/e of the best; Nemhauser, Wolsey and
    Fisher 1978; on text with uncertainty: Wei, Iyer and Bilmes 2015), with s = max(cos, 0)^power and the weight
    w_i = (rank of −margin_i / n)^exponent in (0, 1]: ranks, since the scale of probabilities is not to be trusted.

    Gains only shrink as the batch grows, so a pick recomputes those that may still be the highest (Minoux 1978):
    O(candidates · anchors · d) once and a small part of it per pick; no matrix of similarities is kept. Of equal
    gains the lowest position goes first; when nothing is left to gain, the rest goes by weight.

    Args:
        signals: Probabilities and embeddings, also those of the labeled rows, are read.
        k: Size of the batch.
        generator: Draws candidates and anchors in pools larger than these; breaks the ties of the rest.
        power: Exponent of the similarity.
        exponent: Exponent of the uncertainty's rank; 0 weighs all rows alike.
        max_candidates: Rows that may be picked: all, or this many drawn by weight.
        max_anchors: Rows i that the sum runs over: all, or this many drawn uniformly.

    Returns:
        int64 [min(k, n)], rows relative to the pool, in the order of the picks.
    """
    n = len(signals)
    k = min(k, n)
    if k == 0:
        return signals.rows[:0]
    log_weights = exponent * np.log(rankdata(-signals.margin) / n)
    candidates = _draw(log_weights, max(k, max_candidates), generator)
    anchors = sample(n, max_anchors, generator)
    weights = np.exp(log_weights).astype(np.float32)

    points = load(signals.embeddings, candidates)
    anchor_points = points if np.array_equal(candidates, anchors) else load(signals.embeddings, anchors)
    labeled = load(signals.labeled_embeddings)
    covered = np.zeros(len(anchors), dtype=np.float32)
    for part in chunks(len(anchors), max(labeled.shape)):
        covered[part] = _similarity(anchor_points[part], labeled, power).max(axis=1, initial=0)
    picks = _lazy_greedy(points, anchor_points, weights[anchors], covered, k, power)
    rest = np.setdiff1d(np.arange(len(candidates)), picks)
    by_weight = rest[highest(weights[candidates[rest]], k - len(picks), generator)]
    return signals.rows[candidates[np.concatenate([picks, by_weight])]]


def coverage(
    signals: PoolSignals,
    k: int,
    generator: np.random.Generator,
    *,
    max_candidates: int = 20_000,
    max_anchors: int = 20_000,
) -> Rows:
    """Facility location without uncertainty: the batch that represents the unlabeled rows best; arguments as there."""
    return facility_location(
        signals, k, generator, exponent=0.0, max_candidates=max_candidates, max_anchors=max_anchors
    )


def _draw(log_weights: np.ndarray, size: int, generator: np.random.Generator) -> Rows:
    """Ascending positions of a sample without replacement by weight (Gumbel top-k); all where size >= n."""
    if size >= len(log_weights):
        return np.arange(len(log_weights))
    keys = log_weights + generator.gumbel(size=len(log_weights))
    return np.sort(np.argpartition(keys, -size)[-size:])


def _similarity(points: Float32s, others: Float32s, power: float) -> Float32s:
    """float32 [n, m], max(cos, 0)^power of unit vectors."""
    block = np.maximum(points @ others.T, 0)
    return block if power == 1 else np.power(block, power, out=block)


def _lazy_greedy(
    points: Float32s, anchors: Float32s, weights: Float32s, covered: Float32s, k: int, power: float
) -> Rows:
    """Greedy positions in `points`, until k or until no gain exceeds a share `NOTHING_LEFT` of all weight.

    Args:
        points: float32 [m, d], the candidates.
        anchors: float32 [n, d].
        weights: float32 [n], of the anchors.
        covered: float32 [n], similarity of the anchors to the nearest labeled row.
        k: Most picks.
        power: Exponent of the similarity.

    Returns:
        int64 [at most k].
    """

    def gain(positions: Rows | slice) -> Float32s:
        block = _similarity(points[positions], anchors, power)
        block -= covered
        return np.maximum(block, 0, out=block) @ weights

    gains = np.empty(len(points), dtype=np.float32)  # of the candidates, as they were at some earlier pick or now
    for part in chunks(len(points), len(anchors)):
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
        np.maximum(covered, _similarity(anchors, points[[pick]], power)[:, 0], out=covered)
        gains[pick] = -np.inf
    return np.array(picks, dtype=np.int64)
