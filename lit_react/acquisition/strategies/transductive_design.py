"""Transductive design: the batch that makes a linear head surest where it is unsure."""

from __future__ import annotations

import numpy as np
from scipy.stats import rankdata

from lit_react.acquisition.signals import PoolSignals, Rows
from lit_react.acquisition.strategies.geometry import Float32s, chunks, load


def transductive_design(
    signals: PoolSignals, k: int, generator: np.random.Generator, *, penalty: float = 5.0, exponent: float = 3.0
) -> Rows:
    """Transductive experimental design with uncertain rows as what is to be predicted.

    The posterior variance of ridge regression on the labeled rows, x' Σ x with Σ = (Σ_l x_l x_l' + penalty · I)⁻¹, is
    summed over the unlabeled rows with the weights of `facility_location`; each pick is the one that lowers the sum
    most (Yu, Bi and Tresp 2006, sequential design). Where facility location asks which rows are near, this asks which
    directions are known; the larger the penalty, the more a pick shares with what is near it.

    O(n d²) once and O(n d) per pick, at any size of the pool. Nothing is drawn: of equal rows the first goes first.
    """
    n, k = len(signals), min(k, len(signals))
    if k == 0:
        return signals.rows[:0]
    weights = ((rankdata(-signals.margin) / n) ** exponent).astype(np.float32)
    weights /= weights.sum()
    labeled = load(signals.labeled_embeddings)
    dimensions = labeled.shape[1]
    covariance: Float32s = np.linalg.inv(labeled.T @ labeled + penalty * np.eye(dimensions)).astype(np.float32)
    moment: Float32s = np.zeros((dimensions, dimensions), dtype=np.float32)
    for part in chunks(n, dimensions):
        points = load(signals.embeddings[part])
        moment += (points * weights[part, None]).T @ points
    variance = _quadratic(signals, covariance)
    gain = _quadratic(signals, np.asarray(covariance @ moment @ covariance, dtype=np.float32))
    picks: list[int] = []
    taken = np.zeros(n, dtype=bool)
    while len(picks) < k:
        scores = gain / (1 + variance)
        scores[taken] = -np.inf
        pick = int(scores.argmax())
        picks.append(pick)
        taken[pick] = True
        point = load(signals.embeddings[pick])
        step = covariance @ point / np.sqrt(1 + point @ covariance @ point)  # Σ becomes Σ − step step'
        shift = moment @ step
        along, across = _products(signals, np.stack([step, covariance @ shift], axis=1)).T
        gain += (step @ shift) * along**2 - 2 * along * across
        variance -= along**2
        covariance -= np.outer(step, step)
    return signals.rows[np.array(picks)]


def _quadratic(signals: PoolSignals, matrix: Float32s) -> Float32s:
    """float32 [n], x' M x of each unlabeled row."""
    values = np.empty(len(signals), dtype=np.float32)
    for part in chunks(len(signals), len(matrix)):
        points = load(signals.embeddings[part])
        values[part] = np.einsum("ij,ij->i", points @ matrix, points)
    return values


def _products(signals: PoolSignals, vectors: Float32s) -> Float32s:
    """float32 [n, m], inner products of the unlabeled rows with m vectors."""
    values = np.empty((len(signals), vectors.shape[1]), dtype=np.float32)
    for part in chunks(len(signals), len(vectors)):
        values[part] = load(signals.embeddings[part]) @ vectors
    return values
