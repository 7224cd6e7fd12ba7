"""The kind of part that makes features for the head, and what a training step tells it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor


@dataclass(frozen=True)
class View:
    """One forward pass of the task's model over a batch.

    Attributes:
        features: [b, h], what the last linear layer reads, with gradients; in the precision of the forward pass.
        logits: float32 [b, C].
    """

    features: Tensor
    logits: Tensor


@dataclass(frozen=True)
class Step:
    """What a training step has at hand.

    Attributes:
        labeled: the pass over the labeled rows of the batch.
        labels: int64 [b], their classes.
        rows: int64 [b], which rows of the fit they are.
        unlabeled: the pass over the unlabeled rows of the batch, [u]; None where no part asked for them.
        head: the last linear layer, features [m, h] → logits float32 [m, C].
        progress: share of the fit's steps that are done, in [0, 1].
    """

    labeled: View
    labels: Tensor
    rows: Tensor
    unlabeled: View | None
    head: Callable[[Tensor], Tensor]
    progress: float


class FeatureAugmentation(ABC):
    """Makes features for the head from those of the batch; its loss is added to the task's."""

    needs_unlabeled: ClassVar[bool] = False
    """Whether `loss` reads `step.unlabeled`."""

    one_process: ClassVar[bool] = False
    """Whether it learns something that the processes of a distributed fit would not share."""

    def begin(self, num_features: int, num_classes: int, device: torch.device, seed: int) -> None:
        """A new fit; each fit has a fresh copy of the configured part.

        Args:
            num_features: h.
            num_classes: C.
            device: of the fit.
            seed: of all that is drawn.
        """
        self.generator = torch.Generator(device).manual_seed(seed)

    @abstractmethod
    def loss(self, step: Step) -> Tensor:
        """What is added to the task's loss, a float32 scalar with gradients into model and head."""

    def report(self) -> dict[str, float]:
        """What the part measured of itself over the fit, by name."""
        return {}
