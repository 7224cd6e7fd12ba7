"""When validation has done its work its labels are there to learn from: one more fit with all that were bought."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import datasets
import lightning as L
import numpy as np
from numpy.typing import NDArray

from lit_react.augmentation.augmentation import Augmentation
from lit_react.augmentation.augmented_fit import AugmentedFit, Bought
from lit_react.data.encoding import kept_by_nobody
from lit_react.data.fit_data import FitData, FitLoaders
from lit_react.data.pool import Pool, Rows
from lit_react.tasks.base import TaskModule

MakeRefitTrainer = Callable[[int], L.Trainer]
"""Optimiser steps → a fresh Trainer that neither validates nor stops early nor asks for labels."""


def refit(
    recipe: TaskModule,
    data: FitData,
    make_trainer: MakeRefitTrainer,
    *,
    steps: int,
    augmentation: Augmentation,
    after: AugmentedFit | None,
) -> tuple[L.Trainer, TaskModule]:
    """Fit a fresh model with the labeled rows of the pool and of the validation split.

    As `refit` of scikit-learn's searches: validation has done its work by then. Steps are those that the fit made,
    early stopping included, in proportion to the rows, but at most twice as many; the last weights are taken, for
    nothing is left to choose by. Generated labels come from all bought labels too.

    Args:
        recipe: module without weights.
        data: the labels that are bought.
        make_trainer: see above.
        steps: that the fit made.
        augmentation: of the run.
        after: what the fit had of it, as it was at its end; None: it had nothing.

    Returns:
        the Trainer, and the module that it fitted.
    """
    unlabeled = np.zeros(0, dtype=np.int64)
    if after is not None:
        unlabeled = augmentation.drawn(data.pool.unlabeled_rows, data.seed)
    bought = with_validation_in_pool(data, unlabeled)
    augmented = augmentation.begin(bought, data.task, data.seed, after) if after is not None else None
    module = recipe.fresh(augmentation=augmented, learns_validation=True)
    read = augmented.rows if augmented is not None else None

    def embed(rows: Rows) -> NDArray[np.float32]:
        with kept_by_nobody():
            return data.task.embed(bought.texts.select(rows))

    joined = FitData(data.fixed, bought.pool, seed=data.seed, rows=read, embed=embed, first=data)
    L.seed_everything(data.seed, workers=True, verbose=False)
    trainer = make_trainer(round(steps * min(len(bought.labels) / max(len(data.pool.labels), 1), 2)))
    trainer.fit(module, datamodule=FitLoaders(joined))
    return trainer, module


def with_validation_in_pool(data: FitData, unlabeled: Rows) -> Bought:
    """The labeled rows, the validation rows whose labels were bought, and `unlabeled` as one pool.

    Args:
        data: the labels that are bought.
        unlabeled: int64 [u], rows of its pool that stay unlabeled.

    Returns:
        what there is to learn from then, with nothing left to validate on.
    """
    labeled, validation = data.pool.labeled_rows, data.validation_rows
    pool = data.fixed.splits.pool
    known = _alike(data.fixed.validation_split, pool, data.task.inputs)
    parts = [pool.select(labeled), known.select(validation), pool.select(unlabeled)]
    rows = datasets.concatenate_datasets([part.select_columns(known.column_names) for part in parts])
    labels = [data.pool.labels[row] for row in labeled.tolist()]
    labels += [data.validation[row] for row in validation.tolist()]
    with kept_by_nobody():
        table = data.task.encode(rows)
    drafted = frozenset(np.flatnonzero(np.isin(labeled, list(data.pool.drafted))).tolist())
    joined = Pool(table, np.zeros(len(rows)), dict(enumerate(labels)), frozenset(), drafted, data.pool.draft_weight)
    return Bought(joined, rows, validation={}, num_classes=len(data.fixed.class_names or []))


def _alike(table: datasets.Dataset, model: datasets.Dataset, needed: Sequence[str]) -> datasets.Dataset:
    """The columns of a table, but labels, that are of the same types in another; those that are needed become so."""
    same = {name for name, kind in model.features.items() if table.features.get(name) == kind} - {"label"}
    kept = [name for name in model.column_names if name in needed or name in same]
    features = datasets.Features({name: model.features[name] for name in kept})
    chosen = table.select_columns(kept)
    return chosen if chosen.features == features else chosen.cast(features)
