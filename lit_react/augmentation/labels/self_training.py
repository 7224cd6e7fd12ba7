"""Self-training: a simple classifier labels the pool, and what it is sure of joins the fit."""

from __future__ import annotations

import numpy as np

from lit_react.augmentation.labels.base import GeneratedLabels, LabeledPool, LabelGenerator, Rows
from lit_react.augmentation.labels.logistic_regression import logistic_regression
from lit_react.core.bounds import expect


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
