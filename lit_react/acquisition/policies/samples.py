"""Choose sample by sample: the literal reading of seed 1."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray

from lit_react.acquisition.agent import Options
from lit_react.acquisition.features import FeatureMap
from lit_react.acquisition.policies.base import Policy, Proposal, check_strategy
from lit_react.acquisition.signals import PoolSignals, Rows
from lit_react.acquisition.strategies import find_strategy


class QSamples(Policy):
    """Every candidate sample is an option of its own; k are drawn without replacement from softmax(α Q(s, x)).

    Candidates are the prior rule's picks and a uniform sample of the pool. Nothing tells the network that two of its
    picks are alike; `QProposals` is the default for that reason. The shipped network was trained on batches. To learn
    this from scratch give `acquisition.agent.pretrained null`, and with it `deviation_starts 0` and `doubt 0`: by their
    defaults a run of ordinary length takes the prior rule's picks throughout.

    Args:
        candidates: options per decision.
        prior: the rule to start from.
    """

    whole_batches = False

    def __init__(self, candidates: int = 256, prior: str = "facility_location") -> None:
        self.candidates, self.prior = candidates, check_strategy(prior, "acquisition.policy.prior")

    def strategies(self) -> Iterable[str]:
        """The prior rule."""
        return [self.prior]

    def proposals(self, signals: PoolSignals, k: int, generator: np.random.Generator) -> list[Proposal]:
        """The prior's k picks, then other rows, each alone."""
        sound = find_strategy(self.prior)(signals, k, generator)
        others = np.setdiff1d(signals.rows, sound)
        drawn = generator.choice(others, min(len(others), max(self.candidates - k, 0)), replace=False)
        rows = np.concatenate([sound, drawn])
        return [
            Proposal(self.prior if i < len(sound) else "q_sample", rows[i : i + 1], prior=i < len(sound))
            for i in range(len(rows))
        ]

    def describe(self, rows: Rows, features: FeatureMap) -> NDArray[np.float32]:
        """Each row alone, as each is an option of its own."""
        return features.singles(rows)

    def options(self, proposals: list[Proposal], features: FeatureMap, k: int) -> Options:
        """As in `Policy.options`, described in one pass."""
        described = torch.from_numpy(self.describe(np.concatenate([p.rows for p in proposals]), features))
        mask = torch.ones(len(proposals), 1, dtype=torch.bool)
        return Options(described[:, None], mask, torch.tensor([p.prior for p in proposals]), self.takes(k))
