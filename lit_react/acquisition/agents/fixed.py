"""Agents that are set beforehand: one fixed rule, the baselines; and a schedule of two."""

from __future__ import annotations

from collections.abc import Sequence

from lit_react.acquisition.agents.base import Agent, Decision, Situation
from lit_react.acquisition.proposals import Proposals
from lit_react.acquisition.signals import PoolSignals
from lit_react.core.errors import UserError


class OneRule(Agent):
    """Always takes the default rule's proposal, and asks no other rule."""

    def begin(self, proposals: Proposals, seed: int) -> None:
        """Keep the rule's name."""
        self.rule = proposals.default_rule

    def asks(self, signals: PoolSignals) -> Sequence[str]:
        """The default rule."""
        return [self.rule]

    def decide(self, situation: Situation) -> Decision:
        """The rule's picks: one batch, or its k single samples."""
        return situation.take(*[i for i, proposal in enumerate(situation.proposals) if proposal.by_default])


class Schedule(Agent):
    """One rule while labels are few, another one afterwards.

    With few labels typical rows serve best, with many uncertain ones (Hacohen, Dekel and Weinshall 2022, "Active
    Learning on a Budget"). They show that there is such a point; where it lies is our rule of thumb.

    Args:
        first: name of the rule to begin with.
        then: name of the rule afterwards; both must be among the proposals.
        until_labels_per_class: change as soon as there are so many labels, or more, per class of the task.
    """

    def __init__(
        self, first: str = "typiclust", then: str = "cluster_margin", until_labels_per_class: float = 3.0
    ) -> None:
        self.first, self.then, self.until_labels_per_class = first, then, until_labels_per_class

    def begin(self, proposals: Proposals, seed: int) -> None:
        """See that both rules propose something."""
        for option, rule in (("first", self.first), ("then", self.then)):
            if rule not in proposals.names:
                raise UserError(
                    f"acquisition.agent.{option}: {rule!r} is not among acquisition.proposals.strategies "
                    f"({', '.join(proposals.names)})"
                )

    def asks(self, signals: PoolSignals) -> Sequence[str]:
        """The rule whose time it is."""
        few = len(signals.labels) < self.until_labels_per_class * signals.num_classes
        return [self.first if few else self.then]

    def decide(self, situation: Situation) -> Decision:
        """Its batch."""
        return situation.take(0)
