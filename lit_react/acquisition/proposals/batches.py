"""Whole batches, one per strategy (batch-constrained Q-learning)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lit_react.acquisition.proposals.base import Proposal, Proposals
from lit_react.acquisition.signals import PoolSignals, Rows
from lit_react.acquisition.strategies import Strategy
from lit_react.acquisition.strategies.naming import Rule
from lit_react.core.errors import UserError

DEFAULT_STRATEGIES = (
    "facility_location",
    "facility_location(exponent=1.5)",
    "facility_location(exponent=0.5)",
    "facility_location(power=3)",
    "transductive_design",
    "transductive_design(penalty=1)",
    "cluster_margin",
    "density_weighted_margin",
    "badge",
    "margin",
)


class Batches(Proposals):
    """Each strategy, and each mixture, proposes a batch.

    A free maximum over thousands of samples finds a network's errors; a maximum over sound batches cannot do much harm.
    New strategies join without training: a batch is valued by its samples, not by its name. With one strategy there is
    nothing to choose, and each query is that rule's.

    Args:
        strategies: names (`margin`), settings (`facility_location(exponent=1)`), mixtures whose parts take turns
            (`margin+badge`), dotted paths of your own (`my_file.my_rule`), or functions.
        default_rule: name of the rule to start from; None: the first of `strategies`.
    """

    def __init__(
        self, strategies: Sequence[str | Callable[..., Any]] = DEFAULT_STRATEGIES, default_rule: str | None = None
    ) -> None:
        self.strategies = list(strategies)
        option = "acquisition.proposals.strategies"
        self._rules = [Rule.of(strategy, option) for strategy in strategies]
        self.names = [rule.name for rule in self._rules]
        if not self.names or len(set(self.names)) < len(self.names):
            raise UserError(f"{option}: expected one or more of different names, got {', '.join(self.names) or 'none'}")
        self.default_rule = self.names[0] if default_rule is None else default_rule
        if self.default_rule not in self.names:
            raise UserError(
                f"acquisition.proposals.default_rule: {default_rule!r} is not among strategies "
                f"({', '.join(self.names)})"
            )

    @property
    def rules(self) -> Sequence[Rule]:
        """All of them."""
        return self._rules

    def default_batch(self, signals: PoolSignals, k: int, generator: np.random.Generator) -> Rows:
        """The default rule's batch alone, int64 [k]; arguments as in `propose`."""
        (proposal,) = self.propose(signals, k, generator, [self.default_rule])
        return proposal.rows

    def propose(
        self, signals: PoolSignals, k: int, generator: np.random.Generator, asked: Sequence[str] | None = None
    ) -> list[Proposal]:
        """One batch per rule; a strategy that several rules have is asked once."""
        wanted = {rule.name: rule for rule in self._rules if asked is None or rule.name in asked}
        parts = {part: strategy for name in asked or wanted for part, strategy in wanted[name].parts.items()}
        order = list(parts) if asked is not None else sorted(parts)
        picks = {part: _checked(part, parts[part], signals, k, generator) for part in order}
        return [
            Proposal(name, _take_turns([picks[part] for part in rule.parts], k), name == self.default_rule)
            for name, rule in wanted.items()
        ]


def _checked(name: str, strategy: Strategy, signals: PoolSignals, k: int, generator: np.random.Generator) -> Rows:
    """A strategy's rows; a `UserError` where they are not what a strategy returns: then it is the user's own."""
    rows = np.asarray(strategy(signals, k, generator))
    expected = min(k, len(signals))
    if rows.shape != (expected,) or len(np.unique(rows)) < expected or not np.isin(rows, signals.rows).all():
        raise UserError(
            f"acquisition.proposals.strategies: {name} returned {rows.shape} of {rows.dtype}, expected {expected} "
            "different rows of signals.rows"
        )
    return rows.astype(np.int64)


def _take_turns(rankings: list[Rows], k: int) -> Rows:
    """The first k distinct rows, taken from the rankings in turns."""
    turns = np.stack(rankings, axis=1).ravel()
    _, first = np.unique(turns, return_index=True)
    return turns[np.sort(first)][:k]
