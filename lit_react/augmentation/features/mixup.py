"""Mixup of the head's inputs."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from lit_react.augmentation.features.base import FeatureAugmentation, Step
from lit_react.core.bounds import expect


class Mixup(FeatureAugmentation):
    """Convex combinations of two labeled rows, with the same combination of their labels.

    λ x_i + (1 − λ) x_j with λ ~ Beta(α, α), one for each row (mixup; Zhang et al. 2018, equation 1), on what the last
    layer reads (manifold mixup; Verma et al. 2019): logits of a linear head mix as its inputs do, so it is the softmax
    between two rows that is shaped.

    Args:
        alpha: α; small: near one of the two, 1: uniform.
        weight: factor of the loss.
    """

    def __init__(self, alpha: float = 0.4, weight: float = 1.0) -> None:
        expect("augmentation.features.alpha", alpha, above=0)
        expect("augmentation.features.weight", weight, at_least=0)
        self.alpha, self.weight = alpha, weight

    def begin(self, num_features: int, num_classes: int, device: torch.device, seed: int) -> None:
        """Torch draws from a Beta distribution without a generator only, NumPy with one."""
        super().begin(num_features, num_classes, device, seed)
        self._shares = np.random.default_rng(seed)

    def loss(self, step: Step) -> Tensor:
        """λ · cross-entropy to y_i + (1 − λ) · cross-entropy to y_j, mean over the batch."""
        features, labels = step.labeled.features, step.labels
        partners = torch.randperm(len(labels), generator=self.generator, device=labels.device)
        drawn = self._shares.beta(self.alpha, self.alpha, len(labels))
        share = torch.as_tensor(drawn, dtype=torch.float32).to(labels.device)
        mixed = torch.lerp(features[partners].float(), features.float(), share[:, None])
        logits = step.head(mixed.to(features.dtype)).float()
        first = F.cross_entropy(logits, labels, reduction="none")
        second = F.cross_entropy(logits, labels[partners], reduction="none")
        return self.weight * (share * first + (1 - share) * second).mean()
