"""A part: what a fit learns beside the cross-entropy of its bought labels, and what the fit tells it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Rows = NDArray[np.int64]

Embed = Callable[[str, Rows], NDArray[np.float32]]
"""`pool` or `validation`, and rows int64 [n] of that split → embeddings float32 [n, d] of unit length, by the model as
it is in the middle of its fit. All processes ask for the same rows, and each gets those of all."""


@dataclass(frozen=True)
class Fit:
    """What a part knows of the fit that begins; the model is on its device."""

    labeled: Rows  # int64 [l], the rows of the pool whose labels were bought, ascending
    classes: Rows  # int64 [l], their classes
    # int64 [m], the rows of the pool without a bought label that this fit may read, ascending; none where no part reads
    # any
    unlabeled: Rows
    validation: Rows  # int64 [v], the rows of the validation split whose labels were bought, ascending
    validation_classes: Rows  # int64 [v], their classes
    num_classes: int  # C
    num_features: int  # h, the width of what the head reads
    device: torch.device  # that of the model
    seed: int  # decides all that is drawn


@dataclass(frozen=True)
class View:
    """One forward pass of the task's model over some rows."""

    features: Tensor  # [b, h], what the last linear layer reads, with gradients; in the precision of the forward pass
    logits: Tensor  # float32 [b, C]

    def cut(self, size: int) -> tuple[View, View]:
        """The view of the first `size` rows, and that of the rest."""
        return View(self.features[:size], self.logits[:size]), View(self.features[size:], self.logits[size:])


@dataclass(frozen=True)
class Step:
    """What a training step has at hand."""

    labeled: View  # the pass over the labeled rows of the batch; variants of texts are among them
    labels: Tensor  # int64 [b], their classes
    unlabeled: View | None  # the pass over the unlabeled rows of the batch, [u]; None where it has none
    places: Tensor  # int64 [u], where these rows are in `Fit.unlabeled`
    head: Callable[[Tensor], Tensor]  # the last linear layer, features [m, h] → logits float32 [m, C]
    gather: Callable[[Tensor], Tensor]  # rows of this process [b, …] → those of all processes, with gradients into each
    progress: float  # the share of the fit's steps that are done, in [0, 1]


class Part(ABC):
    """Adds a loss to that of a fit. One of your own is a subclass in a file of yours: `augmentation.parts`.

    Each fit has a fresh copy of the part that was configured. Its methods are called in this order: `begin`; for each
    step `before_step` and `loss`; `validated` after each validation; `report` after the fit.
    """

    reads_unlabeled: ClassVar[bool] = False
    """Whether the fit draws unlabeled rows for it."""

    one_process: ClassVar[bool] = False
    """Whether it learns something that the processes of a distributed fit would not share."""

    fit: Fit
    """What `begin` was told."""

    generator: torch.Generator
    """Draws what the part draws in its steps, on the device of the fit."""

    def begin(self, fit: Fit) -> None:
        """Take note of the fit that begins."""
        self.fit, self.generator = fit, torch.Generator(fit.device).manual_seed(fit.seed)

    def wants_unlabeled(self) -> bool:
        """Whether the next batch is to have unlabeled rows."""
        return self.reads_unlabeled

    def before_step(self, progress: float, embed: Embed) -> None:  # noqa: B027 most parts wait for `loss`
        """Look at the model as it is before a step; all processes are called with the same progress."""

    @abstractmethod
    def loss(self, step: Step) -> Tensor:
        """What is added to the task's loss: a float32 scalar with gradients into model and head."""

    def validated(self, accuracy: float) -> None:  # noqa: B027 most parts do not mind
        """Take note of the model's metric on the validation rows, in [0, 1]."""

    def report(self) -> dict[str, float]:
        """What the part measured of itself over the fit, by name."""
        return {}
