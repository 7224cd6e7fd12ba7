"""At the end of each fit: best weights, a pass over the pool, a step of the learner, and the queries handed over."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import lightning as L
import numpy as np
import torch
from numpy.typing import NDArray

from lit_react.acquisition.agents import Agent, DoubleDQN
from lit_react.acquisition.estimate import ERROR, ESTIMATE, Estimator, calibrated_accuracy, mean_certainty
from lit_react.acquisition.knapsack import ByRank, ByValuePerCost, QueryLimits, Selection
from lit_react.acquisition.learner import Learner, Money
from lit_react.acquisition.proposals import Batches, Proposals
from lit_react.acquisition.rewards import GainReward, Reward
from lit_react.acquisition.scoring import rows_to_score, score_pool
from lit_react.acquisition.signals import PoolSignals
from lit_react.acquisition.stopping import StoppingRule
from lit_react.annotation.ledger import Query
from lit_react.core.bounds import expect
from lit_react.core.errors import UserError
from lit_react.core.processes import files_of_first, from_first
from lit_react.data.task import Task
from lit_react.tasks.base import TaskModule

FORMAT = 4
"""Of the saved state; counts up when its content changes."""


class Books(Protocol):
    """Who keeps the books: what is left of the money, what was asked already, and where queries go."""

    def money(self, round: int) -> Money:
        """What the query that is first used in a round may cost."""
        ...

    def ask(self, round: int, queries: Sequence[Query]) -> None:
        """Take the query that is first used in a round; every process calls it."""
        ...


class OwnLoop:
    """The books of a loop of one's own: no budget, and the data module answers at once by its own gold labels."""

    def __init__(self, data: Any) -> None:
        self.data = data

    def money(self, round: int) -> Money:
        """Without limit."""
        return Money(paid=float(self.data.pool.costs[self.data.pool.labeled_rows].sum()))

    def ask(self, round: int, queries: Sequence[Query]) -> None:
        """Move the rows from unlabeled to labeled."""
        self.data.label(np.asarray([query.row for query in queries], dtype=np.int64))


@dataclass
class RoundReport:
    """What the callback tells of one round."""

    # validation metrics of the best weights; `val/estimate` and `val/standard_error` where there are no validation rows
    metrics: dict[str, float]
    reward: float | None = None  # of the previous purchase; None in the first round
    # numbers of the agent, and the `proposal` taken. Of `DoubleDQN`: `td_loss`, `q_mean`, `q_taken`, `temperature` (α),
    # `guard_closed`, `proposals`
    q: dict[str, Any] = field(default_factory=dict)
    # one dictionary per row asked for: row, cost, policy, Q-value and signals
    query: list[dict[str, Any]] = field(default_factory=list)
    stop: str | None = None  # why nothing was asked for, or None
    seconds: dict[str, float] = field(default_factory=dict)  # per phase, `score` and `select`


class AcquisitionCallback(L.Callback):
    """Lives across the rounds of a run; owns the learner, sees the pool and the books, never the test split.

    A run gives it the books of its ledger. In a loop of one's own, `Trainer(callbacks=[acquisition]).fit(module, data)`
    again and again, the rows that it asks for are answered at once by the gold labels of the data module, and `report`
    tells the reward.

    Args:
        proposals: what can be bought; None: `Batches()`.
        agent: who chooses and learns; None: `DoubleDQN()`.
        reward: what a purchase was worth; None: `GainReward()`.
        query_size: samples per purchase; None: as many as `query_cost` pays for; a list: those of the first purchase,
            of the second, …, the last of them for all that follow.
        query_cost: cost units per purchase; None: whatever `query_size` samples cost. Where both are given, both hold.
            A query costs more only where each row that is left does: then it is one of the cheapest.
        selection: which of the proposed samples are bought where not all can be paid: `ByRank` or `ByValuePerCost`;
            None: `ByValuePerCost` where `query_cost` is given, else `ByRank`.
        batch_size: rows per forward pass when scoring the pool.
        pool_sample: rows that may be asked for, drawn anew in each round by the run's seed, that the pass over the pool
            scores; None: all of them. Others cannot be bought in that round.
        metric: validation metric that is V(s); None: the task's own. Without validation rows V(s) is an estimate, see
            `estimated_accuracy`.
    """

    def __init__(
        self,
        proposals: Proposals | None = None,
        agent: Agent | None = None,
        reward: Reward | None = None,
        query_size: int | list[int] | None = 20,
        query_cost: float | None = None,
        selection: Selection | None = None,
        batch_size: int = 128,
        pool_sample: int | None = None,
        metric: str | None = None,
    ) -> None:
        expect("acquisition.batch_size", batch_size, at_least=1)
        if query_size == []:
            raise UserError("acquisition.query_size: an empty list, expected the size of one purchase or more")
        sizes = query_size if isinstance(query_size, list) else [query_size]
        if pool_sample is not None:
            expect("acquisition.pool_sample", pool_sample, at_least=max(1, *(size or 1 for size in sizes)))
        self.proposals, self.agent, self.reward = proposals or Batches(), agent or DoubleDQN(), reward or GainReward()
        self.query_size, self.query_cost = query_size, query_cost
        self.selection = selection or (ByRank() if query_cost is None else ByValuePerCost())
        self.batch_size, self.pool_sample, self.metric = batch_size, pool_sample, metric
        limits = [QueryLimits(size, query_cost) for size in sizes]
        self.learner = Learner(self.proposals, self.agent, self.reward, limits, self.selection)
        self.begin()

    def begin(self, books: Books | None = None, stopping: StoppingRule | None = None, seed: int = 0) -> None:
        """Begin a run, before any state is loaded; the constructor has begun one of a loop of one's own.

        Without books there are those of `OwnLoop`, without a stopping rule no reason to stop before the budget is
        spent. The seed is that of all that is drawn. A `UserError` says that the agent cannot choose among the
        proposals.
        """
        self.books, self.seed, self.report = books, seed, RoundReport({})
        if stopping is not None:
            self.learner.stopping = stopping
        self.agent.begin(self.proposals, seed)

    def check(self, module: TaskModule) -> None:
        """See, before anything is bought, that the task offers what the strategies read, and V(s) is no loss."""
        if (self.metric or "").endswith("loss"):
            raise UserError(f"acquisition.metric: {self.metric} is to fall, expected a metric that is to grow")
        missing = self.proposals.reads() - module.offers
        if missing:
            raise UserError(
                f"acquisition.proposals: {type(module).__name__} has no {', '.join(sorted(missing))}, "
                f"it has {', '.join(sorted(module.offers)) or 'none'}; choose another strategy"
            )

    # ---- hooks ----------------------------------------------------------------------------------------------

    def on_fit_start(self, trainer: L.Trainer, pl_module: TaskModule) -> None:  # type: ignore[override]
        """A new round."""
        self.check(pl_module)
        self._best: dict[str, float] = {}
        self._last: dict[str, float] = {}

    def on_validation_end(self, trainer: L.Trainer, pl_module: TaskModule) -> None:  # type: ignore[override]
        """Keep the metrics of the last epoch, and of the one that a checkpoint keeps: the first of the best value."""
        monitor = pl_module.task.monitor
        if trainer.sanity_checking:
            return
        now = {name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith("val/")}
        self._last = now
        if not self._best or now[monitor] > self._best[monitor]:
            self._best = now

    def on_train_end(self, trainer: L.Trainer, pl_module: TaskModule) -> None:  # type: ignore[override]
        """One step of the learner, on the device and in the precision of the fit."""
        validated = len(trainer.datamodule.fit_data.validation_rows) > 0  # type: ignore[attr-defined]
        if validated and not load_best_weights(trainer, pl_module):
            self._best = self._last  # a loop of one's own that keeps its last weights is valued by them
        round, pool = self.learner.next_round + 1, trainer.datamodule.pool  # type: ignore[attr-defined]
        books = self.books or OwnLoop(trainer.datamodule)  # type: ignore[attr-defined]
        self.report = RoundReport(dict(self._best))
        start, scored = time.perf_counter(), list[PoolSignals]()

        def score() -> PoolSignals:
            begun = time.perf_counter()
            needs = (self.proposals.reads() | self.proposals.reads("reads_if_offered")) & pl_module.offers
            drawn = rows_to_score(pool, self.pool_sample, np.random.default_rng([self.seed, round - 1, 1]))
            rows = np.union1d(drawn, np.asarray([query.row for query in money.asked], dtype=np.int64))
            scored.append(score_pool(trainer, pl_module, pool, rows, self.batch_size, needs))
            self.report.seconds["score"] = time.perf_counter() - begun
            return scored[0]

        money = books.money(round)
        generator = np.random.default_rng([self.seed, round - 1])
        step = self.learner.step(
            self._value(pl_module.task, validated), score, pool.askable_rows, pool.costs, money, generator
        )
        step = from_first(lambda: step)  # another machine may have rounded otherwise
        if step.queries and not money.asked:
            books.ask(round, step.queries)
        self.report.reward, self.report.stop, self.report.q = step.reward, step.stop, step.numbers
        if step.estimate is not None:
            self.report.metrics = {ESTIMATE: step.estimate.value, ERROR: step.estimate.error}
        if step.queries:
            self.report.query = _described(step.queries, scored[0])
        self.report.seconds["select"] = time.perf_counter() - start - self.report.seconds.get("score", 0.0)

    def _value(self, task: Task, validated: bool) -> float | Estimator:
        if not validated:
            return calibrated_accuracy if task.labels_are_classes else mean_certainty
        name = self.metric or task.monitor
        if name not in self._best:
            known = ", ".join(sorted(self._best)) or "none: the fit ended before its first validation"
            raise UserError(f"acquisition.metric: {name!r} was not logged, known are {known}")
        return self._best[name]

    # ---- state ----------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next round needs, as tensors and plain numbers."""
        return {"format": FORMAT} | self.learner.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """The inverse of `state_dict`; a `UserError` where another version wrote it."""
        if state_dict.get("format") != FORMAT:
            raise UserError(
                "state.pt: written by another version of lit-react; go on with that one, or move state.pt away to "
                "begin the rounds again: labels in ledger.sqlite are kept and not bought twice"
            )
        self.learner.load_state_dict(state_dict)


def _described(queries: Sequence[Query], signals: PoolSignals) -> list[dict[str, Any]]:
    """What was known of each row that is asked for."""
    positions = np.searchsorted(signals.rows, [query.row for query in queries])
    return [
        {
            "row": query.row,
            "cost": query.cost,
            "policy": query.policy,
            "q_value": query.q_value,
            "predicted_class": int(signals.predictions[position]),
            "likeliest": _likeliest(signals.probabilities[position]),
            "max_probability": float(signals.max_probability[position]),
            "margin": float(signals.margin[position]),
            "entropy": float(signals.entropy[position]),
        }
        for query, position in zip(queries, positions, strict=True)
    ]


def _likeliest(probabilities: NDArray[np.float32], k: int = 5) -> list[tuple[int, float]]:
    """The k likeliest classes with their probabilities, float32 [c], in descending order."""
    best = np.argsort(-probabilities, kind="stable")[:k]
    return [(int(c), round(float(probabilities[c]), 4)) for c in best]


def load_best_weights(trainer: L.Trainer, module: TaskModule) -> bool:
    """Put the best checkpoint of this fit into the module; the last weights stay where there is none.

    The fit's own checkpoints are the last that the Trainer was given, after those of the user.

    Returns:
        whether the weights are now the best by the task's metric.
    """
    kept = next(reversed(trainer.checkpoint_callbacks), None)
    checkpoint = getattr(kept, "best_model_path", "")
    if checkpoint:
        with files_of_first(Path(checkpoint).parent) as folder:
            kept_weights = torch.load(folder / Path(checkpoint).name, map_location=module.device, weights_only=True)
        module.load_state_dict(kept_weights["state_dict"])
    return bool(checkpoint) and getattr(kept, "monitor", None) == module.task.monitor
