"""Which share of some texts each class has: counting what a classifier says is biased, most where shares move."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

STEPS, TOLERANCE = 500, 1e-6
"""Of expectation-maximisation: the most, and the change of a share at which it ends."""


@dataclass(frozen=True)
class Shares:
    """Estimates and standard errors, float64 [C] both; the errors are those of the sample, for a calibrated model."""

    values: Floats
    errors: Floats


def adjusted_shares(probabilities: Floats, learned: Floats) -> Shares:
    """Shares of the classes by expectation-maximisation (Saerens, Latinne and Decaestecker 2002).

    What is taken to differ from the bought labels is how frequent the classes are, not what the texts of a class are
    like. The maximum of the likelihood is found; errors follow from its curvature along the simplex.

    Args:
        probabilities: float64 [n, C], of each text.
        learned: float64 [C], shares of the classes among the labels that the model has learned, all above 0.
    """
    texts, classes = probabilities.shape
    if not texts:
        return Shares(np.full(classes, np.nan), np.full(classes, np.nan))
    likelihoods, shares = probabilities / learned, learned
    for _ in range(STEPS):
        posterior = likelihoods * shares
        before, shares = shares, (posterior / posterior.sum(axis=1, keepdims=True)).mean(axis=0)
        if np.abs(shares - before).max() < TOLERANCE:
            break
    ratios = likelihoods / (likelihoods @ shares)[:, None]
    simplex = np.linalg.svd(np.ones((1, classes)))[2][1:].T  # [C, C-1], orthonormal, columns that sum to 0
    covariance = simplex @ np.linalg.pinv(simplex.T @ (ratios.T @ ratios) @ simplex) @ simplex.T
    return Shares(shares, np.sqrt(np.clip(np.diag(covariance), 0.0, None)))


def learned_shares(labels: list[str], names: list[str]) -> Floats:
    """Shares of the classes among bought labels, float64 [C]; half a label is added to each class."""
    counts = np.array([labels.count(name) for name in names]) + 0.5
    return np.asarray(counts / counts.sum(), dtype=np.float64)
