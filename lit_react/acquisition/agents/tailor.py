"""TAILOR: Thompson sampling over strategies, paid by labels of rare classes."""

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


class TAILOR(Bandit):
    """TAILOR (Zhang et al. 2023, "Algorithm Selection for Deep Active Learning with Imbalanced Datasets").

    As in the paper: a label of class c is worth v_c = 1/max(1, labels of c so far), so that rare classes are worth
    most; of each arm a posterior of the classes that it finds is kept; for each sample of the query a θ is drawn from
    every posterior, and the arm with the largest θ·v gives its next row; the posteriors are updated once per round,
    by `a ← γ a + labels found`. As in the authors' code for one label per sample: the posterior is Dir(a + 1), whose
    margins are Beta distributions, a starts at 1, γ is 0.9, and a class that holds more than half of the labels is
    worth −v_c. (The paper's factor 1/C in v changes no choice and is left out.)

    What differs: an arm's next row is the next one of the batch that it proposed for the whole query; the authors'
    arms choose again after each row that any of them took. And the arms are the strategies of this package: theirs
    include an arm per class.

    Args:
        gamma: γ, what is left of a label's weight in the posterior after a round.
    """

    def __init__(self, gamma: float = 0.9) -> None:
        expect("acquisition.agent.gamma", gamma, at_least=0, at_most=1)
        self.gamma = gamma

    def begin(self, proposals: Proposals, seed: int) -> None:
        """No arm has found anything."""
        super().begin(proposals, seed)
        self.found: NDArray[np.float64] | None = None

    def decide(self, situation: Situation) -> Decision:
        """K single rows, each the next one of the arm that is drawn for it, while that arm has one."""
        batches = [iter(proposal.rows.tolist()) for proposal in situation.proposals]
        taken: dict[int, str] = {}
        for arm in self.draw(situation.signals, situation.k, situation.generator):
            row = next((row for row in batches[arm] if row not in taken), None)
            if row is not None:
                taken[row] = self.arms[arm]
        return Decision(np.asarray(list(taken), dtype=np.int64), list(taken.values()))

    def draw(self, signals: PoolSignals, k: int, generator: np.random.Generator) -> Rows:
        """int64 [k], the arm for each sample."""
        worth = class_worth(signals.labels, signals.num_classes)
        values = [generator.dirichlet(a + 1, size=k) @ worth for a in self._counts(signals.num_classes)]
        return np.argmax(values, axis=0)

    def observe(self, purchase: Purchase, reward: float, after: Situation | None) -> None:
        """Count the classes that each arm found with the last purchase; older finds fade."""
        arms = self.arms_of(purchase)
        if arms is None or after is None:
            return
        signals = after.signals
        found = self.gamma * self._counts(signals.num_classes)
        labeled = np.isin(purchase.rows, signals.labeled_rows)  # nobody could label the others
        labels = signals.labels[np.searchsorted(signals.labeled_rows, purchase.rows[labeled])]
        np.add.at(found, (np.asarray(arms)[labeled], labels), 1.0)
        self.found = found

    def _counts(self, num_classes: int) -> NDArray[np.float64]:
        """float64 [arms, C], faded counts a of the classes that each arm found; 1 before the first labels."""
        if self.found is None:
            return np.ones((len(self.arms), num_classes))
        new = num_classes - self.found.shape[1]  # classes that were found since
        return np.pad(self.found, ((0, 0), (0, new)), constant_values=1.0)

    def state_dict(self) -> dict[str, Any]:
        """The counts."""
        return {"found": None if self.found is None else torch.tensor(self.found)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The inverse of `state_dict`."""
        self.found = None if state["found"] is None else state["found"].numpy()


def class_worth(labels: Rows, num_classes: int) -> NDArray[np.float64]:
    """What a label of each class is worth, float64 [C]: the less, the more there are; below 0 for a majority."""
    counts = np.bincount(labels, minlength=num_classes)
    return np.where(2 * counts > len(labels), -1.0, 1.0) / np.maximum(counts, 1)
