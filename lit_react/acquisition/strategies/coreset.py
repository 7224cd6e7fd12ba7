"""Core-set selection by greedy k-center."""

from __future__ import annotations

import numpy as np

from lit_react.acquisition.signals import PoolSignals, Rows
from lit_react.acquisition.strategies.geometry import chunks, load, sample, squared_distances


def k_center(signals: PoolSignals, k: int, generator: np.random.Generator, *, max_candidates: int = 100_000) -> Rows:
    """Repeatedly the row farthest from everything labeled or picked (Sener and Savarese 2018, algorithm 1).

    Distances to the nearest centre are kept and updated with each pick: O(N (l + k) d). Of equally far rows the lowest
    goes first; without labeled rows the first pick is drawn uniformly. Rows come in the order of the picks.
    """
    k = min(k, len(signals))
    positions = sample(len(signals), max(k, max_candidates), generator)
    points = load(signals.embeddings, positions)
    centres = load(signals.labeled_embeddings)
    distances = np.full(len(points), np.inf, dtype=np.float32)
    if len(centres):
        for part in chunks(len(points), len(centres)):
            distances[part] = squared_distances(points[part], centres).min(axis=1)
    first = None if len(centres) or not k else generator.integers(len(points))
    picks = np.empty(k, dtype=np.int64)
    norms = np.einsum("ij,ij->i", points, points)
    for i in range(k):
        picks[i] = pick = distances.argmax() if i or first is None else first
        np.minimum(distances, np.maximum(norms + norms[pick] - 2 * (points @ points[pick]), 0), out=distances)
        distances[pick] = -1
    return signals.rows[positions[picks]]
