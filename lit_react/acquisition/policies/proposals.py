"""Choose among the strategies' batches (batch-constrained Q-learning)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from lit_react.acquisition.policies.base import Policy, Proposal, check_strategy
from lit_react.acquisition.signals import PoolSignals, Rows
from lit_react.acquisition.strategies import find_strategy
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


class QProposals(Policy):
    """Each strategy, and each mixture of two, proposes a batch; the Q-network values the batches.

    A free maximum over thousands of samples finds the network's errors; a maximum over sound batches cannot do much
    harm. New strategies join without training: a batch is valued by its samples, not by its name.

    Args:
        strategies: names or settings (`facility_location(exponent=1)`); `a+b` takes turns between the picks of a and b.
        prior: the rule to start from; it must be among `strategies`.
    """

    def __init__(self, strategies: Sequence[str] = DEFAULT_STRATEGIES, prior: str = "facility_location") -> None:
        self.mixtures = {name: name.split("+") for name in strategies}
        for parts in self.mixtures.values():
            for part in parts:
                check_strategy(part, "acquisition.policy.strategies")
        if prior not in self.mixtures:
            raise UserError(f"acquisition.policy.prior: {prior!r} is not among strategies ({', '.join(self.mixtures)})")
        self.prior = prior

    def strategies(self) -> Iterable[str]:
        """Every rule that some proposal needs."""
        return {part for parts in self.mixtures.values() for part in parts}

    def prior_batch(self, signals: PoolSignals, k: int, generator: np.random.Generator) -> Rows:
        """The prior's batch alone, int64 [k]."""
        return _take_turns([find_strategy(part)(signals, k, generator) for part in self.mixtures[self.prior]], k)

    def proposals(self, signals: PoolSignals, k: int, generator: np.random.Generator) -> list[Proposal]:
        """One batch per strategy and mixture; a strategy used twice is asked once."""
        picks = {name: find_strategy(name)(signals, k, generator) for name in sorted(self.strategies())}
        return [
            Proposal(name, _take_turns([picks[part] for part in parts], k), prior=name == self.prior)
            for name, parts in self.mixtures.items()
        ]


def _take_turns(rankings: list[Rows], k: int) -> Rows:
    """The first k distinct rows, taken from the rankings in turns."""
    turns = np.stack(rankings, axis=1).ravel()
    _, first = np.unique(turns, return_index=True)
    return turns[np.sort(first)][:k]
