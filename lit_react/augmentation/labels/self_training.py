"""Logistic regression on the bought labels: the plain generator of labels, and what the LGAN begins with."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from lit_react.augmentation.labels.base import GeneratedLabels, LabeledPool, LabelGenerator, Rows
from lit_react.core.bounds import expect
from lit_react.core.logistic_regression import LinearClassifier


class SelfTraining(LabelGenerator):
    """Logistic regression on the embeddings labels the rows that it is sure of (pseudo-labels; Lee 2013).

    It is the plain baseline of `LabelGAN`. Nothing is generated while labels of one class only are known. A class
    without label is never generated.

    Args:
        l2: strength of the regression's penalty, 1 / C of scikit-learn; the default is `LinearProbe`'s.
        threshold: least probability of the likeliest class with which a row counts; below it, its weight is 0.
    """

    def __init__(self, l2: float = 0.05, threshold: float = 0.5) -> None:
        expect("augmentation.labels.l2", l2, above=0)
        expect("augmentation.labels.threshold", threshold, at_least=0, at_most=1)
        self.l2, self.threshold = l2, threshold

    def label(self, pool: LabeledPool, rows: Rows, seed: int) -> GeneratedLabels:
        """Label the rows; the report has the share of them that are `kept`, and the mean `confidence` of these."""
        known, classes = np.unique(pool.classes, return_inverse=True)
        classifier = logistic_regression(pool.embeddings[pool.rows], classes, self.l2)
        targets = np.zeros((len(rows), pool.num_classes), dtype=np.float32)
        targets[:, known] = classifier.probabilities(pool.embeddings[rows])
        confidence = targets.max(axis=1)
        kept = confidence >= self.threshold
        report = {"kept": float(kept.mean())}
        if kept.any():
            report["confidence"] = float(confidence[kept].mean())
        return GeneratedLabels(rows, targets, kept.astype(np.float32), report)


def logistic_regression(inputs: NDArray[np.float32], classes: NDArray[np.int64], l2: float) -> LinearClassifier:
    """Fit scikit-learn's `LogisticRegression(C=1/l2)`, exactly where `fit_logistic_regression` is fast.

    Inputs are float32 [n, d], classes int64 [n], in which each of 0 … K-1 occurs. Gives weight float32 [d, K] and bias
    [K], of a softmax also where K is 2.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The number of unique classes")  # many classes and few labels are no mistake
        fitted = LogisticRegression(C=1 / l2, max_iter=300).fit(inputs, classes)
    weight, bias = fitted.coef_, fitted.intercept_
    if len(weight) == 1:  # one row that speaks for class 1; a softmax wants one for each class
        weight, bias = np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
    return LinearClassifier(weight.astype(np.float32).T, bias.astype(np.float32))
