"""How good a model is, told by labels that were bought for learning: none is bought to measure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from lit_react.acquisition.features import History
from lit_react.acquisition.signals import PoolSignals

Floats = NDArray[np.floating[Any]]

ESTIMATE, ERROR = "val/estimate", "val/standard_error"
"""What an estimate and its error are called among the metrics of a round."""

PRIOR, SPREAD = (0.0, 0.6), (1.0, 0.4)
"""Mean and standard deviation of intercept and slope of the calibration before there is evidence: a model that was
fitted to few labels is surer than it is right."""

UNSEEN = 0.1
"""Standard error of what no evidence shows: rows that are bought are seldom those of which a model is sure, and how
many of these it has wrong is the larger part of the error (docs/labels.md)."""

UNKNOWN = 0.5
"""Standard error of a share in [0, 1] of which nothing is known."""


@dataclass(frozen=True)
class Estimate:
    """An estimate in units of the metric, and its standard error."""

    value: float
    error: float


Estimator: TypeAlias = Callable[[PoolSignals, History], Estimate]
"""V(s) of a fit, by its pass over the pool and what earlier rounds left."""


def calibrated_accuracy(signals: PoolSignals, history: History) -> Estimate:
    """`estimated_accuracy` of the unlabeled rows; the history takes note of the labels that are new."""
    history.observe(signals)
    confidences, right = np.asarray(history.evidence, dtype=np.float64).reshape(-1, 2).T
    return estimated_accuracy(signals.max_probability, confidences, right > 0)


def mean_certainty(signals: PoolSignals, history: History) -> Estimate:
    """How sure a model is of the unlabeled rows, where a row has no class that could be right or wrong."""
    return Estimate(float(signals.max_probability.mean()) if len(signals) else UNKNOWN, UNKNOWN)


def estimated_accuracy(confidences: Floats, evidence: Floats, right: NDArray[np.bool_]) -> Estimate:
    """The share of some rows that a model gets right, by how sure it is of each.

    A model's own confidence is calibrated on rows that were predicted *before* their labels were learned (prequential
    evaluation; Dawid 1984): P(right) = σ(a + b · logit(confidence)), Platt's scaling (1999), with a prior
    (`PRIOR`, `SPREAD`) by which confidence is believed in part. The estimate is the mean over the rows, and
    its error that of Laplace's approximation and `UNSEEN` together. Rows that were bought are harder than others: the
    share of right ones among them would be far too low (docs/labels.md).

    Args:
        confidences: float [n] in [0, 1], probability of the predicted class of each row.
        evidence: float [m], confidences of rows in the fit before their labels were learned.
        right: bool [m], whether that prediction was right.
    """
    if len(confidences) == 0:
        return Estimate(float(right.mean()) if len(right) else UNKNOWN, UNKNOWN)
    mean, precision = np.array(PRIOR), np.diag(1 / np.square(SPREAD))
    inputs, weights = _inputs(evidence), mean.copy()

    def loss(weights: Floats) -> float:
        logits, away = inputs @ weights, weights - mean
        return float(np.logaddexp(0, logits).sum() - right @ logits + away @ precision @ away / 2)

    for _ in range(50):  # Newton's method; the loss is strictly convex, but a whole step may go too far
        shares = _sigmoid(inputs @ weights)
        gradient = inputs.T @ (shares - right) + precision @ (weights - mean)
        curvature = (inputs * (shares * (1 - shares))[:, None]).T @ inputs + precision
        step = np.linalg.solve(curvature, gradient)
        if np.abs(step).max() < 1e-8:
            break
        while loss(weights - step) > loss(weights):
            step = step / 2
        weights = weights - step
    rows = _inputs(confidences)
    shares = _sigmoid(rows @ weights)
    slope = (rows * (shares * (1 - shares))[:, None]).mean(axis=0)
    return Estimate(float(shares.mean()), float(np.hypot(np.sqrt(slope @ np.linalg.solve(curvature, slope)), UNSEEN)))


def _inputs(confidences: Floats) -> Floats:
    """float64 [n, 2]: one, and the logit."""
    shares = np.clip(np.asarray(confidences, dtype=np.float64), 1e-4, 1 - 1e-4)
    return np.column_stack([np.ones(len(shares)), np.log(shares / (1 - shares))])


def _sigmoid(values: Floats) -> Floats:
    return 1 / (1 + np.exp(-values))
