"""The contract of proposals: what can be bought in a round, whoever chooses among it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from lit_react.acquisition.features import FeatureMap
from lit_react.acquisition.signals import PoolSignals, Rows
from lit_react.acquisition.strategies.naming import Rule


@dataclass(frozen=True)
class Proposal:
    """Rows that could be bought together."""

    name: str  # of the rule that proposes them
    rows: Rows  # int64 [k], rows relative to the pool, unlabeled, best first
    by_default: bool  # whether the default rule proposes them


@dataclass(frozen=True)
class Options:
    """The proposals of a state as a network reads them."""

    features: Tensor  # float32 [a, k, F], sample features of each proposal, zeros where it has fewer than k samples
    mask: Tensor  # bool [a, k]
    default: Tensor  # bool [a], which are the default rule's; as many as `takes` or more
    takes: int  # how many proposals a decision takes: one batch, or k single samples


class Proposals(ABC):
    """Says what could be bought; an agent chooses.

    Attributes:
        names: what it proposes, by the names of the rules.
        default_rule: the name of the rule that an agent starts from and falls back to.
        whole_batches: whether a proposal is a whole query, and not one sample of it.
    """

    names: list[str]
    default_rule: str
    whole_batches = True

    @property
    @abstractmethod
    def rules(self) -> Sequence[Rule]:
        """The rules that it asks."""

    def reads(self, attribute: str = "reads") -> frozenset[str]:
        """The extra signals that its strategies read, see `reads` and `reads_if_offered` of `strategies.protocol`."""
        return frozenset().union(*(rule.read(attribute) for rule in self.rules))

    @property
    def offers_a_choice(self) -> bool:
        """Whether there is something to choose, and so something to learn."""
        return len(self.names) > 1 or not self.whole_batches

    @abstractmethod
    def propose(
        self, signals: PoolSignals, k: int, generator: np.random.Generator, asked: Sequence[str] | None = None
    ) -> list[Proposal]:
        """What could be bought, in the order of `names`.

        Signals are those of the affordable unlabeled rows; k is at most len(signals), and where a limit of cost binds,
        so many as cheap samples might be. `asked` are names of rules in the order of asking; None: all are asked.
        """

    def describe(self, rows: Rows, features: FeatureMap) -> NDArray[np.float32]:
        """Features of rows that are bought together, float32 [k, F], as its options are described."""
        return features.batch(rows)

    def options(self, proposals: Sequence[Proposal], features: FeatureMap, k: int) -> Options:
        """Proposals as a network reads them."""
        described = [torch.from_numpy(self.describe(proposal.rows, features)) for proposal in proposals]
        mask = pad_sequence([torch.ones(len(rows), dtype=torch.bool) for rows in described], batch_first=True)
        default = torch.tensor([proposal.by_default for proposal in proposals])
        return Options(pad_sequence(described, batch_first=True), mask, default, takes=1)
