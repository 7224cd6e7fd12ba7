"""Single samples: the literal reading of the first article."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lit_react.acquisition.features import FeatureMap
from lit_react.acquisition.proposals.base import Options, Proposal, Proposals
from lit_react.acquisition.proposals.batches import Batches
from lit_react.acquisition.signals import PoolSignals, Rows
from lit_react.acquisition.strategies.naming import Rule


class Samples(Proposals):
    """Every candidate sample is a proposal of its own; k are drawn without replacement from softmax(α Q(s, x)).

    Candidates are the default rule's picks and a uniform sample of the pool. Nothing tells the network that two of its
    picks are alike; `Batches` is the default for that reason. The shipped network was trained on batches. To learn this
    from scratch give `acquisition.agent.pretrained null`, and with it `deviation_starts 0` and `doubt 0`: by their
    defaults a run of ordinary length takes the default rule's picks throughout.

    Args:
        candidates: proposals per decision.
        default_rule: the rule to start from, as in `Batches.strategies`.
    """

    whole_batches = False

    def __init__(self, candidates: int = 256, default_rule: str | Callable[..., Any] = "facility_location") -> None:
        self.candidates, self._rule = candidates, Batches([default_rule])
        self.default_rule = self._rule.default_rule
        self.names = [self.default_rule, "q_sample"]

    @property
    def rules(self) -> Sequence[Rule]:
        """The default rule."""
        return self._rule.rules

    def propose(
        self, signals: PoolSignals, k: int, generator: np.random.Generator, asked: Sequence[str] | None = None
    ) -> list[Proposal]:
        """The default rule's k picks, then other rows, each alone; whoever asks for some gets all of them."""
        sound = self._rule.default_batch(signals, k, generator)
        others = np.setdiff1d(signals.rows, sound)
        drawn = generator.choice(others, min(len(others), max(self.candidates - k, 0)), replace=False)
        rows = np.concatenate([sound, drawn])
        return [Proposal(self.names[i >= len(sound)], rows[i : i + 1], i < len(sound)) for i in range(len(rows))]

    def describe(self, rows: Rows, features: FeatureMap) -> NDArray[np.float32]:
        """Each row alone, as each is a proposal of its own."""
        return features.singles(rows)

    def options(self, proposals: Sequence[Proposal], features: FeatureMap, k: int) -> Options:
        """Described in one pass; a decision takes k of them."""
        described = torch.from_numpy(self.describe(np.concatenate([p.rows for p in proposals]), features))
        mask = torch.ones(len(proposals), 1, dtype=torch.bool)
        return Options(described[:, None], mask, torch.tensor([p.by_default for p in proposals]), takes=k)
