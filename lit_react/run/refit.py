"""When validation has done its work its labels are there to learn from: one more fit with all that were bought."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace

import datasets
import lightning as L
import numpy as np

from lit_react.augmentation.trust import Trust
from lit_react.data.datamodule import PoolDataModule
from lit_react.data.encoding import kept_by_nobody
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
    trust: Trust | None,
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
        trust: of its augmentation, as it was at its end; None: it had none.
        seed: of the round.

    Returns:
        the Trainer, and the module that it fitted.
    """
    module = recipe.fresh()
    unlabeled = np.zeros(0, dtype=np.int64)
    if module.augmentation is not None and trust is not None:
        unlabeled = module.augmentation.unlabeled_of(data, seed)
        module.augmentation.trust.measured_as(trust)
    joined = with_validation_in_pool(data, unlabeled)
    joined.fit_rows = module.augmentation.begin(joined, seed) if module.augmentation is not None else None
    L.seed_everything(seed, workers=True, verbose=False)
    trainer = make_trainer(round(steps * min(len(joined.pool.labels) / len(data.pool.labels), 2)))
    trainer.fit(module, datamodule=joined)
    module.has_learned_validation = True
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
    pool, known = data.splits.pool, _alike(data.validation_split, data.splits.pool, data.task.inputs)
    parts = [pool.select(labeled), known.select(validation), pool.select(unlabeled)]
    rows = datasets.concatenate_datasets([part.select_columns(known.column_names) for part in parts])
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
    for stale in ("_validation_table", "embeddings"):
        vars(joined).pop(stale, None)
    return joined


def _alike(table: datasets.Dataset, model: datasets.Dataset, needed: Sequence[str]) -> datasets.Dataset:
    """The columns of a table, but labels, that are of the same types in another; those that are needed become so."""
    same = {name for name, kind in model.features.items() if table.features.get(name) == kind} - {"label"}
    kept = [name for name in model.column_names if name in needed or name in same]
    features = datasets.Features({name: model.features[name] for name in kept})
    chosen = table.select_columns(kept)
    return chosen if chosen.features == features else chosen.cast(features)
