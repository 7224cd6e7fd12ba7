"""Features of the labeled rows of recent steps."""

from __future__ import annotations

import torch
from torch import Tensor


class FeatureMemory:
    """The last features and labels, detached: a batch alone seldom has two rows of a class.

    They are as old as the steps in which they were seen; a small memory forgets what the encoder no longer says. A row
    is there once, as it was last seen: with few labels a memory of all that was seen would be copies of them.

    Args:
        size: how many rows are kept.
        num_features: h.
        device: where.

    Attributes:
        rows: int64 [m], the oldest first.
        features: float32 [m, h].
        labels: int64 [m].
    """

    def __init__(self, size: int, num_features: int, device: torch.device) -> None:
        self.size = size
        self.rows = torch.empty(0, dtype=torch.int64, device=device)
        self.features = torch.empty(0, num_features, device=device)
        self.labels = torch.empty(0, dtype=torch.int64, device=device)

    def forget(self, rows: Tensor) -> None:
        """Drop these rows, int64 [b], which are at hand in a newer form."""
        kept = ~torch.isin(self.rows, rows)
        self.rows, self.features, self.labels = self.rows[kept], self.features[kept], self.labels[kept]

    def add(self, rows: Tensor, features: Tensor, labels: Tensor) -> None:
        """Remember rows int64 [b] with features [b, h] and labels int64 [b] instead of the oldest ones."""
        self.rows = torch.cat([self.rows, rows])[-self.size :]
        self.features = torch.cat([self.features, features.detach().float()])[-self.size :]
        self.labels = torch.cat([self.labels, labels])[-self.size :]
