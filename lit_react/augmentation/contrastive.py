"""Labeled texts of a class near one another, those of others far away: each pair of bought labels says something."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from lit_react.augmentation.part import Part, Step
from lit_react.core.bounds import expect


class Contrastive(Part):
    """Supervised contrastive learning on what the head reads (Khosla et al. 2020; for fine-tuning: Gunel et al. 2021).

    n labels make n (n - 1) / 2 pairs; a step sees those within its batch, that of all processes together. As in the
    latter paper no views are made and nothing is projected; where there are variants of texts, they are texts too.

    Args:
        weight: of the loss beside the task's own, which keeps weight 1; λ / (1 − λ) of Gunel et al., whose best is 9.
        temperature: τ, cosines are divided by it; theirs is 0.3.
    """

    def __init__(self, weight: float = 1.0, temperature: float = 0.3) -> None:
        expect("augmentation.contrastive.weight", weight, above=0)
        expect("augmentation.contrastive.temperature", temperature, above=0)
        self.weight, self.temperature = weight, temperature

    def loss(self, step: Step) -> Tensor:
        """The weighted loss of the labeled rows of all processes."""
        return self.of_pairs(step.gather(step.labeled.features), step.gather(step.labels))

    def of_pairs(self, features: Tensor, labels: Tensor) -> Tensor:
        """`weight` times the mean over rows i of −1/|P(i)| Σ_{p∈P(i)} log (exp(z_i·z_p/τ) / Σ_{a≠i} exp(z_i·z_a/τ)).

        z are the features [b, h] at unit length, P(i) the other rows of i's class by labels int64 [b] (Khosla et al.,
        equation 2). Rows without any are left out: the float32 scalar is 0 where no two rows are of a class.
        """
        with torch.autocast(features.device.type, enabled=False):
            points = F.normalize(features.float(), dim=1)
            similarity = points @ points.T / self.temperature
        itself = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
        log_shares = similarity.masked_fill(itself, torch.finfo(torch.float32).min).log_softmax(1)
        alike = (labels[:, None] == labels) & ~itself
        counts = alike.sum(1)
        of_rows = -log_shares.masked_fill(~alike, 0.0).sum(1) / counts.clamp(min=1)
        return self.weight * of_rows.sum() / (counts > 0).sum().clamp(min=1)
