"""HAST: a pseudo-label stands where the row's neighbours have it too."""

from __future__ import annotations

from typing import Literal

import numpy as np

from lit_react.acquisition.strategies.geometry import load, nearest
from lit_react.augmentation.labels.base import GeneratedLabels, LabeledPool, LabelGenerator, Rows
from lit_react.augmentation.labels.embedding_classifier import Float32s, class_probabilities, one_hot
from lit_react.core.bounds import expect


class NeighbourVote(LabelGenerator):
    """Hard pseudo-labels on which a classifier and a row's nearest neighbours agree (HAST; Schröder & Heyer 2024).

    A classifier labels the unlabeled rows. A label counts where its probability reaches `threshold` and
    more than the share `agreement` of the k nearest neighbours has the same class, by cosine of the embeddings.

    Differences from the paper and its code: HAST asks the model that the round before fine-tuned, for predictions and
    embeddings, while a generator knows embeddings alone, so the classifier is logistic regression on those, whose
    guesses are smooth: nearly all neighbours agree, and the labels are those of `SelfTraining` but for a few; labeled
    rows vote too, with their bought class; the row itself does not count among the k.

    Nothing is generated while labels of one class only are known. A class without label is never generated.

    Args:
        l2: strength of the regression's penalty, 1 / C of scikit-learn; the default is `LinearProbe`'s.
        neighbors: k; all where there are fewer.
        threshold: least probability of the likeliest class.
        agreement: share of the neighbours that must be exceeded; at least a half, so it is a majority.
        class_weights: `balanced` multiplies the weight of each label of class c by sigmoid((mean − n_c) / n_c), n_c
            of the kept labels being of class c, mean = their number / C: near 1 for a rare class, 0.27 for one that
            has all. (HAST's α is 10 times that, and its β a factor, here `augmentation.label_weight`.)
    """

    gives_shares = False

    def __init__(
        self,
        l2: float = 0.05,
        neighbors: int = 15,
        threshold: float = 0.5,
        agreement: float = 0.5,
        class_weights: Literal["none", "balanced"] = "balanced",
    ) -> None:
        expect("augmentation.labels.l2", l2, above=0)
        expect("augmentation.labels.neighbors", neighbors, at_least=1)
        expect("augmentation.labels.threshold", threshold, at_least=0, at_most=1)
        expect("augmentation.labels.agreement", agreement, at_least=0.5, at_most=1)
        self.l2, self.neighbors, self.threshold, self.agreement = l2, neighbors, threshold, agreement
        self.class_weights = class_weights

    def _label(self, pool: LabeledPool, rows: Rows, seed: int) -> GeneratedLabels:
        """Reports shares of the rows: `confident`, in `agreement`, and both: `kept`.

        The vote takes time in the square of the rows.
        """
        probabilities = class_probabilities(pool, rows, self.l2)
        classes = probabilities.argmax(axis=1)
        confident = probabilities.max(axis=1) >= self.threshold
        agreeing = self._votes(pool, rows, classes) > self.agreement
        kept = confident & agreeing
        shares = {"confident": confident, "agreement": agreeing, "kept": kept}
        report = {name: float(mask.mean()) for name, mask in shares.items()}
        weights = np.zeros(len(rows), dtype=np.float32)
        weights[kept] = self._weights(classes[kept], pool.num_classes)
        return GeneratedLabels(rows, one_hot(classes, pool.num_classes), weights, report)

    def _votes(self, pool: LabeledPool, rows: Rows, classes: Rows) -> Float32s:
        """[m], the share of each row's neighbours that have its class."""
        points = load(pool.embeddings, rows)
        voters = np.concatenate([points, load(pool.embeddings, pool.rows)])
        voices = np.concatenate([classes, pool.classes])
        count = min(self.neighbors, len(voters) - 1)
        _, positions = nearest(points, voters, count, own=np.arange(len(rows)))
        return (voices[positions] == classes[:, None]).mean(axis=1, dtype=np.float32)

    def _weights(self, classes: Rows, num_classes: int) -> Float32s:
        if self.class_weights == "none":
            return np.ones(len(classes), dtype=np.float32)
        own = np.bincount(classes, minlength=num_classes)[classes]
        balance = 1 / (1 + np.exp(1 - len(classes) / num_classes / own))
        return balance.astype(np.float32)
