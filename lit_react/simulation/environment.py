"""A round without a Trainer: the head is refitted on cached embeddings, and the same signals and features come out."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from lit_react.acquisition.features import FeatureMap, History
from lit_react.acquisition.signals import PoolSignals, Rows
from lit_react.core.logistic_regression import LinearClassifier, fit_logistic_regression
from lit_react.simulation.tasks import Task

VALIDATION_SIZE = 100
"""Test rows that stand for a run's validation split: a policy shall know a metric as noisy as the real one."""


class Annotation:
    """A state of a simulated run: what is labeled, and the head that was fitted on it.

    It begins with the labeled rows, int64 [l] relative to the pool and in any order, and the state before the last
    purchase; None at the start.

    Attributes:
        accuracy: on the test set, less the rows that stand for the validation split; on all of a set that has no more.
        value: mean of the accuracy on all test rows and of the mean probability of the true class, in [0, 1]; it moves
            with each label, accuracy in steps.
        history: what a run would know: its metric is measured on `VALIDATION_SIZE` rows only.
    """

    head: LinearClassifier
    history: History

    def __init__(self, task: Task, labeled: Rows, before: Annotation | None = None) -> None:
        self.task, self.labeled = task, np.sort(labeled)
        pool, start = task.pool, before.head if before else None
        known = pool.labels[self.labeled]
        self.head = fit_logistic_regression(pool.embeddings[self.labeled], known, task.num_classes, task.l2, start)
        probabilities = self.head.probabilities(task.test.embeddings)
        right = probabilities.argmax(1) == task.test.labels
        self.accuracy = float((right[VALIDATION_SIZE:] if len(right) > VALIDATION_SIZE else right).mean())
        self.value = (
            float(right.mean()) + float(probabilities[np.arange(len(task.test)), task.test.labels].mean())
        ) / 2
        values = [*(before.history.values if before else []), float(right[:VALIDATION_SIZE].mean())]
        self.history = History(values=values)
        if before:
            self.history.predictions, self.history.confidences = before.seen

    def buy(self, rows: Rows) -> Annotation:
        """The state after labels for these pool rows."""
        return Annotation(self.task, np.concatenate([self.labeled, rows]), self)

    @cached_property
    def signals(self) -> PoolSignals:
        """As one pass over the pool would give them."""
        pool = self.task.pool
        probabilities = self.head.probabilities(pool.embeddings)
        unlabeled = np.ones(len(pool), dtype=bool)
        unlabeled[self.labeled] = False
        rows = np.flatnonzero(unlabeled)
        signals = PoolSignals(
            rows=rows,
            probabilities=probabilities[rows],
            embeddings=pool.embeddings[rows],
            labeled_rows=self.labeled,
            labels=pool.labels[self.labeled],
            labeled_probabilities=probabilities[self.labeled],
            labeled_embeddings=pool.embeddings[self.labeled],
            head_inputs=pool.embeddings[rows],
        )
        signals.__dict__["similarities"] = self.task.similarities[np.ix_(rows, rows)]
        return signals

    @cached_property
    def seen(self) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Predictions and confidences of this round, as the next one remembers them."""
        remembered = History()
        remembered.remember(self.signals, len(self.task.pool))
        return remembered.predictions, remembered.confidences

    def features(self, rounds: int, generator: np.random.Generator) -> FeatureMap:
        """Features relative to this state, of a run of `rounds` purchases; the generator draws the anchors."""
        spent = min((len(self.history.values) - 1) / rounds, 1.0)
        return FeatureMap(self.signals, self.history, np.ones(len(self.task.pool)), spent, generator)


def begin(task: Task, generator: np.random.Generator) -> Annotation:
    """The state after the initial labels, drawn at random."""
    return Annotation(task, generator.permutation(len(task.pool))[: task.initial_size])
