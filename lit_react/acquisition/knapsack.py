"""How much a query may hold, and what of a proposal is bought where its rows cost more: a knapsack."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lit_react.acquisition.signals import Rows
from lit_react.annotation.ledger import SLACK
from lit_react.core.bounds import expect
from lit_react.core.errors import UserError

Costs = NDArray[np.float64]


@dataclass(frozen=True)
class QueryLimits:
    """How much a query may hold; both limits hold where both are given, and one must be."""

    size: int | None  # samples; None: as many as `cost` pays for
    cost: float | None  # cost units; None: what `size` samples cost

    def __post_init__(self) -> None:
        if self.size is None and self.cost is None:
            raise UserError("acquisition: expected query_size (samples), query_cost (cost units), or both; got neither")
        if self.size is not None:
            expect("acquisition.query_size", self.size, at_least=1)
        if self.cost is not None:
            expect("acquisition.query_cost", self.cost, above=0)

    def cost_limit(self, costs: Costs, left: float) -> float:
        """What the next query may cost, in cost units, of what is left of the budget; it pays for one row at least.

        The costs, float64 [n], are those of the unlabeled rows; the lowest is not above `left`.
        """
        return left if self.cost is None else min(left, max(self.cost, float(costs.min())))

    def most_samples(self, costs: Costs, limit: float) -> int:
        """How many samples a rule is asked for: enough for the limit, even if it proposes the cheapest first.

        The costs, float64 [n], are those of the unlabeled rows that the limit pays for.
        """
        enough = len(costs)
        if self.cost is not None:
            enough = int(np.searchsorted(np.cumsum(np.sort(costs)), limit * (1 + SLACK), side="right"))
        return enough if self.size is None else min(self.size, enough)


class Selection(ABC):
    """Chooses among the rows that a rule proposes, within a limit of cost.

    Every selection is full: no row that it leaves out would still fit. Where all rows fit, all are taken.
    """

    @abstractmethod
    def __call__(self, rows: Rows, costs: Costs, limit: float) -> Rows:
        """Choose some of the rows, int64 [k], unique and best first; gives them in their order.

        Together they cost `limit` at most; the costs, float64 [pool], are those of each pool row, above 0.
        """


class ByRank(Selection):
    """In the order of the rule, each row that still fits."""

    def __call__(self, rows: Rows, costs: Costs, limit: float) -> Rows:
        """The rows, without each one that no longer fits."""
        return rows[_first_fit(costs[rows], limit)]


class ByValuePerCost(Selection):
    """The most value for the money, as `knapsack` finds it.

    A rule gives an order and no values. A row's value is taken to be its Borda count, the number of proposed rows
    that it is ranked before, and one for itself: of k rows the first is worth k, the last 1. So a row is left out only
    for cheaper ones, and those that the rule did not propose are worth nothing.
    """

    def __call__(self, rows: Rows, costs: Costs, limit: float) -> Rows:
        """The rows that `knapsack` takes, in the order of the rule."""
        return rows[knapsack(np.arange(len(rows), 0, -1.0), costs[rows], limit)]


def knapsack(values: NDArray[np.float64], costs: Costs, limit: float) -> Rows:
    """A set of much value that costs no more than a limit, in O(n log n): positions, int64 and ascending.

    Greedy by value per cost, leaving out what does not fit (Dantzig 1957); where one item that fits is worth more than
    all of that, this item first and then greedily what still fits. The set is worth at least half of what the best one
    is (Martello and Toth 1990, section 2.4). Values are float64 [n], 0 or more, costs float64 [n], above 0.
    """
    order = np.argsort(-values / costs, kind="stable")
    taken = order[_first_fit(costs[order], limit)]
    alone = np.flatnonzero(costs <= limit * (1 + SLACK))
    if len(alone) and values[alone].max() > values[taken].sum():
        best = alone[values[alone].argmax()]
        order = np.concatenate([[best], order[order != best]])
        taken = order[_first_fit(costs[order], limit)]
    return np.sort(taken)


def _first_fit(costs: Costs, limit: float) -> Rows:
    """Positions in their order, without each one whose cost no longer fits."""
    kept, left = [], limit * (1 + SLACK)
    for position, cost in enumerate(costs):
        if cost <= left:
            kept.append(position)
            left -= cost
    return np.asarray(kept, dtype=np.int64)
