"""Self-training: a simple classifier labels the pool, and what it is sure of joins the fit."""

from __future__ import annotations

from typing import Literal

import numpy as np

from lit_react.augmentation.labels.base import GeneratedLabels, LabeledPool, LabelGenerator, Rows
from lit_react.augmentation.labels.embedding_classifier import Float32s, class_probabilities, one_hot
from lit_react.core.bounds import expect


class SelfTraining(LabelGenerator):
    """Logistic regression on the embeddings labels the rows that it is sure of (pseudo-labels; Lee 2013).

    Nothing is generated while labels of one class only are known. A class without label is never generated.

    Args:
        l2: strength of the regression's penalty, 1 / C of scikit-learn; the default is `LinearProbe`'s.
        threshold: least probability of the likeliest class with which a row counts; below it, its weight is 0.
        targets: `soft`: the probabilities; `hard`: all mass on the likeliest class.
        prior: class shares that the mean prediction is brought to, before the threshold, in one step of distribution
            alignment (ReMixMatch; Berthelot et al. 2020, section 3.1): `labeled`: those of the bought labels, which
            the acquisition may have skewed; `uniform`: equal among the classes with labels; `none`: as predicted.
    """

    def __init__(
        self,
        l2: float = 0.05,
        threshold: float = 0.5,
        targets: Literal["soft", "hard"] = "soft",
        prior: Literal["none", "labeled", "uniform"] = "none",
    ) -> None:
        expect("augmentation.labels.l2", l2, above=0)
        expect("augmentation.labels.threshold", threshold, at_least=0, at_most=1)
        self.l2, self.threshold, self.targets, self.prior = l2, threshold, targets, prior
        self.gives_shares = targets == "soft"

    def _label(self, pool: LabeledPool, rows: Rows, seed: int) -> GeneratedLabels:
        """Reports the share of the rows that are `kept`, and their mean `confidence`."""
        probabilities = self._aligned(class_probabilities(pool, rows, self.l2), pool)
        confidence = probabilities.max(axis=1)
        kept = confidence >= self.threshold
        targets = probabilities
        if self.targets == "hard":
            targets = one_hot(targets.argmax(axis=1), pool.num_classes)
        report = {"kept": float(kept.mean())}
        if kept.any():
            report["confidence"] = float(confidence[kept].mean())
        return GeneratedLabels(rows, targets, kept.astype(np.float32), report)

    def _aligned(self, probabilities: Float32s, pool: LabeledPool) -> Float32s:
        if self.prior == "none":
            return probabilities
        counts = np.bincount(pool.classes, minlength=pool.num_classes)
        prior = (counts if self.prior == "labeled" else counts > 0).astype(np.float32)
        mean = probabilities.mean(axis=0)
        ratio = np.divide(prior / prior.sum(), mean, out=np.zeros_like(mean), where=mean > 0)
        aligned = probabilities * ratio
        return aligned / aligned.sum(axis=1, keepdims=True)
