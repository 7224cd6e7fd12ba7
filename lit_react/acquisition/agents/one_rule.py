"""One fixed rule: the baselines."""

from __future__ import annotations

from collections.abc import Sequence

from lit_react.acquisition.agents.base import Agent, Decision, Situation
from lit_react.acquisition.proposals import Proposals
from lit_react.acquisition.signals import PoolSignals


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
