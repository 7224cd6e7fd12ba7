"""The one pass over the pool."""

from __future__ import annotations

import lightning as L
import numpy as np

from lit_react.acquisition.signals import PoolSignals
from lit_react.data.pool import Pool, in_order
from lit_react.tasks.base import TaskModule
from lit_react.tasks.one_pass import collect_signals

FIELDS = ("probabilities", "embeddings", "head_inputs")
"""Fields of `PoolSignals`; other signals are scores."""


def score_pool(
    trainer: L.Trainer, module: TaskModule, pool: Pool, batch_size: int, needs: frozenset[str]
) -> PoolSignals:
    """Signals of all rows that may be asked for, and of all others with a label, from one pass.

    For trainer and module see `collect_signals`; a draft is no label here, for its row may be asked for.

    `batch_size` is that of each process, `needs` are extra signals, see `TaskModule.signals`.
    """
    everything, process = np.arange(len(pool)), {"rank": trainer.global_rank, "world_size": trainer.world_size}
    loader = in_order(pool.table, everything, None, batch_size, **process)
    found = collect_signals(trainer, module, loader, everything, needs)
    unlabeled, labeled = pool.askable_rows, pool.settled_rows
    of_labeled = {name: found[name][labeled] for name in ("probabilities", "embeddings")}
    of_unlabeled = {name: found.pop(name)[unlabeled] for name in list(found)}  # one copy at a time
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
