"""TAILOR: Thompson sampling over strategies, paid by labels of rare classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lit_react.acquisition.policies.bandit import DEFAULT_ARMS, Bandit
from lit_react.acquisition.policies.base import Proposal
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
        strategies: names of the arms.
        gamma: γ, what is left of a label's weight in the posterior after a round.
    """

    whole_batches = False

    def __init__(self, strategies: Sequence[str] = DEFAULT_ARMS, gamma: float = 0.9) -> None:
        super().__init__(strategies)
        expect("acquisition.policy.gamma", gamma, at_least=0, at_most=1)
        self.gamma = gamma
        self.found: NDArray[np.float64] | None = None
        self.rows = np.empty(0, dtype=np.int64)
        self.arm_of_row = np.empty(0, dtype=np.int64)

    # ---- acting ---------------------------------------------------------------------------------------------

    def proposals(self, signals: PoolSignals, k: int, generator: np.random.Generator) -> list[Proposal]:
        """K single rows, each from the arm that was drawn for it."""
        batches = [iter(batch.tolist()) for batch in self.batches(signals, k, generator)]
        taken: dict[int, str] = {}
        for arm in self.draw(signals, k, generator):
            row = next(row for row in batches[arm] if row not in taken)
            taken[row] = self.arms[arm]
        return [Proposal(name, np.asarray([row], dtype=np.int64), prior=True) for row, name in taken.items()]

    def draw(self, signals: PoolSignals, k: int, generator: np.random.Generator) -> Rows:
        """int64 [k], the arm for each sample."""
        worth = class_worth(signals.labels, signals.num_classes)
        values = [generator.dirichlet(a + 1, size=k) @ worth for a in self._counts(signals.num_classes)]
        return np.argmax(values, axis=0)

    def keep(self, rows: Rows, arms: Rows) -> None:
        """Keep which arm bought which row until the labels are there."""
        self.rows, self.arm_of_row = rows, arms

    # ---- learning -------------------------------------------------------------------------------------------

    def observe(self, signals: PoolSignals) -> None:
        """Count the classes that each arm found with the last purchase; older finds fade."""
        if len(self.rows) == 0:
            return
        found = self.gamma * self._counts(signals.num_classes)
        labels = signals.labels[np.searchsorted(signals.labeled_rows, self.rows)]
        np.add.at(found, (self.arm_of_row, labels), 1.0)
        self.found, self.rows, self.arm_of_row = found, self.rows[:0], self.arm_of_row[:0]

    def _counts(self, num_classes: int) -> NDArray[np.float64]:
        """float64 [arms, C], faded counts a of the classes that each arm found; 1 before the first labels."""
        return np.ones((len(self.arms), num_classes)) if self.found is None else self.found

    # ---- state ----------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """The counts, and the rows whose labels are not known yet."""
        return {
            "found": None if self.found is None else torch.tensor(self.found),
            "rows": torch.tensor(self.rows),
            "arm_of_row": torch.tensor(self.arm_of_row),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The inverse of `state_dict`."""
        self.found = None if state["found"] is None else state["found"].numpy()
        self.rows, self.arm_of_row = state["rows"].numpy(), state["arm_of_row"].numpy()


def class_worth(labels: Rows, num_classes: int) -> NDArray[np.float64]:
    """What a label of each class is worth, float64 [C]: the less, the more there are; below 0 for a majority."""
    counts = np.bincount(labels, minlength=num_classes)
    return np.where(2 * counts > len(labels), -1.0, 1.0) / np.maximum(counts, 1)
