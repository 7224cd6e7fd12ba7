"""The contract of an agent: it sees a situation, decides, and is told what its purchases brought."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lit_react.acquisition.features import FeatureMap, History
from lit_react.acquisition.proposals import Options, Proposal, Proposals
from lit_react.acquisition.signals import PoolSignals, Rows


@dataclass
class Situation:
    """What an agent knows when it decides."""

    proposals: list[Proposal]  # what can be bought, with names and rows; each can be paid for
    signals: PoolSignals  # of all unlabeled rows, and of the labeled ones
    affordable: PoolSignals  # the same of those unlabeled rows that the query can pay for, which the proposals are from
    k: int  # samples of the query, where costs do not end it earlier
    spent: float  # share of what the first labels left over that is spent, in [0, 1]
    generator: np.random.Generator  # the round's; the only source of randomness beside a generator of the agent's own
    history: History  # the metric of all rounds, this one last
    costs: NDArray[np.float64]  # float64 [pool], annotation cost of each row of the pool
    offered_by: Proposals  # made the proposals
    anchors: Rows | None = None  # see `FeatureMap`

    @cached_property
    def features(self) -> FeatureMap:
        """Features of the state and of samples that mean the same on every data set."""
        return FeatureMap(self.signals, self.history, self.costs, self.spent, self.generator, self.anchors)

    @cached_property
    def state(self) -> Tensor:
        """float32 [S], see `STATE_FEATURES`."""
        return torch.from_numpy(self.features.state())

    @cached_property
    def options(self) -> Options:
        """The proposals as a network reads them."""
        return self.offered_by.options(self.proposals, self.features, self.k)

    def take(self, *indices: int) -> Decision:
        """The decision to buy these of the proposals, by index; one where proposals are whole batches."""
        taken = [self.proposals[index] for index in indices]
        return Decision(
            np.concatenate([proposal.rows for proposal in taken]),
            [proposal.name for proposal in taken for _ in proposal.rows],
        )


@dataclass
class Decision:
    """What an agent chose; `Situation.take` makes one."""

    # int64 [m], rows relative to the pool, best first; of those that cannot be paid together some are left out
    rows: Rows
    names: list[str]  # m names, of the proposal that each row is from
    # what the agent expects of each row's proposal, in units of the metric; None where it expects nothing
    values: list[float] | None = None
    numbers: dict[str, Any] = field(default_factory=dict)  # what it tells of the round, for reports and charts


@dataclass
class Purchase:
    """What was bought: as decided, or as the ledger has it where a round is run again."""

    rows: Rows  # int64 [m], rows relative to the pool, in the order of asking
    names: list[str]  # m names, of the proposal that each row is from
    state: Tensor  # float32 [S], where it was bought
    samples: Tensor  # float32 [m, F], features of the rows
    cost: float  # in cost units
    expected_value: float  # of the metric, see `Outcome`
    left_default: bool  # whether some of it is no proposal of the default rule
    reward_error: float = 0.0  # standard error of its reward, in units of the metric, where V(s) is estimated

    def state_dict(self) -> dict[str, Any]:
        """As tensors and plain numbers."""
        return vars(self) | {"rows": torch.from_numpy(self.rows)}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Purchase:
        """The inverse of `state_dict`."""
        return cls(**state | {"rows": state["rows"].numpy()})


class Agent(ABC):
    """Chooses among proposals. One of your own needs `decide`; the rest is for those that learn.

    In each round its methods are called in the order: `asks`, `observe`, `learn`, `decide`.
    """

    def begin(self, proposals: Proposals, seed: int) -> None:  # noqa: B027
        """Begin a run, before any state is loaded; a `UserError` says that it cannot choose among such proposals."""

    def asks(self, signals: PoolSignals) -> Sequence[str] | None:
        """Names of the rules that it needs proposals of, in the order in which they are asked; None: of all."""
        return None

    @abstractmethod
    def decide(self, situation: Situation) -> Decision:
        """Choose what to buy; `situation.take(index)` buys a proposal."""

    def observe(self, purchase: Purchase, reward: float, after: Situation | None) -> None:  # noqa: B027
        """Take notice of what the last purchase brought: R(s, a), in units of the metric.

        `after` is where it led, with its labels; None where the run ends.
        """

    def learn(self) -> dict[str, float]:
        """Learn from what was observed; numbers for reports and charts. Not called where there is nothing to choose."""
        return {}

    def state_dict(self) -> dict[str, Any]:
        """What the next round needs, as tensors and plain numbers that later rounds do not change."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:  # noqa: B027
        """The inverse of `state_dict`."""
