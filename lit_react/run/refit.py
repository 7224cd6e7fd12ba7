"""When validation has done its work its labels are there to learn from: one more fit with all that were bought."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import datasets
import lightning as L
import numpy as np
from torch.utils.data import DataLoader

from lit_react.augmentation.augmentation import Augmentation
from lit_react.augmentation.augmented_fit import AugmentedFit, Bought
from lit_react.data.datamodule import PoolDataModule
from lit_react.data.encoding import Batch, kept_by_nobody
from lit_react.data.fit_rows import FitRows
from lit_react.data.pool import Pool, Rows
from lit_react.tasks.base import TaskModule

MakeRefitTrainer = Callable[[int], L.Trainer]
"""Optimiser steps → a fresh Trainer that neither validates nor stops early nor asks for labels."""


def refit(
    recipe: TaskModule,
    data: PoolDataModule,
    make_trainer: MakeRefitTrainer,
    *,
    steps: int,
    augmentation: Augmentation,
    after: AugmentedFit | None,
    seed: int,
) -> tuple[L.Trainer, TaskModule]:
    """Fit a fresh model with the labeled rows of the pool and of the validation split.

    As `refit` of scikit-learn's searches: validation has done its work by then. Steps are those that the fit made,
    early stopping included, in proportion to the rows, but at most twice as many; the last weights are taken, for
    nothing is left to choose by. Generated labels come from all bought labels too.

    Args:
        recipe: module without weights.
        data: with the labels that are bought.
        make_trainer: see above.
        steps: that the fit made.
        augmentation: of the run.
        after: what the fit had of it, as it was at its end; None: it had nothing.
        seed: of the round.

    Returns:
        the Trainer, and the module that it fitted.
    """
    unlabeled = np.zeros(0, dtype=np.int64)
    if after is not None:
        unlabeled = augmentation.drawn(data.pool.unlabeled_rows, seed)
    bought = with_validation_in_pool(data, unlabeled)
    augmented = augmentation.begin(bought, data.task, seed, after) if after is not None else None
    module = recipe.fresh(augmentation=augmented, learns_validation=True)
    rows = FitRows(bought.pool.table, bought.pool.labeled_rows, bought.labels) if augmented is None else augmented.rows
    L.seed_everything(seed, workers=True, verbose=False)
    trainer = make_trainer(round(steps * min(len(bought.labels) / len(data.pool.labels), 2)))
    trainer.fit(module, datamodule=RefitData(rows, bought.pool, data, seed))
    return trainer, module


class RefitData(L.LightningDataModule):
    """The rows of a refit.

    Args:
        rows: what is learned.
        pool: whose rows the augmentation may look at.
        data: of the run, for the sizes of batches.
        seed: of the order.
    """

    allow_zero_length_dataloader_with_multiple_devices = True  # as that of the run

    def __init__(self, rows: FitRows, pool: Pool, data: PoolDataModule, seed: int) -> None:
        super().__init__()
        self.rows, self.pool, self.seed = rows, pool, seed
        self.shares_batches, self.eval_batch_size = data.task.shares_batches, data.eval_batch_size
        self.batch_size = data.rows_per_step(len(rows.labeled))

    def _processes(self) -> dict[str, int]:
        assert self.trainer is not None, "a Trainer asks for batches"
        return {"rank": self.trainer.global_rank, "world_size": self.trainer.world_size}

    def train_dataloader(self) -> DataLoader[Batch]:
        """All rows, shuffled by the seed and the epoch."""
        return self.rows.loader(self.batch_size, seed=self.seed, **(self._processes() if self.shares_batches else {}))

    def scoring_loader(self, split: str, rows: Rows) -> DataLoader[Batch]:
        """Some rows of the pool, without labels; there are no others."""
        return self.pool.loader(rows, self.eval_batch_size, **self._processes())


def with_validation_in_pool(data: PoolDataModule, unlabeled: Rows) -> Bought:
    """The labeled rows, the validation rows whose labels were bought, and `unlabeled` as one pool.

    Args:
        data: with the labels that are bought.
        unlabeled: int64 [u], rows of its pool that stay unlabeled.

    Returns:
        what there is to learn from then, with nothing left to validate on.
    """
    labeled, validation = data.pool.labeled_rows, data.validation_rows
    pool, known = data.splits.pool, _alike(data.validation_split, data.splits.pool, data.task.inputs)
    parts = [pool.select(labeled), known.select(validation), pool.select(unlabeled)]
    rows = datasets.concatenate_datasets([part.select_columns(known.column_names) for part in parts])
    labels = [data.pool.labels[row] for row in labeled.tolist()]
    labels += [data.validation_labels[row] for row in validation.tolist()]
    with kept_by_nobody():
        table = data.task.encode(rows)
    joined = Pool(table, np.zeros(len(rows)), dict(enumerate(labels)))
    return Bought(joined, rows, validation={}, num_classes=len(data.class_names or []))


def _alike(table: datasets.Dataset, model: datasets.Dataset, needed: Sequence[str]) -> datasets.Dataset:
    """The columns of a table, but labels, that are of the same types in another; those that are needed become so."""
    same = {name for name, kind in model.features.items() if table.features.get(name) == kind} - {"label"}
    kept = [name for name in model.column_names if name in needed or name in same]
    features = datasets.Features({name: model.features[name] for name in kept})
    chosen = table.select_columns(kept)
    return chosen if chosen.features == features else chosen.cast(features)
