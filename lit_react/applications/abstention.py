"""When a served model gives no answer: it is not sure enough, or the text is unlike all whose labels were bought."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from lit_react.annotation.label_errors import Fit, out_of_fold
from lit_react.core.logistic_regression import LinearClassifier

FEWEST = 20
"""Bought rows below which neither a threshold of confidence nor one of likeness means anything."""

OUTSIDE = 0.05
"""Share of the bought rows that would be out of scope if each were compared with the others alone."""

BINS = 10
"""Of the expected calibration error, equally wide."""

Floats = NDArray[np.float64]
Float32s = NDArray[np.float32]
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Confidence:
    """How likely a label is, by a classifier on the pretrained encoder's embeddings: a second reader of each text.

    The served model has learned the bought labels, so its own probabilities of them say nothing; this classifier was
    judged on folds that it had not seen. A label is given where the second reader finds it likely enough, which is
    never above the precision that this reader alone would have at the threshold.

    Attributes:
        classifier: fitted to all bought labels, its logits divided by the temperature.
        threshold: least probability of a label that is given; infinite where no threshold has the precision.
        precision: share of right labels among the held-out rows at or above the threshold.
        coverage: share of the held-out rows that are at or above it.
        raw_error: expected calibration error of the held-out probabilities, in [0, 1], before the temperature.
        error: the same, after it.
    """

    classifier: LinearClassifier
    threshold: float
    precision: float
    coverage: float
    raw_error: float
    error: float

    @classmethod
    def fitted(cls, embeddings: Float32s, labels: Rows, num_classes: int, fit: Fit, wanted: float) -> Confidence | None:
        """By bought labels, int64 [n], and their embeddings, float32 [n, d], of unit length.

        None where the labels are fewer than `FEWEST` or of one class. `fit` makes the second reader, and `wanted` is
        the precision, in (0, 1).
        """
        if len(labels) < FEWEST or len(np.unique(labels)) < 2:
            return None
        held_out = out_of_fold(embeddings, labels, num_classes, fit)
        temperature = best_temperature(held_out, labels)
        scaled = tempered(held_out, temperature)
        sure, right = scaled.max(axis=1), scaled.argmax(axis=1) == labels
        threshold = threshold_for(sure, right, wanted)
        given = sure >= threshold
        found = fit(embeddings, labels)
        return cls(
            LinearClassifier(found.weight / np.float32(temperature), found.bias / np.float32(temperature)),
            threshold,
            float(right[given].mean()) if given.any() else 0.0,
            float(given.mean()),
            calibration_error(held_out.max(axis=1), held_out.argmax(axis=1) == labels),
            calibration_error(sure, right),
        )

    def of(self, label: int, embedding: Float32s) -> float:
        """Probability of a class id, given float32 [d]."""
        return float(self.classifier.probabilities(embedding[None])[0, label])


@dataclass(frozen=True)
class Scope:
    """What was bought, to tell texts that are unlike all of it.

    Attributes:
        embeddings: float32 [n, d], of the bought rows, of unit length.
        threshold: cosine to the nearest of them below which a text is out of scope.
    """

    embeddings: Float32s
    threshold: float

    @classmethod
    def of_rows(cls, embeddings: Float32s) -> Scope | None:
        """The threshold is the `OUTSIDE` quantile of each row's cosine to the nearest *other* row; None of few rows."""
        if len(embeddings) < FEWEST:
            return None
        cosines = embeddings @ embeddings.T
        np.fill_diagonal(cosines, -1.0)
        return cls(embeddings, float(np.quantile(cosines.max(axis=1), OUTSIDE)))

    def similarity(self, embeddings: Float32s) -> Float32s:
        """float32 [b], cosine of each of some texts to the nearest bought row."""
        return (embeddings @ self.embeddings.T).max(axis=1)


def tempered(probabilities: Floats, temperature: float) -> Floats:
    """Probabilities [n, C] whose logits are divided by a temperature."""
    powers = np.maximum(probabilities, 1e-12) ** (1 / temperature)
    return powers / powers.sum(axis=1, keepdims=True)


def best_temperature(probabilities: Floats, labels: Rows) -> float:
    """The temperature, in [0.05, 20], at which held-out labels are likeliest (Guo et al. 2017)."""
    every = np.arange(len(labels))

    def loss(log: float) -> float:
        return -float(np.log(np.maximum(tempered(probabilities, np.exp(log))[every, labels], 1e-12)).mean())

    return float(np.exp(minimize_scalar(loss, bounds=(np.log(0.05), np.log(20)), method="bounded").x))


def threshold_for(sure: Floats, right: NDArray[np.bool_], wanted: float) -> float:
    """The least confidence such that the rows at or above it are right in the wanted share; infinite where none is.

    One more row counts as wrong, so that few rows do not promise what they cannot show.

    Args:
        sure: float64 [n], probability of the predicted label of rows that were held out.
        right: bool [n], whether that label is the row's.
        wanted: precision, in (0, 1).
    """
    order = np.argsort(-sure, kind="stable")
    shares = np.cumsum(right[order]) / (np.arange(len(sure)) + 2)
    ends = np.append(sure[order][1:] != sure[order][:-1], True)  # equal confidences stay together
    good = np.flatnonzero((shares >= wanted) & ends)
    return float(sure[order][good[-1]]) if len(good) else float("inf")


def calibration_error(sure: Floats, right: NDArray[np.bool_]) -> float:
    """Expected calibration error: mean distance of confidence and share of right rows over `BINS`, by their sizes."""
    bins = np.minimum((sure * BINS).astype(np.int64), BINS - 1)
    gaps = np.bincount(bins, weights=sure, minlength=BINS) - np.bincount(bins, weights=right, minlength=BINS)
    return float(np.abs(gaps).sum() / len(sure))
