"""When validation has done its work its labels are there to learn from: one more fit with all that were bought."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace

import datasets
import lightning as L
import numpy as np

from lit_react.data.datamodule import PoolDataModule
from lit_react.data.encoding import kept_by_nobody
from lit_react.data.pool import Pool, Rows
from lit_react.tasks.base import TaskModule

MakeRefitTrainer = Callable[[int], L.Trainer]
"""Optimiser steps → a fresh Trainer that neither validates nor stops early nor asks for labels."""


def refit(
    fitted: TaskModule,
    recipe: TaskModule,
    data: PoolDataModule,
    make_trainer: MakeRefitTrainer,
    *,
    steps: int,
    seed: int,
) -> tuple[L.Trainer, TaskModule]:
    """Fit a fresh model with the labeled rows of the pool and of the validation split.

    As `refit` of scikit-learn's searches: what validation was for, how long to fit, is known by then. Generated labels
    come from all bought labels too, and are trusted as far as they were at the end of the fit. Steps are those of the
    fit in proportion to the rows, but at most twice as many.

    Args:
        fitted: the round's module; its validation metrics, not those of the new one, say how good the fit was.
        recipe: module without weights.
        data: with the labels that are bought.
        make_trainer: see above.
        steps: that the fit made.
        seed: of the round.

    Returns:
        the Trainer, and the module that it fitted.
    """
    module = recipe.fresh()
    unlabeled = np.zeros(0, dtype=np.int64)
    if module.augmentation is not None and fitted.augmentation is not None:
        unlabeled = module.augmentation.unlabeled_of(data, seed)
        module.augmentation.trust.measured_as(fitted.augmentation.trust)
    joined = with_validation_in_pool(data, unlabeled)
    joined.fit_rows = module.augmentation.begin(joined, seed) if module.augmentation is not None else None
    L.seed_everything(seed, workers=True, verbose=False)
    trainer = make_trainer(round(steps * min(len(joined.pool.labels) / len(data.pool.labels), 2)))
    trainer.fit(module, datamodule=joined)
    return trainer, module


def with_validation_in_pool(data: PoolDataModule, unlabeled: Rows) -> PoolDataModule:
    """The same data with another pool, and nothing left to validate on.

    Args:
        data: with the labels that are bought.
        unlabeled: int64 [u], rows of its pool that stay unlabeled.

    Returns:
        a data module whose pool has the labeled rows, the validation rows whose labels were bought, and `unlabeled`.
    """
    labeled, validation = data.pool.labeled_rows, data.validation_rows
    parts = [data.splits.pool.select(labeled), data.validation_split.select(validation)]
    parts.append(data.splits.pool.select(unlabeled))
    rows = datasets.concatenate_datasets([part.remove_columns("label") for part in parts])
    labels = [data.pool.labels[row] for row in labeled.tolist()]
    labels += [data.validation_labels[row] for row in validation.tolist()]
    with kept_by_nobody():
        table = data.task.encode(rows)
    joined = copy.copy(data)
    vars(joined).update(
        splits=replace(data.splits, pool=rows, validation=rows.select([])),
        pool=Pool(table, np.zeros(len(rows)), dict(enumerate(labels))),
        validation_labels={},
    )
    for encoded in ("_validation_table", "embeddings", "validation_embeddings"):
        vars(joined).pop(encoded, None)
    return joined
