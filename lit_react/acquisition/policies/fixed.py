"""A fixed acquisition strategy: the baselines."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from lit_react.acquisition.policies.base import Policy, Proposal, check_strategy
from lit_react.acquisition.signals import PoolSignals
from lit_react.acquisition.strategies import find_strategy


class Fixed(Policy):
    """Always the same rule.

    Args:
        strategy: its name.
    """

    learns = False

    def __init__(self, strategy: str = "facility_location") -> None:
        self.strategy = check_strategy(strategy, "acquisition.policy.strategy")

    def strategies(self) -> Iterable[str]:
        """The one rule."""
        return [self.strategy]

    def proposals(self, signals: PoolSignals, k: int, generator: np.random.Generator) -> list[Proposal]:
        """The rule's batch."""
        return [Proposal(self.strategy, find_strategy(self.strategy)(signals, k, generator), prior=True)]
