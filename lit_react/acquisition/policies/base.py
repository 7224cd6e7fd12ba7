"""The contract of a policy."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lit_react.acquisition.agent import Options
from lit_react.acquisition.features import FeatureMap
from lit_react.acquisition.signals import PoolSignals, Rows
from lit_react.acquisition.strategies import find_strategy, needs_of
from lit_react.core.errors import UserError


@dataclass(frozen=True)
class Proposal:
    """Rows that could be bought together.

    Attributes:
        name: of the rule that proposes them.
        rows: int64 [k], pool rows, best first.
        prior: proposed by the rule that the policy starts from.
    """

    name: str
    rows: Rows
    prior: bool


class Policy(ABC):
    """Says what can be chosen in a state; the agent chooses.

    Attributes:
        learns: whether there is a choice to learn.
        whole_batches: whether a proposal is a whole query, and not one sample of it.
    """

    learns = True
    whole_batches = True

    @abstractmethod
    def strategies(self) -> Iterable[str]:
        """Names of the strategies it asks."""

    def needs(self) -> frozenset[str]:
        """Extra signals that its strategies read."""
        return frozenset().union(*(needs_of(name) for name in self.strategies()))

    def takes(self, k: int) -> int:
        """How many proposals make a query of k samples."""
        return 1 if self.whole_batches else k

    @abstractmethod
    def proposals(self, signals: PoolSignals, k: int, generator: np.random.Generator) -> list[Proposal]:
        """What could be bought, at least `takes(k)` of them from the prior rule.

        Args:
            signals: of the affordable unlabeled rows.
            k: samples per query, at most len(signals); where a limit of cost binds, so many as cheap samples might be.
            generator: the round's.
        """

    def affordable_proposals(
        self, signals: PoolSignals, k: int, generator: np.random.Generator, select: Callable[[Rows], Rows]
    ) -> list[Proposal]:
        """`proposals`, each without the rows that are too dear to be bought with its others.

        Args:
            signals: as in `proposals`.
            k: as in `proposals`.
            generator: as in `proposals`.
            select: what of a proposal's rows is bought; it takes one at least.
        """
        return [replace(p, rows=select(p.rows)) for p in self.proposals(signals, k, generator)]

    def describe(self, rows: Rows, features: FeatureMap) -> NDArray[np.float32]:
        """Features of rows that are bought together, float32 [k, F], as the policy's options are described."""
        return features.batch(rows)

    def options(self, proposals: list[Proposal], features: FeatureMap, k: int) -> Options:
        """The proposals as the agent sees them."""
        described = [torch.from_numpy(self.describe(proposal.rows, features)) for proposal in proposals]
        width = max(len(d) for d in described)
        padded = torch.zeros(len(described), width, described[0].shape[1])
        mask = torch.zeros(len(described), width, dtype=torch.bool)
        for index, d in enumerate(described):
            padded[index, : len(d)], mask[index, : len(d)] = d, True
        prior = torch.tensor([proposal.prior for proposal in proposals])
        return Options(padded, mask, prior, self.takes(k))

    # ---- memory: a policy that keeps one overrides all four ---------------------------------------------------

    def observe(self, signals: PoolSignals) -> None:  # noqa: B027
        """Learn from the labels of the last purchase; called once per round, before `proposals`."""

    def remember(self, rows: Rows, names: Sequence[str]) -> None:  # noqa: B027
        """Keep what was asked for, after `proposals`.

        In a round that is run again it is what the ledger holds, whatever was proposed this time.

        Args:
            rows: int64 [k], pool rows, in the order of asking.
            names: of the proposals that they came from.
        """

    def state_dict(self) -> dict[str, Any]:
        """The memory, as tensors and plain numbers; later changes must not reach it."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:  # noqa: B027
        """The inverse of `state_dict`."""


def check_strategy(name: str, option: str) -> str:
    """The name or setting, if a strategy has it.

    Raises:
        UserError: no strategy has it.
    """
    try:
        find_strategy(name)
    except ValueError as error:
        raise UserError(f"{option}: {error}") from error
    return name
