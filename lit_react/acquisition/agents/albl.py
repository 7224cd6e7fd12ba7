"""Active Learning by Learning: EXP4.P over strategies, paid by importance-weighted accuracy."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lit_react.acquisition.agents.bandit import Bandit
from lit_react.acquisition.agents.base import Decision, Purchase, Situation
from lit_react.acquisition.proposals import Proposals
from lit_react.acquisition.signals import PoolSignals, Rows
from lit_react.core.bounds import expect
from lit_react.core.errors import UserError


class ALBL(Bandit):
    """ALBL (Hsu and Lin 2015, "Active Learning by Learning") in batch mode.

    As in the paper: arm i is drawn with `p_i = (1 − K p_min) w_i / Σ w + p_min`; a bought row x is weighted by 1/q(x),
    where q(x) is the sum of p_i over the arms that would have bought it; the reward is the accuracy so weighted of the
    newly fitted model on all that was queried so far; EXP4.P (Beygelzimer et al. 2011) updates w.

    What differs, since the paper asks for one label at a time:

    - One draw per round: the arm's whole batch is bought. For EXP4.P a batch is the action and each arm advises its
      own, so the estimated reward is r/p for the arm drawn and 0 for the others.
    - Random sampling would buy each of n rows with probability k/n; the other arms count as deterministic, they buy
      just the batch that they proposed.
    - The reward is divided by the sum of the weights 1/(n q), where the paper divides by the number of queries of the
      whole run, which a budget of costs does not tell beforehand; so it lies in [0, 1].
    - Only unlabeled rows are drawn; in the paper a row may be drawn again, at no cost.

    A network that fits its labels has a reward near 1 whatever it bought (Zhang et al. 2023 found so): that is a
    weakness of the method with such models, and not hidden here.

    With `random` among the strategies every row can be bought, as the weighting presumes.

    Args:
        p_min: the least probability of an arm; half of it is the learning rate, as in EXP4.P.
        delta: EXP4.P's bound holds with probability 1 − δ.
        horizon: purchases that the bound is set for.
    """

    def __init__(self, p_min: float = 0.05, delta: float = 0.1, horizon: int = 20) -> None:
        expect("acquisition.agent.p_min", p_min, above=0)
        expect("acquisition.agent.delta", delta, above=0, at_most=1)
        expect("acquisition.agent.horizon", horizon, at_least=1)
        self.p_min, self.delta, self.horizon = p_min, delta, horizon

    def begin(self, proposals: Proposals, seed: int) -> None:
        """All arms are as likely."""
        super().begin(proposals, seed)
        if self.p_min > 1 / len(self.arms):
            raise UserError(f"acquisition.agent.p_min: {self.p_min}, expected at most 1/{len(self.arms)} arms")
        self.log_weights = np.zeros(len(self.arms))
        self.rows = np.empty(0, dtype=np.int64)
        self.chances = np.empty(0)
        self.advice: list[Rows] = []
        self.unlabeled = 0

    def probabilities(self) -> NDArray[np.float64]:
        """float64 [K], of drawing each arm; at least `p_min`."""
        weights = np.exp(self.log_weights - self.log_weights.max())
        return (1 - len(self.arms) * self.p_min) * weights / weights.sum() + self.p_min

    def decide(self, situation: Situation) -> Decision:
        """The batch of the arm that is drawn; those of the others tell the chance that each row had."""
        self.advice = [proposal.rows for proposal in situation.proposals]
        self.unlabeled = len(situation.affordable)
        return situation.take(int(situation.generator.choice(len(self.arms), p=self.probabilities())))

    def observe(self, purchase: Purchase, reward: float, after: Situation | None) -> None:
        """Credit the arm that bought with the accuracy that its labels led to; the round's reward is not looked at."""
        arms = self.arms_of(purchase)
        if arms is None or after is None:
            return
        self.rows = np.concatenate([self.rows, purchase.rows])
        self.chances = np.concatenate([self.chances, self.chances_of(purchase.rows, arms[0])])
        self.credit(arms[0], self.weighted_accuracy(after.signals))

    def chances_of(self, rows: Rows, drawn: int) -> NDArray[np.float64]:
        """The probability q(x) with which each row was bought when this arm was drawn, float64 [k]."""
        chances = np.zeros(len(rows))
        for arm, p in enumerate(self.probabilities()):
            if self.arms[arm] == "random":
                chances += p * len(self.advice[arm]) / self.unlabeled
            else:
                chances += p * (np.isin(rows, self.advice[arm]) | (arm == drawn))
        return chances

    def weighted_accuracy(self, signals: PoolSignals) -> float:
        """Importance-weighted accuracy on all rows queried so far, in [0, 1]."""
        labeled = np.isin(self.rows, signals.labeled_rows)  # nobody could label the others
        positions = np.searchsorted(signals.labeled_rows, self.rows[labeled])
        right = signals.labeled_probabilities[positions].argmax(axis=1) == signals.labels[positions]
        return float(np.average(right, weights=1 / self.chances[labeled])) if labeled.any() else 0.0

    def credit(self, arm: int, reward: float) -> None:
        """EXP4.P's update: `w_i ← w_i exp(p_min/2 (ŷ_i + v̂_i √(ln(K/δ) / (K T))))`, ŷ = r/p where drawn, v̂ = 1/p."""
        p, k = self.probabilities(), len(self.arms)
        estimate = np.where(np.arange(k) == arm, reward / p, 0.0)
        bonus = np.sqrt(np.log(k / self.delta) / (k * self.horizon)) / p
        self.log_weights = self.log_weights + self.p_min / 2 * (estimate + bonus)

    def state_dict(self) -> dict[str, Any]:
        """Weights, what was queried with which chance, and what the arms advised last."""
        return {
            "log_weights": torch.tensor(self.log_weights),
            "rows": torch.tensor(self.rows),
            "chances": torch.tensor(self.chances),
            "advice": [torch.tensor(rows) for rows in self.advice],
            "unlabeled": self.unlabeled,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The inverse of `state_dict`."""
        self.log_weights, self.rows = state["log_weights"].numpy(), state["rows"].numpy()
        self.chances, self.unlabeled = state["chances"].numpy(), state["unlabeled"]
        self.advice = [rows.numpy() for rows in state["advice"]]
