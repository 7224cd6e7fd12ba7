"""Which labels look wrong: confident learning (Northcutt, Jiang and Chuang 2021, as in cleanlab)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from lit_react.core.logistic_regression import LinearClassifier, fit_logistic_regression

FOLDS = 5
L2 = 0.05
"""Of the classifier on embeddings of unit length, as `LinearProbe` has it."""

FEWEST = 3
"""Labels of a class that are needed to tell whether one of them is wrong."""

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]


Fit: TypeAlias = Callable[[NDArray[np.float32], Rows], LinearClassifier]
"""Embeddings float32 [n, d] and class ids int64 [n] of some rows → a classifier of all C classes."""


def out_of_fold(embeddings: NDArray[np.float32], labels: Rows, num_classes: int, fit: Fit | None = None) -> Floats:
    """float64 [n, C], probabilities by classifiers that have not seen the label of the row.

    The folds have each class in equal shares.

    Args:
        embeddings: float32 [n, d], of unit length.
        labels: int64 [n], class ids.
        num_classes: C.
        fit: of the classifiers; None: logistic regression.
    """
    fit = fit or (lambda features, truth: fit_logistic_regression(features, truth, num_classes, L2))
    fold = np.empty(len(labels), dtype=np.int64)
    fold[np.argsort(labels, kind="stable")] = np.arange(len(labels)) % FOLDS
    found = np.zeros((len(labels), num_classes))
    for held in (fold == number for number in range(min(FOLDS, len(labels)))):
        found[held] = fit(embeddings[~held], labels[~held]).probabilities(embeddings[held])
    return found


def label_errors(labels: Rows, probabilities: Floats) -> tuple[Rows, Rows]:
    """Positions whose label looks wrong, the worst first, and the class that is likelier for each; int64 [k] both.

    A row is counted for the likeliest class of which the model is as sure as it is in the mean of that class's own
    rows; where that is another class than its label, the label looks wrong. The order is that of the normalised
    margin, the probability of the label less that of the likeliest other class.

    Args:
        labels: int64 [n], class ids, 0 … C-1.
        probabilities: float64 [n, C], out of fold.
    """
    every = np.arange(len(labels))
    own, counts = probabilities[every, labels], np.bincount(labels, minlength=probabilities.shape[1])
    sums = np.bincount(labels, weights=own, minlength=probabilities.shape[1])
    thresholds = np.where(counts > 0, sums / np.maximum(counts, 1), np.inf)
    sure = np.where(probabilities >= thresholds - 1e-6, probabilities, -1.0)
    likelier = sure.argmax(axis=1)
    wrong = (sure.max(axis=1) >= 0) & (likelier != labels) & (counts[labels] >= FEWEST)
    others = probabilities.copy()
    others[every, labels] = -1.0
    worst = np.argsort(own - others.max(axis=1), kind="stable")
    worst = worst[wrong[worst]]
    return worst, likelier[worst]
