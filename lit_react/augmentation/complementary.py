"""Label augmentation with complements: beside "x is y", "x is not ¬y"."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from lit_react.augmentation.part import Part, Step
from lit_react.core.bounds import expect


class ComplementaryLabels(Part):
    """From each pair (x, y) the pairs (x, ¬y) with other classes ¬y, as negatives: −log(1 − p(¬y | x)) is minimised.

    This is the label augmentation (x, y) ⊕ (x, ¬y) of the second article; negative learning of Kim et al. 2019 (NLNL,
    equation 2), on complementary labels of Ishida et al. 2017. A complement is never a target: it takes probability
    away from one class and gives it to all others in proportion to what they have.

    With two classes "not the other" is "this one": for a clean label the loss and its gradient are those of
    cross-entropy, so nothing is gained, only its weight is raised. With more, a clean label implies all its
    complements too; they change the loss, not what is known.

    Args:
        complements: how many ¬y are drawn for each labeled row and step, from the other classes, without repetition;
            `all` takes each of them. Their losses are averaged, so `all` is the mean of what a draw of 1 gives.
        weight: factor of the loss.
        schedule: `constant`, or `ramp`: the weight rises linearly from 0 over the fit.
    """

    def __init__(
        self,
        complements: int | Literal["all"] = 1,
        weight: float = 1.0,
        schedule: Literal["constant", "ramp"] = "constant",
    ) -> None:
        if complements != "all":
            expect("augmentation.complementary.complements", complements, at_least=1)
        expect("augmentation.complementary.weight", weight, at_least=0)
        self.complements, self.weight, self.schedule = complements, weight, schedule

    def loss(self, step: Step) -> Tensor:
        """The complements' loss times the weight that it has by now."""
        weight = self.weight * (step.progress if self.schedule == "ramp" else 1.0)
        return weight * self.of_complements(step.labeled.logits, step.labels, self.generator)

    def of_complements(self, logits: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        """The mean of −log(1 − p(¬y | x)) over the rows' complements, a float32 scalar.

        Logits are [b, C] with C at least 2, labels int64 [b]; the generator, of the logits' device, draws the
        complements.
        """
        others = logits.shape[1] - 1
        count = others if self.complements == "all" else min(self.complements, others)
        order = torch.rand(logits.shape, generator=generator, device=logits.device, dtype=torch.float32)
        order = order.scatter(1, labels[:, None], -1.0)  # the own class comes last
        return -log_not(logits).gather(1, order.topk(count, dim=1).indices).mean()


def log_not(logits: Tensor) -> Tensor:
    """log(1 − p_c) for each class c, float32 [b, C], finite whatever the logits are.

    Only the likeliest class can have p near 1, where 1 − p would cancel: of it, and of it alone, the sum over the
    others is taken in log space, log Σ_{k≠c} e^{l_k} − log Σ_k e^{l_k}.
    """
    logits = logits.float()
    top = torch.zeros_like(logits, dtype=torch.bool).scatter(1, logits.argmax(1, keepdim=True), True)
    rest = logits.masked_fill(top, float("-inf")).logsumexp(1, keepdim=True) - logits.logsumexp(1, keepdim=True)
    small = logits.softmax(1).masked_fill(top, 0.0)  # at most 1/2 each
    return torch.where(top, rest, torch.log1p(-small))
