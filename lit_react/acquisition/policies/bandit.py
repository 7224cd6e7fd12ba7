"""What the adaptive baselines share: strategies are the arms of a bandit that draws by itself."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence

import numpy as np

from lit_react.acquisition.policies.base import Policy, check_strategy
from lit_react.acquisition.signals import PoolSignals, Rows
from lit_react.acquisition.strategies import find_strategy
from lit_react.core.errors import UserError

DEFAULT_ARMS = ("margin", "entropy", "badge", "cluster_margin", "typiclust", "coverage", "random")


class Bandit(Policy):
    """Proposes only what it has drawn, so that nothing is left for the agent to choose or to learn.

    Its memory is fed by `observe` and `remember`; which arm chose a row is read from the ledger.

    Args:
        strategies: names of the arms.
    """

    learns = False

    def __init__(self, strategies: Sequence[str]) -> None:
        self.arms = [check_strategy(name, "acquisition.policy.strategies") for name in strategies]
        if not self.arms or len(set(self.arms)) < len(self.arms):
            raise UserError(
                f"acquisition.policy.strategies: expected different names, got {', '.join(self.arms) or 'none'}"
            )

    def strategies(self) -> Iterable[str]:
        """All arms."""
        return self.arms

    def batches(self, signals: PoolSignals, k: int, generator: np.random.Generator) -> list[Rows]:
        """Each arm's k rows, best first."""
        return [find_strategy(name)(signals, k, generator) for name in self.arms]

    def remember(self, rows: Rows, names: Sequence[str]) -> None:
        """Keep what the arms asked for.

        Nothing of a query of another policy, which the options named before a first fit was mended.
        """
        if set(names) <= set(self.arms):
            self.keep(rows, np.asarray([self.arms.index(name) for name in names], dtype=np.int64))

    @abstractmethod
    def keep(self, rows: Rows, arms: Rows) -> None:
        """Keep what was asked for.

        Args:
            rows: int64 [k], pool rows, in the order of asking.
            arms: int64 [k], of each row, the one that chose it.
        """
