"""The parts in one fit: what it reads because of them, and what they add to its loss."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import datasets
import numpy as np
import torch
from torch import Tensor

from lit_react.annotation.answers import Label
from lit_react.augmentation.part import Embed, Fit, Part, Rows, Step, View
from lit_react.augmentation.pseudo_labels import PseudoLabels
from lit_react.data.encoding import Batch
from lit_react.data.fit_rows import FitRows
from lit_react.data.pool import Pool


@dataclass(frozen=True)
class Bought:
    """What there is to learn from."""

    pool: Pool  # the encoded rows, and the labels that were bought
    texts: datasets.Dataset  # the same rows as the task read them
    validation: Mapping[int, Label]  # row of the validation split → the label that was bought
    num_classes: int  # C; 0 where labels have no classes

    @property
    def labels(self) -> list[Label]:
        """Those of the pool, in the order of `pool.labeled_rows`."""
        return [self.pool.labels[row] for row in self.pool.labeled_rows.tolist()]


@dataclass
class AugmentedFit:
    """What one fit has of an `Augmentation`, which makes it; the next fit has one of its own."""

    parts: Sequence[Part]  # those with a loss, of this fit alone
    pseudo_labels: PseudoLabels | None  # that among them which generates labels; None: there is none
    bought: Bought  # what there is to learn from
    unlabeled: Rows  # int64 [m], rows of the pool without a bought label that the fit may read
    rows: FitRows  # what the fit reads
    class_of: Callable[[Label], int]  # the class of a label
    seed: int  # decides all that is drawn

    def begin_steps(self, num_features: int, device: torch.device) -> None:
        """Tell the parts that the model is on its device; its head reads `num_features` numbers."""
        validation = dict(sorted(self.bought.validation.items()))
        fit = Fit(
            labeled=self.bought.pool.labeled_rows,
            classes=self._classes(self.bought.labels),
            unlabeled=self.unlabeled,
            validation=np.fromiter(validation, dtype=np.int64),
            validation_classes=self._classes(validation.values()),
            num_classes=self.bought.num_classes,
            num_features=num_features,
            device=device,
            seed=self.seed,
        )
        self._read = torch.as_tensor(self.rows.unlabeled, device=device)
        for part in self.parts:
            part.begin(fit)

    def _classes(self, labels: Iterable[Label]) -> Rows:
        return np.asarray([self.class_of(label) for label in labels], dtype=np.int64)

    def before_step(self, progress: float, embed: Embed) -> None:
        """Let the parts look at the model before a step, when the share `progress` of the fit's steps is done."""
        for part in self.parts:
            part.before_step(progress, embed)

    def loss(
        self,
        view: View,
        batch: Batch,
        *,
        head: Callable[[Tensor], Tensor],
        gather: Callable[[Tensor], Tensor],
        progress: float,
    ) -> Tensor:
        """What the parts add to the cross-entropy of the labeled rows, a float32 scalar.

        The view is the pass over the batch: labeled rows, then unlabeled ones (see `FitRows.loader`); the batch has
        `row` and `labels`. For `head`, `gather` and `progress` see `Step`.
        """
        labels = batch["labels"]
        labeled, unlabeled = view.cut(len(labels))
        places = torch.searchsorted(self._read, batch["row"][len(labels) :].to(self._read.device))
        there = unlabeled if len(places) else None
        step = Step(labeled, labels, there, places, head, gather, progress)
        total = view.logits.new_zeros(())
        for part in self.parts:
            total = total + part.loss(step)
        return total

    def validated(self, accuracy: float) -> None:
        """Tell the parts how good the model is on the validation rows."""
        for part in self.parts:
            part.validated(accuracy)

    def report(self, known: Sequence[Label | None]) -> dict[str, float]:
        """What the parts measured of themselves, and how good generated labels are, see `PseudoLabels.compared`."""
        measured: dict[str, float] = {}
        for part in reversed(self.parts):
            measured |= part.report()
        if self.pseudo_labels is not None:
            measured |= self.pseudo_labels.compared(known, self.class_of)
        return measured
