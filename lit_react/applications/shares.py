"""Which share of some texts each class has: counting what a classifier says is biased, most where shares move."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lit_react.annotation.label_errors import L2, out_of_fold
from lit_react.core.logistic_regression import LinearClassifier, fit_logistic_regression

Floats = NDArray[np.float64]

STEPS, TOLERANCE = 200, 1e-4
"""Of expectation-maximisation: the most, and the change of a share at which it ends."""

DRAWS, MOST = 30, 100
"""Of the bought labels, to see how far estimates are off, and the texts of one."""


def adjusted_shares(probabilities: Floats, learned: Floats) -> Floats:
    """Shares of the classes by expectation-maximisation (Saerens, Latinne and Decaestecker 2002), float64 [..., C].

    What is taken to differ from the bought labels is how frequent the classes are, not what the texts of a class are
    like. The likelihood of the texts is maximised.

    Args:
        probabilities: float64 [..., n, C], of each text; n above 0.
        learned: float64 [C], shares of the classes among the labels that the model has learned, all above 0.
    """
    likelihoods = probabilities / learned
    shares = np.broadcast_to(learned, (*probabilities.shape[:-2], len(learned)))
    for _ in range(STEPS):
        posterior = likelihoods * shares[..., None, :]
        before, shares = shares, (posterior / posterior.sum(axis=-1, keepdims=True)).mean(axis=-2)
        if np.abs(shares - before).max() < TOLERANCE:
            break
    return shares


@dataclass(frozen=True, eq=False)
class ShareReader:
    """A classifier on the pretrained encoder's embeddings, and what it said of bought labels that it had not seen.

    The run's own model has learned all bought labels, so nobody knows how often it confuses the classes.

    Attributes:
        classifier: fitted to all bought labels.
        learned: float64 [C], shares of the classes among them; half a label is added to each class.
        held_out: float64 [n, C], its probabilities by folds.
        labels: int64 [n], class ids.
    """

    classifier: LinearClassifier
    learned: Floats
    held_out: Floats
    labels: NDArray[np.int64]

    @classmethod
    def fitted(cls, embeddings: NDArray[np.float32], labels: NDArray[np.int64], num_classes: int) -> ShareReader:
        """By bought labels and their embeddings, float32 [n, d], of unit length."""
        counts = np.bincount(labels, minlength=num_classes) + 0.5
        classifier = fit_logistic_regression(embeddings, labels, num_classes, L2)
        return cls(classifier, counts / counts.sum(), out_of_fold(embeddings, labels, num_classes), labels)

    def estimate(self, probabilities: Floats) -> tuple[Floats, Floats]:
        """Adjusted shares of n texts and their standard errors, float64 [C] both, given `probabilities` [n, C].

        An error is the root mean square of those that the estimate makes on held-out labels: these are drawn anew, and
        from them texts in the estimated shares, so that it has the errors of the classifier, of its few labels and of
        the sample.
        """
        shares = adjusted_shares(probabilities, self.learned)
        generator, texts = np.random.default_rng(0), min(len(probabilities), MOST)
        again = np.sort(generator.integers(len(self.labels), size=(DRAWS, len(self.labels))), axis=1)
        rows = np.stack([generator.choice(own, texts, p=self._weights(own, shares)) for own in again])
        truth = (self.labels[rows][..., None] == np.arange(len(shares))).mean(axis=1)
        off = adjusted_shares(self.held_out[rows], self.learned) - truth
        return shares, np.sqrt((off**2).mean(axis=0))

    def _weights(self, rows: NDArray[np.int64], shares: Floats) -> Floats:
        labels = self.labels[rows]
        weights = (shares + 1e-9)[labels] / np.bincount(labels, minlength=len(shares))[labels]
        return np.asarray(weights / weights.sum(), dtype=np.float64)
