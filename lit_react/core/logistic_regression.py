"""Multinomial logistic regression that refits in milliseconds on few rows of many dimensions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

Float32s = NDArray[np.float32]
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class LinearClassifier:
    """A linear classifier that was fitted.

    Attributes:
        weight: float32 [d, C].
        bias: float32 [C].
    """

    weight: Float32s
    bias: Float32s

    def probabilities(self, features: Float32s) -> Float32s:
        """float32 [n, C] of features [n, d]."""
        logits = features @ self.weight + self.bias
        logits -= logits.max(axis=1, keepdims=True)
        np.exp(logits, out=logits)
        logits /= logits.sum(axis=1, keepdims=True)
        return logits


def fit_logistic_regression(
    features: Float32s,
    labels: Rows,
    num_classes: int,
    l2: float,
    start: LinearClassifier | None = None,
    weights: Float32s | None = None,
) -> LinearClassifier:
    """Minimise Σ weight · cross-entropy + l2 / 2 · ‖W‖², as `LinearProbe` and scikit-learn's `LogisticRegression` do.

    There it is `C=1/l2`.

    The solution lies in the span of the features, so L-BFGS runs in their eigenbasis, of at most n dimensions, scaled
    by the bound ½ λ + l2 of the curvature (Böhning 1992). It stops at 0.001 of gradient or 10⁻⁶ of loss: an error far
    below what one more label changes.

    Args:
        features: float32 [n, d].
        labels: int64 [n], class ids.
        num_classes: C.
        l2: 1 / C of scikit-learn.
        start: where the search begins, such as the round before; None: at zeros.
        weights: float32 [n], of the labels, at most 1; None: all weigh 1.
    """
    n = len(features)
    eigenvalues, vectors = np.linalg.eigh((features @ features.T).astype(np.float64))
    kept = eigenvalues > 1e-6 * eigenvalues[-1]
    eigenvalues, vectors = eigenvalues[kept], vectors[:, kept]
    basis = features.T @ (vectors / np.sqrt(eigenvalues)).astype(np.float32)  # [d, r], orthonormal
    scale, bias_scale = 1 / np.sqrt(eigenvalues / 2 + l2), (2 / n) ** 0.5
    inputs = np.column_stack([vectors * (np.sqrt(eigenvalues) * scale), np.full(n, bias_scale)])
    penalty = np.append(l2 * scale**2, 0.0)[:, None]
    truth = np.zeros((n, num_classes))
    truth[np.arange(n), labels] = 1
    weight = np.ones(n) if weights is None else weights.astype(np.float64)

    def loss_and_gradient(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        z = flat.reshape(-1, num_classes)
        logits = inputs @ z
        logits -= logits.max(axis=1, keepdims=True)
        exponentials = np.exp(logits)
        sums = exponentials.sum(axis=1, keepdims=True)
        losses = np.log(sums[:, 0]) - logits[np.arange(n), labels]
        loss = weight @ losses + 0.5 * (penalty * z**2).sum()
        gradient = inputs.T @ (weight[:, None] * (exponentials / sums - truth)) + penalty * z
        return float(loss), gradient.ravel()

    z = np.zeros((len(scale) + 1, num_classes))
    if start is not None:
        z[:-1] = (basis.T @ start.weight) / scale[:, None]
        z[-1] = start.bias / bias_scale
    limits = {"maxiter": 100, "gtol": 1e-3, "ftol": 1e-6}
    z = minimize(loss_and_gradient, z.ravel(), jac=True, method="L-BFGS-B", options=limits).x.reshape(z.shape)
    weight = basis @ (z[:-1] * scale[:, None]).astype(np.float32)
    return LinearClassifier(weight, (z[-1] * bias_scale).astype(np.float32))
