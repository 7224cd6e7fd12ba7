"""A text and its variant should be told alike: a loss on rows that need no label."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from lit_react.bounds import expect


class Consistency:
    """Unsupervised data augmentation (Xie et al. 2020, section 2.2 and "training techniques" of 2.3).

    Args:
        weight: of the loss beside the task's, λ.
        temperature: the prediction of the original is sharpened by it, τ; 1 leaves it as it is.
        confidence: rows whose likeliest class has no more probability than this do not count, β; the probability is
            that before sharpening, as in the authors' code. 0: all rows count.
    """

    def __init__(self, weight: float = 1.0, temperature: float = 0.4, confidence: float = 0.5) -> None:
        expect("augmentation.consistency.weight", weight, above=0)
        expect("augmentation.consistency.temperature", temperature, above=0)
        expect("augmentation.consistency.confidence", confidence, at_least=0, below=1)
        self.weight, self.temperature, self.confidence = weight, temperature, confidence

    def loss(self, original: Tensor, varied: Tensor) -> Tensor:
        """KL(sharpened original ‖ variant) in nats, times `weight`; the mean over all rows, those left out count as 0.

        Args:
            original: float32 [u, C], logits of the texts; no gradient goes into them.
            varied: float32 [u, C], logits of their variants.

        Returns:
            A float32 scalar; 0 where u is 0.
        """
        original = original.detach().float()
        target = (original / self.temperature).log_softmax(-1)
        divergence = F.kl_div(varied.float().log_softmax(-1), target, reduction="none", log_target=True).sum(-1)
        counted = original.softmax(-1).amax(-1) > self.confidence
        return self.weight * torch.where(counted, divergence, 0.0).sum() / max(len(original), 1)
