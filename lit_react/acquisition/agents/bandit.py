"""What the adaptive baselines share: the rules that propose are the arms of a bandit."""

from __future__ import annotations

from collections.abc import Sequence

from lit_react.acquisition.agents.base import Agent, Purchase
from lit_react.acquisition.proposals import Proposals
from lit_react.acquisition.signals import PoolSignals
from lit_react.core.errors import UserError


class Bandit(Agent):
    """Draws among the rules of `Batches`, its arms, in the order in which they are named."""

    def begin(self, proposals: Proposals, seed: int) -> None:
        """Keep the names of the arms."""
        if not proposals.whole_batches:
            raise UserError(
                f"acquisition.agent: {type(self).__name__} chooses among rules, expected acquisition.proposals Batches"
            )
        self.arms = proposals.names

    def asks(self, signals: PoolSignals) -> Sequence[str]:
        """All arms, as they are named."""
        return self.arms

    def arms_of(self, purchase: Purchase) -> list[int] | None:
        """Of each row the arm that bought it; None of a query of another agent, before options were changed."""
        known = set(purchase.names) <= set(self.arms)
        return [self.arms.index(name) for name in purchase.names] if known else None
