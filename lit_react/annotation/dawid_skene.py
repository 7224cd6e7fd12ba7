"""Labels of one class each, from answers of annotators who err in ways of their own (Dawid and Skene 1979)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from lit_react.annotation.answers import Given, Label, Where, written

MOST_STEPS, PRECISION = 100, 1e-6
"""Steps of expectation-maximisation, and the change of a probability below which it ends."""

FLOOR = 0.01
"""Answers that each cell of the crowd's confusion matrix has before there is any."""


def dawid_skene(answers: Mapping[Where, Sequence[Given]]) -> dict[Where, Label]:
    """The likeliest label of each row, where each annotator has a confusion matrix of their own.

    Expectation-maximisation from the shares of the answers on: with the probabilities of the labels the confusion
    matrices are estimated, with these the probabilities. An annotator's matrix counts one answer for each class more,
    spread as the errors of all annotators are: who has answered few texts is taken for one of the crowd. A row has one
    of the labels that it was given, of two equally likely ones the first that was given; so a single answer stands.
    A. P. Dawid and A. M. Skene, Maximum likelihood estimation of observer error-rates using the EM algorithm, 1979.
    """
    said = {where: [each for each in given if each.label is not None] for where, given in answers.items()}
    said = {where: given for where, given in said.items() if given}
    flat = [(row, each.annotator, written(each.label)) for row, given in enumerate(said.values()) for each in given]
    if not flat:
        return {}
    rows, annotators, labels = zip(*flat, strict=True)
    classes, people = list(dict.fromkeys(labels)), list(dict.fromkeys(annotators))
    of_class, of_person = {c: k for k, c in enumerate(classes)}, {a: j for j, a in enumerate(people)}
    row, label = np.asarray(rows), np.asarray([of_class[each] for each in labels])
    shares = probabilities(row, np.asarray([of_person[each] for each in annotators]), label)
    best = dict[int, int]()
    for r, c in zip(row.tolist(), label.tolist(), strict=True):
        if r not in best or shares[r, c] > shares[r, best[r]]:
            best[r] = c
    return {where: json.loads(classes[best[r]]) for r, where in enumerate(said)}


def probabilities(
    rows: NDArray[np.int64], annotators: NDArray[np.int64], labels: NDArray[np.int64]
) -> NDArray[np.float64]:
    """float64 [n, C], of the classes of each row, to six digits; 0 for a class that nobody gave it.

    Args:
        rows: int64 [m], the row of each answer, 0 … n-1; each has one at least.
        annotators: int64 [m], who gave it, 0 … J-1.
        labels: int64 [m], the class that was given, 0 … C-1.
    """
    n, people, classes = rows.max() + 1, annotators.max() + 1, labels.max() + 1
    votes = np.zeros((n, classes))
    np.add.at(votes, (rows, labels), 1.0)
    shares = votes / votes.sum(axis=1, keepdims=True)
    for _ in range(MOST_STEPS):
        confusion = np.zeros((people, classes, classes))  # annotator, given class, true class
        np.add.at(confusion, (annotators, labels), shares[rows])
        crowd = confusion.sum(axis=0) + FLOOR
        confusion += crowd / crowd.sum(axis=0)
        confusion /= confusion.sum(axis=1, keepdims=True)
        logits = np.where(votes > 0, np.log(shares.mean(axis=0)), -np.inf)
        np.add.at(logits, rows, np.log(confusion[annotators, labels]))
        likelihoods = np.exp(logits - logits.max(axis=1, keepdims=True))
        before, shares = shares, likelihoods / likelihoods.sum(axis=1, keepdims=True)
        if np.abs(shares - before).max() < PRECISION:
            break
    return shares.round(6)
