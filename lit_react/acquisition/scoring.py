"""The one pass over the pool."""

from __future__ import annotations

import lightning as L
import numpy as np

from lit_react.acquisition.signals import PoolSignals
from lit_react.data.pool import Pool, Rows, in_order
from lit_react.tasks.base import TaskModule
from lit_react.tasks.one_pass import collect_signals

FIELDS = ("probabilities", "embeddings", "head_inputs")
"""Fields of `PoolSignals`; other signals are scores."""


def rows_to_score(pool: Pool, most: int | None, generator: np.random.Generator) -> Rows:
    """int64 [s], ascending: the rows that may be asked for, or of more than `most` so many that are drawn.

    The cheapest of all, the first of them, is always there, so that what is left of a budget can be spent.
    """
    askable = pool.askable_rows
    if most is None or len(askable) <= most:
        return askable
    cheapest = askable[np.argmin(pool.costs[askable])]
    return np.union1d(generator.choice(askable[askable != cheapest], most - 1, replace=False), cheapest)


def score_pool(
    trainer: L.Trainer, module: TaskModule, pool: Pool, unlabeled: Rows, batch_size: int, needs: frozenset[str]
) -> PoolSignals:
    """Signals of rows that may be asked for, int64 [s] and ascending, and of all that have a label, from one pass.

    For trainer and module see `collect_signals`; a draft is no label here, for its row may be asked for.

    `batch_size` is that of each process, `needs` are extra signals, see `TaskModule.signals`.
    """
    labeled, process = pool.settled_rows, {"rank": trainer.global_rank, "world_size": trainer.world_size}
    end = len(unlabeled) + len(labeled)
    rows = np.concatenate([unlabeled, labeled]) if end else np.zeros(1, dtype=np.int64)  # for the signals' shapes
    loader = in_order(pool.table, np.unique(rows), None, batch_size, **process)
    found = collect_signals(trainer, module, loader, rows, needs)
    of_labeled = {name: found[name][len(unlabeled) : end] for name in ("probabilities", "embeddings")}
    of_unlabeled = {name: values[: len(unlabeled)] for name, values in found.items()}  # views, no copies
    fields = {name: of_unlabeled.pop(name) for name in FIELDS if name in of_unlabeled}
    return PoolSignals(
        rows=unlabeled,
        labeled_rows=labeled,
        labels=np.asarray([module.task.class_of(pool.labels[row]) for row in labeled.tolist()], dtype=np.int64),
        labeled_probabilities=of_labeled["probabilities"],
        labeled_embeddings=of_labeled["embeddings"],
        costs=pool.costs[unlabeled],
        scores=of_unlabeled,
        **fields,
    )
