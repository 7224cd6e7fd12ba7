"""A text and its variant should be told alike: a loss on rows that need no label."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from lit_react.core.bounds import expect

SHARES = {
    "log": lambda progress: 1 - math.exp(-5 * progress),
    "linear": lambda progress: progress,
    "exp": lambda progress: math.exp(5 * (progress - 1)),
}
"""α of t/T, by the name of `annealing`; "log" ends at 0.993, "exp" begins at 0.007."""


class Consistency:
    """Unsupervised data augmentation (Xie et al. 2020, section 2.2 and "training techniques" of 2.3).

    Args:
        weight: of the loss beside the task's, λ.
        temperature: the prediction of the original is sharpened by it, τ; 1 leaves it as it is.
        confidence: rows whose likeliest class has no more probability than this do not count, β; the probability is
            that before sharpening, as in the authors' code. 0: all rows count.
        annealing: a labeled row counts in a step only while its class has no more than a probability that rises from
            1 / C to 1 over the fit, so that few labels are not learned by heart before the others are understood (TSA);
            `exp` rises late, for very few labels, `log` early. `none`: all labeled rows count. Of several processes,
            each has the mean over its own rows that count.
    """

    def __init__(
        self,
        weight: float = 1.0,
        temperature: float = 0.4,
        confidence: float = 0.5,
        annealing: Literal["none", "log", "linear", "exp"] = "none",
    ) -> None:
        expect("augmentation.consistency.weight", weight, above=0)
        expect("augmentation.consistency.temperature", temperature, above=0)
        expect("augmentation.consistency.confidence", confidence, at_least=0, below=1)
        self.weight, self.temperature, self.confidence, self.annealing = weight, temperature, confidence, annealing

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

    def still_counts(self, logits: Tensor, labels: Tensor, progress: float) -> Tensor:
        """Which labeled rows a step learns from, bool [b]: those whose class has at most η = α (1 − 1/C) + 1/C.

        Args:
            logits: float32 [b, C].
            labels: int64 [b].
            progress: share of the fit's steps that are done, t/T; for α see `SHARES`.
        """
        if self.annealing == "none":
            return torch.ones_like(labels, dtype=torch.bool)
        share, least = SHARES[self.annealing](progress), 1 / logits.shape[1]
        most = share * (1 - least) + least
        return logits.detach().softmax(-1).gather(1, labels[:, None])[:, 0] <= most
