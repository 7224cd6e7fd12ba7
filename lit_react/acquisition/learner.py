"""One round of acquisition without a Trainer, a ledger or a model: signals, value and money → reward and queries.

`AcquisitionCallback` calls it at the end of a fit, the simulator after refitting a linear head.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from lit_react.acquisition.agents import Agent, Decision, Purchase, Situation
from lit_react.acquisition.estimate import Estimate, Estimator
from lit_react.acquisition.features import History
from lit_react.acquisition.knapsack import ByRank, Costs, QueryLimits, Selection
from lit_react.acquisition.proposals import Proposals
from lit_react.acquisition.rewards import Outcome, Reward
from lit_react.acquisition.signals import PoolSignals, Rows
from lit_react.acquisition.stopping import Progress, Stopping, StoppingRule
from lit_react.annotation.ledger import SLACK, Query
from lit_react.core.errors import UserError


@dataclass(frozen=True)
class Money:
    """What a query may cost, and what was paid so far, in cost units."""

    budget: float = math.inf  # for all labels of the run
    left: float = math.inf  # for the next query
    paid: float = 0.0  # for all labels so far
    spent: float = 0.0  # share of what the first labels left over that is spent, in [0, 1]
    asked: Sequence[Query] = ()  # the next query, where an earlier attempt at this round has asked for it already


@dataclass(frozen=True)
class Step:
    """What a round came to."""

    reward: float | None  # of the last purchase; None in the first round
    stop: str | None = None  # why nothing is asked for, or None
    queries: list[Query] = field(default_factory=list)  # what is asked for, in the order of asking
    numbers: dict[str, Any] = field(default_factory=dict)  # of the agent, for reports and charts
    estimate: Estimate | None = None  # of V(s), where it was not measured


class Learner:
    """Lives across the rounds of a run: values each purchase, teaches the agent, and has it choose the next one.

    `limits` say how much a query may hold: the first, the second, …, the last for all that follow; `selection` which of
    the proposed rows are bought where not all can be paid.
    """

    def __init__(
        self,
        proposals: Proposals,
        agent: Agent,
        reward: Reward,
        limits: Sequence[QueryLimits],
        selection: Selection | None = None,
        stopping: StoppingRule | None = None,
    ) -> None:
        self.proposals, self.agent, self.reward = proposals, agent, reward
        self.limits, self.selection = limits, selection or ByRank()
        self.stopping = stopping or Stopping()
        self.history = History()
        self.purchase: Purchase | None = None

    @property
    def next_round(self) -> int:
        """Number of the round whose fit ends next, from 0."""
        return len(self.history.values)

    def step(
        self,
        value: float | Estimator,
        score: Callable[[], PoolSignals],
        unlabeled: Rows,
        costs: Costs,
        money: Money,
        generator: np.random.Generator,
        anchors: Rows | None = None,
    ) -> Step:
        """One round, whose fit has reached V(s): `value` on the validation rows, or what estimates it without any.

        `score` makes one pass over the pool; it is called once at most, and not where an earlier reason ends the run
        and V(s) is known. Unlabeled rows of the pool are int64 [n] and ascending, costs float64 [pool]. For `anchors`
        see `FeatureMap`.
        """
        self.history.grow(len(costs))
        scored: list[PoolSignals] = []

        def signals() -> PoolSignals:
            scored[:] = scored or [score()]
            return scored[0]

        estimate = value(signals(), self.history) if callable(value) else None
        self.history.values.append(estimate.value if estimate is not None else float(value))  # type: ignore[arg-type]
        reward = self._reward_of_last_purchase(float(costs.mean()), estimate)
        stop = self._reason_to_stop(signals, unlabeled, costs, money)
        if stop is not None:
            numbers = self._learn(reward, None)
            self.purchase = None
            return Step(reward, stop, numbers=numbers, estimate=estimate)
        situation, limit = self._situation(signals(), costs, money, generator, anchors)
        numbers = self._learn(reward, situation)
        decision = self.agent.decide(situation)
        _check(decision, situation)
        queries = list(money.asked) or self._queries(decision, costs, limit, situation.k)
        self.purchase = self._purchase(queries, situation)
        self.history.remember(situation.signals, len(costs))
        numbers = numbers | decision.numbers | {"proposal": queries[0].policy}
        return Step(reward, None, queries, numbers, estimate)

    def _reward_of_last_purchase(self, mean_cost: float, estimate: Estimate | None) -> float | None:
        if self.purchase is None:
            return None
        self.purchase.reward_error = 0.0 if estimate is None else estimate.error
        before, after = self.history.values[-2:]
        return self.reward(Outcome(before, after, self.purchase.cost, self.purchase.expected_value, mean_cost))

    def _reason_to_stop(
        self, signals: Callable[[], PoolSignals], unlabeled: Rows, costs: Costs, money: Money
    ) -> str | None:
        if len(unlabeled) == 0:
            return "every row of the pool is labeled"
        if costs[unlabeled].min() > money.left * (1 + SLACK):
            return f"the budget of {money.budget:g} is spent"

        def uncertainty() -> float:
            return float(signals().entropy.mean()) / np.log(max(signals().num_classes, 2))

        right = [right for _, right in self.history.evidence]
        return self.stopping(Progress(self.history.values, len(costs) - len(unlabeled), money.paid, uncertainty, right))

    def _situation(
        self, signals: PoolSignals, costs: Costs, money: Money, generator: np.random.Generator, anchors: Rows | None
    ) -> tuple[Situation, float]:
        """What the agent chooses among, and what the query may cost."""
        limits, unlabeled_costs = self.limits[min(self.next_round, len(self.limits)) - 1], costs[signals.rows]
        limit = limits.cost_limit(unlabeled_costs, money.left)
        payable = unlabeled_costs <= limit * (1 + SLACK)
        k = limits.most_samples(unlabeled_costs[payable], limit)
        affordable = signals.select(payable)
        proposals = self.proposals.propose(affordable, k, generator, self.agent.asks(signals))
        proposals = [replace(p, rows=self.selection(p.rows, costs, limit)) for p in proposals]
        return Situation(
            proposals=proposals,
            signals=signals,
            affordable=affordable,
            k=k,
            spent=money.spent,
            generator=generator,
            history=self.history,
            costs=costs,
            offered_by=self.proposals,
            anchors=anchors,
        ), limit

    def _learn(self, reward: float | None, after: Situation | None) -> dict[str, Any]:
        """Tell the agent what the last purchase brought; its numbers where it learned."""
        if self.purchase is None or reward is None:
            return {}
        self.agent.observe(self.purchase, reward, after)
        return dict(self.agent.learn()) if self.proposals.offers_a_choice else {}

    def _queries(self, decision: Decision, costs: Costs, limit: float, k: int) -> list[Query]:
        """The rows that were chosen, within the limits."""
        values: Sequence[float | None] = decision.values or [None] * len(decision.rows)
        chosen: dict[int, tuple[str, float | None]] = {}
        for row, name, value in zip(decision.rows.tolist(), decision.names, values, strict=True):
            chosen.setdefault(row, (name, value))
        rows = self.selection(np.asarray(list(chosen), dtype=np.int64), costs, limit).tolist()
        return [Query("pool", row, float(costs[row]), *chosen[row]) for row in rows[:k]]

    def _purchase(self, queries: Sequence[Query], situation: Situation) -> Purchase:
        """What is bought; the metric reaches its present value and the mean gain of the purchases so far anyway."""
        rows, values = np.asarray([query.row for query in queries], dtype=np.int64), self.history.values
        return Purchase(
            rows,
            [query.policy for query in queries],
            situation.state,
            torch.from_numpy(self.proposals.describe(rows, situation.features)),
            cost=sum(query.cost for query in queries),
            expected_value=values[-1] + (float(np.mean(np.diff(values))) if len(values) > 1 else 0.0),
            left_default=any(query.policy != self.proposals.default_rule for query in queries),
        )

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next round needs, as tensors and plain numbers."""
        return {
            "agent": self.agent.state_dict(),
            "history": self.history.state_dict(),
            "purchase": self.purchase.state_dict() if self.purchase else None,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The inverse of `state_dict`."""
        self.agent.load_state_dict(state["agent"])
        self.history.load_state_dict(state["history"])
        self.purchase = Purchase.from_state(state["purchase"]) if state["purchase"] else None


def _check(decision: Decision, situation: Situation) -> None:
    """Refuse what is no decision; then the agent is one of the user's own."""
    if not isinstance(decision, Decision):
        raise UserError(f"acquisition.agent: decide returned {decision!r:.60}, expected situation.take(index)")
    if len(decision.rows) == 0 or not np.isin(decision.rows, situation.affordable.rows).all():
        raise UserError(
            "acquisition.agent: decide chose no row, or one that cannot be bought, expected rows of proposals"
        )
