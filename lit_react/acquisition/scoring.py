"""The one pass over the pool."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import lightning as L
import numpy as np
import torch
from numpy.typing import NDArray
from torch import distributed
from torch.utils.data import DataLoader
from tqdm.auto import tqdm

from lit_react.acquisition.signals import PoolSignals
from lit_react.data.encoding import Batch
from lit_react.data.pool import Pool
from lit_react.tasks.base import TaskModule


@torch.inference_mode()
def collect_signals(
    trainer: L.Trainer, module: TaskModule, loader: DataLoader[Batch], needs: frozenset[str]
) -> dict[str, NDArray[Any]]:
    """Run the module over a loader in the Trainer's precision and on its device.

    Every process passes over its own share; the shares are gathered, so that all processes return the same arrays.

    Args:
        trainer: gives device, precision and progress bar; may be in the middle of a fit.
        module: its `signals` is called in eval mode.
        loader: batches with `row`; together they name each row once.
        needs: extra signals, see `TaskModule.signals`.

    Returns:
        `row` int64 [n], ascending, and one array [n, …] per signal in that order.
    """
    was_training = module.training
    module.eval()
    parts: dict[str, list[NDArray[Any]]] = defaultdict(list)
    quiet = trainer.progress_bar_callback is None or not trainer.is_global_zero
    for batch in tqdm(loader, desc="Scoring the pool", leave=False, disable=quiet):
        on_device = trainer.strategy.batch_to_device(batch)
        with trainer.precision_plugin.forward_context():
            found = module.signals(on_device, needs)
        parts["row"].append(batch["row"].numpy())
        for name, tensor in found.items():
            parts[name].append(tensor.cpu().numpy())
    module.train(was_training)
    arrays = {name: np.concatenate(chunks) for name, chunks in parts.items()}
    if trainer.world_size > 1:
        shares: list[dict[str, NDArray[Any]]] = [{}] * trainer.world_size
        distributed.all_gather_object(shares, arrays)
        arrays = {name: np.concatenate([share[name] for share in shares if share]) for name in shares[0]}
    order = np.argsort(arrays["row"])
    return {name: values[order] for name, values in arrays.items()}


def score_pool(
    trainer: L.Trainer, module: TaskModule, pool: Pool, batch_size: int, needs: frozenset[str]
) -> PoolSignals:
    """Signals of all unlabeled and all labeled rows, from one pass.

    Args:
        trainer: as in `collect_signals`.
        module: as in `collect_signals`.
        pool: the pool.
        batch_size: rows per forward pass and process.
        needs: extra signals, see `TaskModule.signals`.
    """
    loader = pool.scoring_loader(batch_size, rank=trainer.global_rank, world_size=trainer.world_size)
    found = collect_signals(trainer, module, loader, needs)
    unlabeled, labeled = pool.unlabeled_rows, pool.labeled_rows
    return PoolSignals(
        rows=unlabeled,
        probabilities=found["probabilities"][unlabeled],
        embeddings=found["embeddings"][unlabeled],
        labeled_rows=labeled,
        labels=pool.labels[labeled],
        labeled_probabilities=found["probabilities"][labeled],
        labeled_embeddings=found["embeddings"][labeled],
        **{name: found[name][unlabeled] for name in needs},
    )
