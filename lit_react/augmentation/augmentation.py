"""More from the labels already bought: which parts are on, and what they make of one fit."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import ClassVar, Protocol

import datasets
import numpy as np

from lit_react.augmentation.augmented_fit import AugmentedFit, Bought
from lit_react.augmentation.complementary import ComplementaryLabels
from lit_react.augmentation.contrastive import Contrastive
from lit_react.augmentation.gan_bert import GanBert
from lit_react.augmentation.labels import LabelGenerator
from lit_react.augmentation.part import Part, Rows
from lit_react.augmentation.pseudo_labels import PseudoLabels
from lit_react.augmentation.texts import TextAugmentation
from lit_react.augmentation.trust import Trust
from lit_react.core.bounds import expect
from lit_react.core.errors import UserError
from lit_react.data.encoding import kept_by_nobody
from lit_react.data.fit_rows import FitRows
from lit_react.data.task import Task


class Augmentable(Protocol):
    """A model that says which parts it serves."""

    augmentable: ClassVar[frozenset[str]]


class Augmentation:
    """The parts that stretch bought labels; each is on where it is given, alone or together with others.

    `labels` takes a `LabelGenerator`, `texts` a `TextAugmentation`, `parts` any `Part`: one of your own is a subclass
    in a file of yours, named by its dotted path. The loss of a step becomes: cross-entropy of the labeled rows, + the
    losses of the parts. An augmentation never changes; `begin` makes what one fit has of it.

    Args:
        labels: puts labels on rows that have none, once per round, when `trust.start` of the steps are done, by the
            model's own embeddings: `LabelGAN`, `SelfTraining`.
        complementary: what a row is not: `ComplementaryLabels`.
        contrastive: rows of a class near one another, in what the head reads: `Contrastive`.
        features: made features for the head: `GanBert`.
        texts: varied texts: `WordDropout`, `WordSwap`, `Infilling`, or `Several` of them.
        parts: others, each with a loss of its own.
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
        features: GanBert | None = None,
        texts: TextAugmentation | None = None,
        parts: list[Part] | None = None,
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
        self.features, self.texts, self.parts = features, texts, parts
        self.unlabeled_size, self.most_unlabeled, self.variants = unlabeled_size, most_unlabeled, variants
        self.label_weight, self.trust = label_weight, trust or Trust()

    @property
    def used(self) -> list[str]:
        """The options whose parts are on."""
        names = ("labels", "complementary", "contrastive", "features", "texts", "parts")
        return [name for name in names if getattr(self, name)]

    @property
    def _losses(self) -> list[Part]:
        """The configured parts that have a loss, but for generated labels."""
        named = (self.complementary, self.contrastive, self.features)
        return [part for part in (*named, *(self.parts or ())) if part is not None]

    def rows_of(self, labels: int) -> int:
        """Labeled rows that a fit reads for so many labels: their texts, and the variants of these."""
        return labels * (1 + (self.variants if self.texts is not None else 0))

    def check(self, model: Augmentable, processes: int = 1) -> None:
        """See that the parts can do it before anything is bought; a `UserError` says which cannot.

        Args are the module that is to be fitted, and how many processes fit it together.
        """
        for part in self._losses:
            if processes > 1 and part.one_process:
                raise UserError(
                    f"augmentation: {type(part).__name__} is for one process, {processes} fit here (trainer.devices)"
                )
        if missing := set(self.used) - model.augmentable:
            known = ", ".join(sorted(model.augmentable)) or "none"
            raise UserError(f"augmentation.{min(missing)}: {type(model).__name__} has no such part, it has {known}")
        if self.texts is not None:
            self.texts.check()

    def drawn(self, unlabeled: Rows, seed: int) -> Rows:
        """Those of the unlabeled rows, int64 [u] and ascending, that a fit reads; none where no part reads any."""
        if self.labels is None and not any(part.reads_unlabeled for part in self._losses):
            return np.zeros(0, dtype=np.int64)
        if len(unlabeled) <= self.most_unlabeled:
            return unlabeled
        return np.sort(np.random.default_rng([seed, 1]).choice(unlabeled, self.most_unlabeled, replace=False))

    def begin(self, bought: Bought, task: Task, seed: int, after: AugmentedFit | None = None) -> AugmentedFit:
        """Make what one fit has of the parts: vary texts, draw unlabeled rows, all by the seed of the fit.

        `after` is the fit whose trust in generated labels this one takes over, for it has no validation rows.
        """
        pseudo_labels, parts = None, copy.deepcopy(self._losses)
        if self.labels is not None:
            known = after.pseudo_labels if after is not None else None
            trust = known.trust.for_refit() if known is not None else copy.copy(self.trust)
            pseudo_labels = PseudoLabels(copy.deepcopy(self.labels), self.label_weight, trust)
            parts.insert(0, pseudo_labels)
        rows = FitRows(
            bought.pool.table,
            bought.pool.labeled_rows,
            bought.labels,
            unlabeled=self.drawn(bought.pool.unlabeled_rows, seed),
            unlabeled_size=self.unlabeled_size,
            wanted=lambda: any(part.wants_unlabeled() for part in parts),
            weights=bought.pool.weights,
        )
        read = rows
        if self.texts is not None:
            read = self._with_variants(rows, bought.texts, task, self.texts, seed)
        return AugmentedFit(parts, pseudo_labels, bought, rows.unlabeled, read, task.class_of, seed)

    def _with_variants(
        self, rows: FitRows, pool: datasets.Dataset, task: Task, texts: TextAugmentation, seed: int
    ) -> FitRows:
        """The rows in a table of their own: labeled ones, their variants, which are labeled too, unlabeled ones.

        Rows are relative to the pool, whose texts are as the task read them; the task knows what a variant of a row is.
        """
        originals, unlabeled = pool.select(rows.labeled), pool.select(rows.unlabeled)
        variants = [task.varied(originals, rows.labels, texts, seed + place) for place in range(self.variants)]
        labels = [*rows.labels, *(label for _, part in variants for label in part)]
        made = [table for table, _ in variants]
        columns = made[0].column_names
        whole = datasets.concatenate_datasets([part.select_columns(columns) for part in [originals, *made, unlabeled]])
        labeled, rest = np.split(np.arange(len(whole), dtype=np.int64), [len(labels)])
        with kept_by_nobody():
            table = task.encode(whole)
        return replace(rows, table=table, labeled=labeled, labels=labels, unlabeled=rest)
