"""What a purchase was worth: R(s, a) of the first article, in two readings."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass


@dataclass(frozen=True)
class Outcome:
    """What is known of one purchase once the model was fitted with it."""

    value_before: float  # V(s), the validation metric before the purchase
    value_after: float  # V(s'), the validation metric of the next fit
    cost: float  # Σ c_i of the purchase, in cost units
    # the estimate of Σ π(s'|s) V(s') before the purchase: V(s) plus the mean gain of the policy's purchases so far
    expected_value: float
    mean_cost: float = 1.0  # of a row of the pool, in cost units


class Reward(ABC):
    """A reward function of an `Outcome`."""

    @abstractmethod
    def __call__(self, outcome: Outcome) -> float:
        """R(s, a), in units of the metric."""


LABELS_WEIGHT = 1e-4
"""What an average label is worth, in units of the metric."""


class GainReward(Reward):
    """`V(s') − V(s) − λ Σ c_i`: what the metric gained, less what the labels cost. The default.

    λ says what a cost unit is worth to you, so it depends on the unit: 0.0001 for the label of an average row, and so
    0.0001 / 165 per token where a text has 165. Per token it would charge a query of 270 tokens 2.7 points, more than
    most queries gain. While all queries cost the same (`acquisition.query_cost`), λ lowers all rewards alike and
    changes no choice; it makes the cheaper query the better one where costs differ (`acquisition.query_size` alone).

    Args:
        cost_weight: λ, metric per cost unit; None: 0.0001 / the mean cost of a row of the pool, so that a gain of one
            point pays for 100 average labels.
    """

    def __init__(self, cost_weight: float | None = None) -> None:
        self.cost_weight = cost_weight

    def __call__(self, outcome: Outcome) -> float:
        """The gain less the weighted cost."""
        weight = LABELS_WEIGHT / outcome.mean_cost if self.cost_weight is None else self.cost_weight
        return outcome.value_after - outcome.value_before - weight * outcome.cost


class PrintedReward(GainReward):
    """`V(s') − V(s) − γ Σ π(s'|s) V(s') − λ Σ c_i`, as the first article prints it.

    The sum is the metric that the policy expected, a level and not a gain: with a metric near 0.8 the reward is near
    −0.7 whatever was bought, and what tells one purchase from another is a small remainder. That is why `GainReward`
    is the default (figures: docs/acquisition.md).

    Args:
        gamma: γ, weight of the expected metric.
        cost_weight: λ, see `GainReward`.
    """

    def __init__(self, gamma: float = 0.9, cost_weight: float | None = None) -> None:
        super().__init__(cost_weight)
        self.gamma = gamma

    def __call__(self, outcome: Outcome) -> float:
        """The gain less the discounted expectation, less the weighted cost."""
        return super().__call__(outcome) - self.gamma * outcome.expected_value
