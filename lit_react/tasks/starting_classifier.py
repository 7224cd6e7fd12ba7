"""A linear classifier before the first label and beside the first ones: from the names of the classes and the pool."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lit_react.core.logistic_regression import LinearClassifier, fit_logistic_regression
from lit_react.data.pool import Rows

Float32s = NDArray[np.float32]

SHARPNESS = 20.0
"""What cosines are multiplied by to become logits."""

NAME_WEIGHT = 3.0
"""Labeled rows that the name of a class weighs as much as."""

FEWEST = 10
"""Labels from which on they choose the rule."""

FEWEST_AGAINST = 5
"""Labels from which on they may say that the names mislead."""

TEMPER = 0.2
"""What logits are multiplied by before labels judge them: the bought rows are hard, and a sure error is not the end."""


@dataclass(frozen=True)
class Known:
    """What the classifier is made of; embeddings are of unit length, under weights that no label has changed."""

    labeled: Float32s  # [l, d], embeddings of the rows whose labels were bought
    classes: Rows  # int64 [l], their classes
    unlabeled: Float32s  # [m, d], embeddings of other rows of the pool
    names: Float32s | None  # [C, d], embeddings of the classes' names; None: they say nothing
    num_classes: int  # C

    def keep(self, rows: NDArray[np.bool_]) -> Known:
        """Those of the labels that bool [l] says; the others' rows go without."""
        return Known(self.labeled[rows], self.classes[rows], self.unlabeled, self.names, self.num_classes)


def names_only(known: Known) -> LinearClassifier:
    """Each class is the mean of its labeled rows and its name, and as frequent as among the labels."""
    means, counts = _means(known)
    return _cosines(means, _shares(counts, len(known.labeled)))


def balanced_clusters(known: Known) -> LinearClassifier:
    """The same, and the unlabeled rows join the means by expectation-maximisation; all classes are as frequent."""
    return _expectation_maximisation(known, weight=0.1, learns_shares=False)


def clusters(known: Known) -> LinearClassifier:
    """Expectation-maximisation whose unlabeled rows weigh the less the more labels there are; it learns the shares."""
    return _expectation_maximisation(known, weight=0.1 * 20 / (20 + len(known.labeled)), learns_shares=True)


def labels_only(known: Known) -> LinearClassifier:
    """Logistic regression on the bought labels, for names that mislead."""
    return fit_logistic_regression(known.labeled, known.classes, known.num_classes, l2=0.05)


RULES: dict[Callable[[Known], LinearClassifier], float] = {
    balanced_clusters: 6.0,
    clusters: 3.0,
    names_only: 3.0,
    labels_only: 0.0,
}
"""Rule → labels that another rule must have right more often before it is preferred."""


def classifier_from_names(known: Known, seed: int) -> tuple[LinearClassifier, str]:
    """The best rule's classifier, and the rule's name.

    Before there are `FEWEST` labels it is `balanced_clusters`. Then five folds over the labels decide: the rule that
    has most of them right (a nat of their log-likelihood counts a quarter of a label), with a head start by `RULES`.
    It is `labels_only` without names, and where names mislead (see `_mislead`).

    Raises:
        ValueError: there are neither names nor labels.
    """
    if known.names is None and not len(known.labeled):
        raise ValueError("neither names nor labels")
    if known.names is None or _mislead(known):
        return labels_only(known), labels_only.__name__
    if len(known.labeled) < FEWEST:
        return balanced_clusters(known), balanced_clusters.__name__
    folds = _folds(known.classes, np.random.default_rng(seed))
    best = max(RULES, key=lambda rule: RULES[rule] + _score(rule, known, folds))
    return best(known), best.__name__


def _mislead(known: Known) -> bool:
    """Whether the bought labels are less likely by the names and the pool, without them, than if all were as likely."""
    if len(known.labeled) < FEWEST_AGAINST:
        return False
    found = balanced_clusters(known.keep(np.zeros(len(known.labeled), dtype=bool)))
    likely = LinearClassifier(TEMPER * found.weight, TEMPER * found.bias).probabilities(known.labeled)
    truth = likely[np.arange(len(known.classes)), known.classes]
    return float(np.log(truth).mean()) < -np.log(known.num_classes)


def _score(rule: Callable[[Known], LinearClassifier], known: Known, folds: Rows) -> float:
    score = 0.0
    for fold in np.unique(folds):
        held_out = folds == fold
        found = rule(known.keep(~held_out)).probabilities(known.labeled[held_out])
        truth = known.classes[held_out]
        likelihood = np.log(np.maximum(found[np.arange(len(truth)), truth], 1e-4)).sum()
        score += float((found.argmax(axis=1) == truth).sum() + 0.25 * likelihood)
    return score


def _folds(classes: Rows, generator: np.random.Generator, count: int = 5) -> Rows:
    """int64 [l], a fold of each row; the rows of a class are spread over the folds."""
    order = generator.permutation(len(classes))
    order = order[np.argsort(classes[order], kind="stable")]
    folds = np.empty(len(classes), dtype=np.int64)
    folds[order] = np.arange(len(classes)) % count
    return folds


def _expectation_maximisation(known: Known, *, weight: float, learns_shares: bool, rounds: int = 5) -> LinearClassifier:
    """Cluster means that begin at labels and names (Nigam et al. 2000); an unlabeled row weighs `weight`."""
    fixed, counts = _means(known)
    found = _cosines(fixed, _shares(counts, len(known.labeled)) if learns_shares else 0 * counts)
    for _ in range(rounds):
        shares = found.probabilities(known.unlabeled)
        means = fixed + weight * (shares.T @ known.unlabeled)
        of_classes = _shares(counts + weight * shares.sum(axis=0), len(known.labeled))
        found = _cosines(means, of_classes if learns_shares else 0 * counts)
    return found


def _means(known: Known) -> tuple[Float32s, Float32s]:
    """Sums of the embeddings of each class and its name, [C, d], and its labels, [C]."""
    truth = np.zeros((len(known.classes), known.num_classes), dtype=np.float32)
    truth[np.arange(len(truth)), known.classes] = 1
    assert known.names is not None, "rules that need none do not come here"
    return truth.T @ known.labeled + NAME_WEIGHT * known.names, truth.sum(axis=0)


def _shares(counts: Float32s, labels: int) -> Float32s:
    """float32 [C], log shares of the classes, two labels of each beforehand, believed as labels come."""
    shares = np.log((counts + 2) / (counts + 2).sum())
    return (shares * labels / (labels + 20)).astype(np.float32)


def _cosines(means: Float32s, bias: Float32s) -> LinearClassifier:
    lengths = np.linalg.norm(means, axis=1, keepdims=True)
    return LinearClassifier(SHARPNESS * (means / np.maximum(lengths, 1e-9)).T, bias)
