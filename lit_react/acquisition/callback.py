"""At the end of each fit: value the last purchase, teach the Q-network, choose and ask for the next labels."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import lightning as L
import numpy as np
import torch
from torch import Tensor

from lit_react.acquisition.agent import POINTS, Agent, Decision, Options
from lit_react.acquisition.features import FeatureMap, History
from lit_react.acquisition.knapsack import ByRank, ByValuePerCost, QueryLimits, Selection
from lit_react.acquisition.policies import Policy, Proposal, QProposals
from lit_react.acquisition.rewards import GainReward, Outcome, Reward
from lit_react.acquisition.scoring import score_pool
from lit_react.acquisition.signals import PoolSignals, Rows
from lit_react.acquisition.stopping import Stopping
from lit_react.acquisition.strategies import DISPENSABLE
from lit_react.annotation.ledger import SLACK, Ledger, Query
from lit_react.core.bounds import expect
from lit_react.core.errors import UserError
from lit_react.data.pool import Pool
from lit_react.tasks.base import TaskModule

FORMAT = 2
"""Of the saved state; counts up when its content changes."""


@dataclass
class Purchase:
    """The purchase whose reward is not known yet: where it was made, what was bought, what was expected.

    Attributes:
        state: float32 [S].
        action: float32 [k, F].
        cost: in cost units.
        expected_value: of the metric, see `Outcome`.
        left_prior: whether some of it is no proposal of the prior rule.
    """

    state: Tensor
    action: Tensor
    cost: float
    expected_value: float
    left_prior: bool


@dataclass
class RoundReport:
    """What the callback tells of one round.

    Attributes:
        metrics: validation metrics of the best weights.
        reward: of the previous purchase; None in the first round.
        q: what the agent saw: `td_loss`, `q_mean`, `q_taken`, `temperature` (α), `proposal`, `proposals`.
        query: one dictionary per row asked for: row, cost, policy, Q-value and signals.
        stop: why nothing was asked for, or None.
        seconds: per phase, `score` and `select`.
    """

    metrics: dict[str, float]
    reward: float | None = None
    q: dict[str, Any] = field(default_factory=dict)
    query: list[dict[str, Any]] = field(default_factory=list)
    stop: str | None = None
    seconds: dict[str, float] = field(default_factory=dict)


class AcquisitionCallback(L.Callback):
    """Lives across the rounds of a run; owns the Q-network, sees the pool and the ledger, never the test split.

    Args:
        policy: what can be chosen; None: `QProposals()`.
        agent: who chooses and learns; None: `Agent()`.
        reward: what a purchase was worth; None: `GainReward()`.
        query_size: samples per purchase; None: as many as `query_cost` pays for; a list: those of the first purchase,
            of the second, …, the last of them for all that follow.
        query_cost: cost units per purchase; None: whatever `query_size` samples cost. Where both are given, both hold.
            A query costs more only where each row that is left does: then it is one of the cheapest.
        selection: which of the proposed samples are bought where not all can be paid: `ByRank` or `ByValuePerCost`;
            None: `ByValuePerCost` where `query_cost` is given, else `ByRank`.
        batch_size: rows per forward pass when scoring the pool.
        metric: validation metric that is V(s); None: the task's own.
    """

    def __init__(
        self,
        policy: Policy | None = None,
        agent: Agent | None = None,
        reward: Reward | None = None,
        query_size: int | list[int] | None = 20,
        query_cost: float | None = None,
        selection: Selection | None = None,
        batch_size: int = 128,
        metric: str | None = None,
    ) -> None:
        expect("acquisition.batch_size", batch_size, at_least=1)
        if query_size == []:
            raise UserError("acquisition.query_size: an empty list, expected the size of one purchase or more")
        self.policy, self.agent, self.reward = policy or QProposals(), agent or Agent(), reward or GainReward()
        sizes = query_size if isinstance(query_size, list) else [query_size]
        self.limits = [QueryLimits(size, query_cost) for size in sizes]
        self.selection = selection or (ByRank() if query_cost is None else ByValuePerCost())
        self.batch_size, self.metric = batch_size, metric
        self.history = History()
        self.purchase: Purchase | None = None
        self.report = RoundReport({})

    def attach(self, pool: Pool, ledger: Ledger, budget: float, stopping: Stopping, seed: int) -> None:
        """Give the run's parts, once per run, before any state is loaded."""
        self.pool, self.ledger, self.budget, self.stopping, self.seed = pool, ledger, budget, stopping, seed
        self.agent.generator.manual_seed(seed)

    def check(self, task: TaskModule) -> None:
        """See that the task gives what the policy reads, before anything is bought.

        Raises:
            UserError: a strategy needs a signal that the task does not offer, or V(s) would be a loss.
        """
        if (self.metric or "").endswith("loss"):
            raise UserError(f"acquisition.metric: {self.metric} is to fall, expected a metric that is to grow")
        missing = self.policy.needs() - task.offers - DISPENSABLE
        if missing:
            raise UserError(
                f"acquisition.policy: {type(task).__name__} has no {', '.join(sorted(missing))}, "
                f"it has {', '.join(sorted(task.offers)) or 'none'}; choose another strategy"
            )

    # ---- hooks ----------------------------------------------------------------------------------------------

    def on_fit_start(self, trainer: L.Trainer, pl_module: TaskModule) -> None:  # type: ignore[override]
        """A new round."""
        self._best: dict[str, float] = {}

    def on_validation_end(self, trainer: L.Trainer, pl_module: TaskModule) -> None:  # type: ignore[override]
        """Keep the metrics of the epoch that the checkpoint keeps: the first with the best monitored value."""
        monitor = pl_module.task.monitor
        if trainer.sanity_checking:
            return
        now = {name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith("val/")}
        if not self._best or now[monitor] > self._best[monitor]:
            self._best = now

    def on_train_end(self, trainer: L.Trainer, pl_module: TaskModule) -> None:  # type: ignore[override]
        """Steps 1 to 5 of a round, on the device and in the precision of the fit."""
        load_best_weights(trainer, pl_module)
        self.history.values.append(self._value(pl_module.task.monitor))
        self.report = RoundReport(dict(self._best), reward=self._reward_of_last_purchase())
        self.report.stop = self._reason_to_stop()
        if self.report.stop is None:
            start = time.perf_counter()
            needs = self.policy.needs() & pl_module.offers
            signals = score_pool(trainer, pl_module, self.pool, self.batch_size, needs)
            self.report.seconds["score"] = time.perf_counter() - start
            uncertainty = float(signals.entropy.mean()) / np.log(max(signals.num_classes, 2))
            self.report.stop = self.stopping.by_uncertainty(uncertainty)
        start = time.perf_counter()
        if self.report.stop is None:
            self._choose_and_ask(trainer, signals)
        else:
            self._learn_from_last_purchase(None, None)
            self.purchase = None
        self.report.seconds["select"] = time.perf_counter() - start

    # ---- the steps ------------------------------------------------------------------------------------------

    @property
    def round(self) -> int:
        """Number of this round, from 0."""
        return len(self.history.values) - 1

    def _value(self, monitor: str) -> float:
        name = self.metric or monitor
        if name not in self._best:
            known = ", ".join(sorted(self._best)) or "none: the fit ended before its first validation"
            raise UserError(f"acquisition.metric: {name!r} was not logged, known are {known}")
        return self._best[name]

    def _reward_of_last_purchase(self) -> float | None:
        if self.purchase is None:
            return None
        before, after = self.history.values[-2:]
        mean_cost = float(self.pool.costs.mean())
        return self.reward(Outcome(before, after, self.purchase.cost, self.purchase.expected_value, mean_cost))

    def _reason_to_stop(self) -> str | None:
        unlabeled = self.pool.unlabeled_rows
        if len(unlabeled) == 0:
            return "every row of the pool is labeled"
        if self.pool.costs[unlabeled].min() > self.ledger.left_for(self.round + 1) * (1 + SLACK):
            return f"the budget of {self.budget:g} is spent"
        return self.stopping.by_metric(self.history.values)

    def _choose_and_ask(self, trainer: L.Trainer, signals: PoolSignals) -> None:
        """Proposals → features → Q → a draw within the budget → the ledger; a query that is there already stands."""
        generator = np.random.default_rng([self.seed, self.round])
        asked, left = self.ledger.asked(self.round + 1), self.ledger.left_for(self.round + 1)
        spent = 1 - left / self.ledger.left_for(1)  # of what the first labels left over
        costs = self.pool.costs[signals.rows]
        limits = self.limits[min(self.round, len(self.limits) - 1)]
        limit = limits.cost_limit(costs, left)
        payable = costs <= limit * (1 + SLACK)
        k = limits.most_samples(costs[payable], limit)
        self.policy.observe(signals)
        proposals = self.policy.affordable_proposals(
            signals.select(payable), k, generator, lambda rows: self.selection(rows, self.pool.costs, limit)
        )
        features = FeatureMap(signals, self.history, self.pool.costs, spent, generator)
        state, options = torch.from_numpy(features.state()), self.policy.options(proposals, features, k)
        self._learn_from_last_purchase(state, options)
        decision = self.agent.decide(state, options, spent=spent)
        queries = asked or self._queries(proposals, decision, limit)
        trainer.strategy.barrier()  # every process has read the ledger before one of them writes
        if not asked and trainer.is_global_zero:
            self.ledger.ask(self.round + 1, queries)
        trainer.strategy.barrier()
        rows = np.asarray([query.row for query in queries], dtype=np.int64)
        self.policy.remember(rows, [query.policy for query in queries])
        action = torch.from_numpy(self.policy.describe(rows, features))
        of_prior = {proposal.name for proposal in proposals if proposal.prior}
        self.purchase = Purchase(
            state,
            action,
            cost=sum(query.cost for query in queries),
            expected_value=self._expected_value(),
            left_prior=any(query.policy not in of_prior for query in queries),
        )
        self._report_choice(signals, queries, rows, decision, proposals)
        self.history.remember(signals, len(self.pool))

    def _expected_value(self) -> float:
        """What the metric reaches anyway: its present value and the mean gain of the policy's purchases so far."""
        values = self.history.values
        return values[-1] + (float(np.mean(np.diff(values))) if len(values) > 1 else 0.0)

    def _learn_from_last_purchase(self, state: Tensor | None, options: Options | None) -> None:
        """Complete its transition with what it led to, None where the run ends; update the Q-network."""
        if self.purchase is None or self.report.reward is None:
            return
        last = self.purchase
        next_state = last.state if state is None else state
        self.agent.observe(last.state, last.action, self.report.reward, next_state, options, left_prior=last.left_prior)
        self.report.q["td_loss"] = self.agent.learn() if self.policy.learns else None

    def _queries(self, proposals: list[Proposal], decision: Decision, limit: float) -> list[Query]:
        """The rows of the options taken, within the limit."""
        chosen = [(int(row), index) for index in decision.taken for row in proposals[index].rows]
        rows = self.selection(np.asarray([row for row, _ in chosen], dtype=np.int64), self.pool.costs, limit)
        option_of = dict(reversed(chosen))
        return [
            Query(
                split="pool",
                row=int(row),
                cost=float(self.pool.costs[row]),
                policy=proposals[option_of[int(row)]].name,
                q_value=float(decision.q[option_of[int(row)]]) / POINTS,
            )
            for row in rows
        ]

    def _report_choice(
        self, signals: PoolSignals, queries: list[Query], rows: Rows, decision: Decision, proposals: list[Proposal]
    ) -> None:
        positions = np.searchsorted(signals.rows, rows)
        self.report.q |= {
            "temperature": decision.alpha,
            "guard_closed": self.agent.guard.closed,
            "q_mean": float(decision.q.mean()) / POINTS,
            "q_taken": float(decision.q[decision.taken].mean()) / POINTS,
            "proposal": queries[0].policy,
        }
        if self.policy.whole_batches:
            values = (decision.q / POINTS).tolist()
            self.report.q["proposals"] = {p.name: round(q, 6) for p, q in zip(proposals, values, strict=True)}
        self.report.query = [
            {
                "row": query.row,
                "cost": query.cost,
                "policy": query.policy,
                "q_value": query.q_value,
                "predicted_class": int(signals.predictions[position]),
                "max_probability": float(signals.max_probability[position]),
                "margin": float(signals.margin[position]),
                "entropy": float(signals.entropy[position]),
            }
            for query, position in zip(queries, positions, strict=True)
        ]

    # ---- state ----------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next round needs, as tensors and plain numbers."""
        return {
            "format": FORMAT,
            "agent": self.agent.state_dict(),
            "policy": self.policy.state_dict(),
            "history": self.history.state_dict(),
            "purchase": vars(self.purchase) if self.purchase else None,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """The inverse of `state_dict`.

        Raises:
            UserError: another version wrote it.
        """
        if state_dict.get("format") != FORMAT:
            raise UserError(
                "state.pt: written by another version of lit-react; go on with that one, or move state.pt away to "
                "begin the rounds again: labels in ledger.sqlite are kept and not bought twice"
            )
        self.agent.load_state_dict(state_dict["agent"])
        self.policy.load_state_dict(state_dict["policy"])
        self.history.load_state_dict(state_dict["history"])
        self.purchase = Purchase(**state_dict["purchase"]) if state_dict["purchase"] else None


def load_best_weights(trainer: L.Trainer, module: L.LightningModule) -> None:
    """Put the best checkpoint of this fit into the module; the last weights stay where there is none.

    The fit's own checkpoints are the last that the Trainer was given, after those of the user.
    """
    checkpoint = getattr(next(reversed(trainer.checkpoint_callbacks), None), "best_model_path", "")
    if checkpoint:
        weights = torch.load(checkpoint, map_location=module.device, weights_only=True)["state_dict"]
        module.load_state_dict(weights)
