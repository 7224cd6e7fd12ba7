"""More from the labels already bought: which parts are on, what a fit reads because of them, what its loss becomes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from lit_react.annotation.ledger import Label
from lit_react.augmentation.complementary import ComplementaryLabels
from lit_react.augmentation.contrastive import Contrastive
from lit_react.augmentation.features import FeatureAugmentation, Step, View
from lit_react.augmentation.labels import GeneratedLabels, LabelGenerator
from lit_react.augmentation.preparation import (
    drawn_rows,
    generate_labels,
    under_present_weights,
    with_variants,
)
from lit_react.augmentation.texts import TextAugmentation
from lit_react.augmentation.trust import Trust
from lit_react.core.bounds import expect
from lit_react.core.errors import UserError
from lit_react.data.encoding import Batch
from lit_react.data.fit_rows import FitRows
from lit_react.data.pool import Rows

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lit_react.data.datamodule import PoolDataModule
    from lit_react.tasks.base import TaskModule


class Augmentation:
    """The parts that stretch bought labels; each is on where it is given, alone or together with others.

    The loss of a step becomes: cross-entropy of the labeled rows, + `label_weight` · trust · mean over the unlabeled
    rows of weight · cross-entropy with the generated target, + the losses of the other parts. For trust, see `Trust`.

    Args:
        labels: puts labels on rows that have none, once per round, when `trust.start` of the steps are done, by the
            model's own embeddings: `LabelGAN`, `SelfTraining`.
        complementary: what a row is not: `ComplementaryLabels`.
        contrastive: rows of a class near one another, in what the head reads: `Contrastive`.
        features: made features for the head: `GanBert`.
        texts: varied texts: `WordDropout`, `WordSwap`, `Infilling`, or `Several` of them.
        unlabeled_size: unlabeled rows in a batch, beside the labeled ones, where a part reads them.
        label_weight: of generated labels against bought ones.
        trust: when generated labels count; None: `Trust()`.
        most_unlabeled: unlabeled rows that a fit reads at most; where the pool has more, they are drawn anew for each.
        variants: of each labeled text, which the fit reads beside the text itself, where `texts` is given.
    """

    def __init__(
        self,
        labels: LabelGenerator | None = None,
        complementary: ComplementaryLabels | None = None,
        contrastive: Contrastive | None = None,
        features: FeatureAugmentation | None = None,
        texts: TextAugmentation | None = None,
        unlabeled_size: int = 8,
        label_weight: float = 1.0,
        trust: Trust | None = None,
        most_unlabeled: int = 1000,
        variants: int = 1,
    ) -> None:
        expect("augmentation.unlabeled_size", unlabeled_size, at_least=1)
        expect("augmentation.most_unlabeled", most_unlabeled, at_least=1)
        expect("augmentation.variants", variants, at_least=1)
        expect("augmentation.label_weight", label_weight, at_least=0)
        self.labels, self.complementary, self.contrastive = labels, complementary, contrastive
        self.features, self.texts = features, texts
        self.unlabeled_size, self.most_unlabeled, self.variants = unlabeled_size, most_unlabeled, variants
        self.label_weight, self.trust = label_weight, trust or Trust()
        self.generated: GeneratedLabels | None = None

    @property
    def parts(self) -> dict[str, object]:
        """The parts that are on, by the name of their option."""
        names = ("labels", "complementary", "contrastive", "features", "texts")
        return {name: part for name in names if (part := getattr(self, name)) is not None}

    def rows_of(self, labels: int) -> int:
        """Labeled rows that a fit reads for so many labels: their texts, and the variants of these."""
        return labels * (1 + (self.variants if self.texts is not None else 0))

    def check(self, task: TaskModule, processes: int = 1) -> None:
        """See that the parts can do it, before anything is bought.

        Args:
            task: to be fitted.
            processes: that fit it together.

        Raises:
            UserError: the task has no such part, or a part does not fit the processes.
        """
        if processes > 1 and self.features is not None and self.features.one_process:
            name = type(self.features).__name__
            raise UserError(f"augmentation.features: {name} is for one process, {processes} fit here (trainer.devices)")
        if missing := self.parts.keys() - task.augmentable:
            known = ", ".join(sorted(task.augmentable)) or "none"
            raise UserError(f"augmentation.{min(missing)}: {type(task).__name__} has no such part, it has {known}")
        if self.texts is not None:
            self.texts.check()

    # ---- before a fit ---------------------------------------------------------------------------------------

    def begin(self, data: PoolDataModule, seed: int) -> FitRows:
        """Vary texts for a fit, draw unlabeled rows; each fit has a fresh copy of the configured augmentation.

        Args:
            data: with the labels that are bought.
            seed: of the round.

        Returns:
            what the fit reads.
        """
        self.seed, self._data = seed, data
        labeled, unlabeled = data.pool.labeled_rows, self.unlabeled_of(data, seed)
        self._unlabeled, num_classes = unlabeled, len(data.class_names or [])
        has_targets = self.labels is not None
        self._targets = np.zeros((len(unlabeled), num_classes), dtype=np.float32) if has_targets else None
        self._weights = np.zeros(len(unlabeled), dtype=np.float32) if has_targets else None
        fit_rows = FitRows(
            data.pool.table,
            labeled,
            [data.pool.labels[row] for row in labeled.tolist()],
            unlabeled=unlabeled,
            targets=self._targets,
            weights=self._weights,
            unlabeled_size=self.unlabeled_size,
            wanted=lambda: self._reads_all or self.trust.factor > 0,
        )
        if self.texts is None:
            return fit_rows
        return with_variants(fit_rows, data, self.texts, count=self.variants, seed=seed)

    def unlabeled_of(self, data: PoolDataModule, seed: int) -> Rows:
        """int64 [u], the unlabeled rows of the pool that a fit reads; none where no part reads any."""
        if self.labels is None and not self._reads_all:
            return np.zeros(0, dtype=np.int64)
        return drawn_rows(data.pool.unlabeled_rows, self.most_unlabeled, seed)

    @property
    def _reads_all(self) -> bool:
        """Whether a part reads all unlabeled rows, and in every step."""
        return self.features is not None and self.features.needs_unlabeled

    def _generate(self, task: TaskModule) -> None:
        """Fill in targets and weights of the unlabeled rows, which the fit reads from now on."""
        if self.labels is None or self._targets is None or self._weights is None or self.trust.is_lost:
            return
        start = time.perf_counter()
        seen = under_present_weights(task, self._data, self._unlabeled)
        self.generated, accuracy = generate_labels(self.labels, self._data, seen, self.seed)
        if accuracy is not None:
            self.trust.generator_accuracy = accuracy
        self._seconds = time.perf_counter() - start
        places = np.searchsorted(self._unlabeled, self.generated.rows)
        self._targets[places], self._weights[places] = self.generated.targets, self.generated.weights
        self.trust.generated = True

    # ---- in a fit -------------------------------------------------------------------------------------------

    def begin_steps(
        self, num_features: int, num_classes: int, device: torch.device, gather: Callable[[Tensor], Tensor]
    ) -> None:
        """The model is where it will be fitted.

        Args:
            num_features: what the head reads.
            num_classes: C.
            device: of the fit.
            gather: rows of this process [b, …] → those of all processes, with gradients into each.
        """
        self._gather = gather
        if self.features is not None:
            self.features.begin(num_features, num_classes, device, self.seed)
        if self.complementary is not None:
            self.complementary.begin(device, self.seed)

    def before_step(self, task: TaskModule, progress: float) -> None:
        """Generate labels by the model's own embeddings, once, when it is time to; called before each step.

        Args:
            task: in its fit.
            progress: see `Step`.
        """
        self.trust.progress = progress
        if self.generated is None and progress >= self.trust.start:
            self._generate(task)

    def loss(self, view: View, batch: Batch, head: Callable[[Tensor], Tensor], progress: float) -> Tensor:
        """What the parts add to the cross-entropy of the labeled rows, a float32 scalar.

        Args:
            view: the pass over the batch: labeled rows, then unlabeled ones; see `FitRows.loader`.
            batch: with `row` and `labels`, and maybe `targets` and `weights`.
            head: see `Step`.
            progress: see `Step`.
        """
        labels = batch["labels"]
        labeled, unlabeled = _cut(view, len(labels))
        total = view.logits.new_zeros(())
        if "targets" in batch:
            total = total + self.trust.factor * self._of_generated(unlabeled.logits, batch)
        if self.complementary is not None:
            part = self.complementary
            total = total + part.factor(progress) * part.loss(labeled.logits, labels, part.generator)
        if self.contrastive is not None:
            total = total + self.contrastive.loss(self._gather(labeled.features), self._gather(labels))
        if self.features is not None:
            rows = batch["row"][: len(labels)]
            step = Step(labeled, labels, rows, unlabeled if len(unlabeled.logits) else None, head, progress)
            total = total + self.features.loss(step)
        return total

    def _of_generated(self, logits: Tensor, batch: Batch) -> Tensor:
        losses = -(batch["targets"] * logits.log_softmax(-1)).sum(-1)
        return self.label_weight * (batch["weights"] * losses).sum() / max(len(losses), 1)

    # ---- after a fit ----------------------------------------------------------------------------------------

    @property
    def counted(self) -> int:
        """Rows whose generated labels had a weight at the end of the fit."""
        return int((self.generated.weights > 0).sum()) if self.generated is not None and self.trust.value > 0 else 0

    def report(self, known: Sequence[Label | None], class_of: Callable[[Label], int]) -> dict[str, float]:
        """What the parts measured of themselves, and how good the generated labels are.

        Args:
            known: labels that came with the data, for each row of the pool, None where unknown. They are only counted
                here, after the fit; nothing learns from them.
            class_of: see `TaskModule`.

        Returns:
            beside the parts' own: `generated` (rows with a weight; 0 also where the fit ended before its time to
            generate), `generator_validation_accuracy`, `trust` (at the end of the fit) and `seconds` (of generating);
            where gold labels are known, `generated_accuracy` of those rows, and `generated_accuracy_all` whatever
            the weight.
        """
        found = self.generated
        measured = self.features.report() if self.features is not None else {}
        if self.labels is None:
            return measured
        if found is None:
            return measured | {"generated": 0.0, "trust": 0.0}
        measured |= found.report | {
            "generated": float((found.weights > 0).sum()),
            "generator_validation_accuracy": self.trust.generator_accuracy or 0.0,
            "trust": self.trust.value,
            "seconds": round(self._seconds, 3),
        }
        gold = [known[row] for row in found.rows.tolist()]
        if gold and None not in gold:
            right = found.targets.argmax(1) == np.asarray([class_of(label) for label in gold])
            counts = found.weights > 0
            measured["generated_accuracy_all"] = float(right.mean())
            if counts.any():
                measured["generated_accuracy"] = float(right[counts].mean())
        return measured


def _cut(view: View, size: int) -> tuple[View, View]:
    """The view of the first rows, so many, and that of the rest."""
    return View(view.features[:size], view.logits[:size]), View(view.features[size:], view.logits[size:])
