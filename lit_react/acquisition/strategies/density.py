"""Uncertain and typical."""

from __future__ import annotations

import numpy as np

from lit_react.acquisition.signals import PoolSignals, Rows
from lit_react.acquisition.strategies.geometry import load, nearest, sample
from lit_react.acquisition.strategies.ranking import highest


def density_weighted_margin(
    signals: PoolSignals,
    k: int,
    generator: np.random.Generator,
    *,
    exponent: float = 1.0,
    neighbors: int = 20,
    max_candidates: int = 20_000,
    max_anchors: int = 20_000,
) -> Rows:
    """Highest (1 − margin) · densityᵉ: information density (Settles and Craven 2008, equation 13).

    The density is the mean similarity max(cos, 0) to the nearest `neighbors` among `max_anchors` unlabeled rows, where
    the paper averages over the whole pool; the exponent e = 0 is margin sampling. Only the `max_candidates` rows with
    the smallest margins are scored: O(candidates · anchors · d).
    """
    candidates = highest(-signals.margin, max(k, max_candidates), generator)
    anchors = sample(len(signals), max_anchors, generator)
    own = np.full(len(signals), -1, dtype=np.int64)
    own[anchors] = np.arange(len(anchors))
    count = max(0, min(neighbors, len(anchors) - 1))
    points = load(signals.embeddings, candidates)
    similarities, _ = nearest(points, load(signals.embeddings, anchors), count, own=own[candidates])
    density = np.maximum(similarities, 0).mean(axis=1) if count else np.ones(len(candidates))
    scores = (1 - signals.margin[candidates]) * density**exponent
    return signals.rows[candidates[highest(scores, k, generator)]]
