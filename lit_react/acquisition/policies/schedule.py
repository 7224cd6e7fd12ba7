"""Representative rows first, uncertain ones later: a schedule that is set beforehand."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from lit_react.acquisition.policies.base import Policy, Proposal, check_strategy
from lit_react.acquisition.signals import PoolSignals
from lit_react.acquisition.strategies import find_strategy


class Schedule(Policy):
    """One rule while labels are few, another one afterwards.

    With few labels typical rows serve best, with many uncertain ones (Hacohen, Dekel and Weinshall 2022, "Active
    Learning on a Budget"). They show that there is such a point; where it lies is our rule of thumb.

    Args:
        first: the rule to begin with.
        then: the rule afterwards.
        until_labels_per_class: change as soon as there are so many labels, or more, per class of the task.
    """

    learns = False

    def __init__(
        self, first: str = "typiclust", then: str = "cluster_margin", until_labels_per_class: float = 3.0
    ) -> None:
        self.first = check_strategy(first, "acquisition.policy.first")
        self.then = check_strategy(then, "acquisition.policy.then")
        self.until_labels_per_class = until_labels_per_class

    def strategies(self) -> Iterable[str]:
        """Both rules."""
        return [self.first, self.then]

    def proposals(self, signals: PoolSignals, k: int, generator: np.random.Generator) -> list[Proposal]:
        """The batch of the rule whose time it is."""
        few = len(signals.labels) < self.until_labels_per_class * signals.num_classes
        name = self.first if few else self.then
        return [Proposal(name, find_strategy(name)(signals, k, generator), prior=True)]
