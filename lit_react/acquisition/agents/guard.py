"""Falls back to the default rule where leaving it does not pay."""

from __future__ import annotations

from typing import Any

import torch


class Guard:
    """Compares the rewards of the rounds that left the default rule with those that kept to it.

    Each reward is taken relative to what the default rule brings on average in such a state; then early rounds, in
    which every label helps, and late ones can be compared; an offset of the reward cancels, too. The guard closes when
    the mean of the `recent` rounds that left the default rule, `least` at least, lies more than `doubt` standard errors
    below that of the others; and for want of others to compare with, it asks for two. With a few noisy rewards that
    sees gross failure only; small errors are the ensemble's matter.
    """

    def __init__(self, doubt: float = 2.0, least: int = 3, recent: int = 10) -> None:
        self.doubt, self.least, self.recent = doubt, least, recent
        self.left: list[float] = []
        self.kept: list[float] = []

    def record(self, reward: float, expected: float, *, left_default: bool) -> None:
        """Add a round: its reward, and what the default rule brings on average in such a state, both in points."""
        (self.left if left_default else self.kept).append(reward - expected)

    @property
    def closed(self) -> bool:
        """Whether only the default rule may be taken."""
        if len(self.left) < self.least:
            return False
        if len(self.kept) < 2:
            return True
        left, kept = torch.tensor(self.left[-self.recent :]), torch.tensor(self.kept[-self.recent :])
        spread = torch.cat([left - left.mean(), kept - kept.mean()]).square().sum()
        variance = max(float(spread) / (len(left) + len(kept) - 2), 1.0)  # a point at least
        error = (variance * (1 / len(left) + 1 / len(kept))) ** 0.5
        return float(left.mean() - kept.mean()) < -self.doubt * error

    def state_dict(self) -> dict[str, Any]:
        """Plain numbers."""
        return {"left": list(self.left), "kept": list(self.kept)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The inverse of `state_dict`."""
        self.left, self.kept = list(state["left"]), list(state["kept"])
