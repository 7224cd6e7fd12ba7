"""Features of the labeled rows of recent steps."""

from __future__ import annotations

import torch
from torch import Tensor


class FeatureMemory:
    """The last features and labels, detached: a batch alone seldom has two rows of a class.

    They are as old as the steps in which they were seen; a small memory forgets what the encoder no longer says.

    Args:
        size: how many rows are kept.
        num_features: h.
        device: where.
    """

    def __init__(self, size: int, num_features: int, device: torch.device) -> None:
        self._features = torch.empty(size, num_features, device=device)
        self._labels = torch.empty(size, dtype=torch.int64, device=device)
        self._seen = 0

    @property
    def features(self) -> Tensor:
        """float32 [m, h], in no special order."""
        return self._features[: self._seen]

    @property
    def labels(self) -> Tensor:
        """int64 [m]."""
        return self._labels[: self._seen]

    def add(self, features: Tensor, labels: Tensor) -> None:
        """Remember features [b, h] and labels int64 [b] instead of the oldest ones."""
        size = len(self._labels)
        features, labels = features.detach()[-size:], labels[-size:]
        places = torch.arange(self._seen, self._seen + len(labels), device=labels.device) % size
        self._features[places] = features.float()
        self._labels[places] = labels
        self._seen += len(labels)
