"""Simulated rounds by loops that keep nothing: what `simulation.py` is measured against."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property, partial

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn.linear_model import LogisticRegression

from lit_react.acquisition.features import History
from lit_react.acquisition.proposals import Batches, Proposal
from lit_react.acquisition.signals import PoolSignals, Rows
from lit_react.acquisition.strategies import Strategy
from lit_react.acquisition.strategies.facility_location import facility_location
from lit_react.acquisition.strategies.naming import find_strategy
from lit_react.acquisition.strategies.transductive_design import transductive_design
from lit_react.simulation.environment import VALIDATION_SIZE, Annotation, begin
from lit_react.simulation.tasks import Task


class AsPrinted(Batches):
    """Every rule sees signals on which nothing was computed yet; the greedy ones are as their papers print them.

    After each pick, everything is computed again.
    """

    def propose(
        self, signals: PoolSignals, k: int, generator: np.random.Generator, asked: Sequence[str] | None = None
    ) -> list[Proposal]:
        """As in `Batches`."""
        names = sorted(self.names) if asked is None else asked
        picks = {name: self.rule(name)(replace(signals), k, generator) for name in names}
        return [Proposal(name, picks[name], name == self.default_rule) for name in self.names if name in picks]

    def rule(self, name: str) -> Strategy:
        """What stands for the rule."""
        own = find_strategy(name)
        printed: dict[Callable[..., Rows], Callable[..., Rows]] = {
            facility_location: greedy_location,
            transductive_design: greedy_design,
        }
        if isinstance(own, partial):
            return partial(printed[own.func], **own.keywords) if own.func in printed else own
        return printed.get(own, own)


def greedy_location(
    signals: PoolSignals, k: int, _: np.random.Generator, *, power: float = 1.0, exponent: float = 3.0
) -> Rows:
    """`facility_location` of a pool that need not be thinned: each pick has the highest of all gains."""
    weights = uncertainty_weights(signals, exponent)
    similarity = np.maximum(signals.embeddings @ signals.embeddings.T, 0) ** np.float32(power)
    known = np.maximum(signals.embeddings @ signals.labeled_embeddings.T, 0) ** np.float32(power)
    covered = known.max(1)
    picks: list[int] = []
    while len(picks) < k:
        gains = weights @ np.maximum(similarity - covered[:, None], 0)
        gains[picks] = -np.inf
        picks.append(int(gains.argmax()))
        covered = np.maximum(covered, similarity[:, picks[-1]])
    return signals.rows[picks]


def greedy_design(
    signals: PoolSignals, k: int, _: np.random.Generator, *, penalty: float = 5.0, exponent: float = 3.0
) -> Rows:
    """`transductive_design`: each pick is judged by the covariance of all rows before it."""
    points, labeled = signals.embeddings, signals.labeled_embeddings
    weights = uncertainty_weights(signals, exponent)
    moment = (points * (weights / weights.sum())[:, None]).T @ points
    picks: list[int] = []
    while len(picks) < k:
        known = np.concatenate([labeled, points[picks]])
        covariance = np.linalg.inv(known.T @ known + penalty * np.eye(points.shape[1])).astype(np.float32)
        across = points @ covariance
        gains = ((across @ moment) * across).sum(1) / (1 + (across * points).sum(1))
        gains[picks] = -np.inf
        picks.append(int(gains.argmax()))
    return signals.rows[picks]


def uncertainty_weights(signals: PoolSignals, exponent: float) -> NDArray[np.float32]:
    """float32 [n], those of both rules."""
    return np.asarray((rankdata(-signals.margin) / len(signals)) ** exponent, dtype=np.float32)


class Anew(Annotation):
    """A state of which nothing is reused."""

    def __init__(self, task: Task, labeled: Rows, before: Annotation | None = None) -> None:
        self.task, self.labeled = task, np.sort(labeled)
        known = task.pool.labels[self.labeled]
        self.model = LogisticRegression(C=1 / task.l2, max_iter=1000).fit(task.pool.embeddings[self.labeled], known)
        probabilities = self.probabilities(task.test.embeddings)
        right = probabilities.argmax(1) == task.test.labels
        self.accuracy = float(right.mean())
        self.value = (self.accuracy + float(probabilities[np.arange(len(task.test)), task.test.labels].mean())) / 2
        values = [*(before.history.values if before else []), float(right[:VALIDATION_SIZE].mean())]
        self.history = History(values=values)
        if before:
            self.history.predictions, self.history.confidences = before.seen

    def probabilities(self, points: NDArray[np.float32]) -> NDArray[np.float32]:
        """float32 [n, C]; a class without labels has none."""
        found = np.zeros((len(points), self.task.num_classes), dtype=np.float32)
        found[:, self.model.classes_] = self.model.predict_proba(points)
        return found

    def buy(self, rows: Rows) -> Anew:
        """As in `Annotation`."""
        return Anew(self.task, np.concatenate([self.labeled, rows]), self)

    @cached_property
    def signals(self) -> PoolSignals:
        """As in `Annotation`, without the similarities."""
        points, probabilities = self.task.pool.embeddings, self.probabilities(self.task.pool.embeddings)
        rows = np.setdiff1d(np.arange(len(points)), self.labeled)
        return PoolSignals(
            rows=rows,
            probabilities=probabilities[rows],
            embeddings=points[rows],
            labeled_rows=self.labeled,
            labels=self.task.pool.labels[self.labeled],
            labeled_probabilities=probabilities[self.labeled],
            labeled_embeddings=points[self.labeled],
            head_inputs=points[rows],
        )


def begin_anew(task: Task, generator: np.random.Generator) -> Anew:
    """As `begin`, the same first labels."""
    return Anew(task, generator.permutation(len(task.pool))[: task.initial_size])


def check_picks(task: Task) -> None:
    """Exit unless the printed rules pick the rows that ours pick; a near tie may be broken otherwise."""
    now, as_printed = begin(task, np.random.default_rng(0)), AsPrinted()
    for name in as_printed.names:
        ours = find_strategy(name)(now.signals, task.query_size, np.random.default_rng(0))
        printed = as_printed.rule(name)(now.signals, task.query_size, np.random.default_rng(0))
        if len(np.intersect1d(ours, printed)) < task.query_size - 1:
            raise SystemExit(f"{name}: {len(np.intersect1d(ours, printed))} of {task.query_size} picks are the same")
