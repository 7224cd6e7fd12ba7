"""One pass of a module over some rows, in a fit or after it."""

from __future__ import annotations

from typing import Any

import lightning as L
import numpy as np
import torch
from numpy.typing import NDArray
from torch import distributed
from torch.utils.data import DataLoader

from lit_react.core.progress import followed
from lit_react.data.encoding import Batch
from lit_react.data.pool import Rows
from lit_react.tasks.base import TaskModule


@torch.no_grad()  # not inference_mode: what a model caches in the middle of a fit must serve its next step
def collect_signals(
    trainer: L.Trainer, module: TaskModule, loader: DataLoader[Batch], rows: Rows, needs: frozenset[str]
) -> dict[str, NDArray[Any]]:
    """Run the module, in eval mode, over a loader in the Trainer's precision and on its device.

    Every process passes over its own share; the shares are gathered, so that all processes return the same arrays. The
    Trainer may be in the middle of a fit. The loader's batches together name each of `rows`, int64 [n], once, in any
    order; for `needs`, see `TaskModule.signals`.

    Returns:
        one array [n, …] per signal, in the order of `rows`.
    """
    was_training = module.training
    module.eval()
    arrays: dict[str, NDArray[Any]] = {}
    order = np.argsort(rows)
    mine: list[Rows] = []  # places in `rows`
    bar = trainer.progress_bar_callback is not None and trainer.is_global_zero
    for batch in followed(loader, f"Scoring {len(rows)} texts", len(loader), bar=bar):
        on_device = trainer.strategy.batch_to_device(batch)
        with trainer.precision_plugin.forward_context():
            found = module.signals(on_device, needs)
        mine.append(order[np.searchsorted(rows, batch["row"].numpy(), sorter=order)])
        for name, tensor in found.items():
            values = tensor.cpu().numpy()
            if name not in arrays:
                arrays[name] = np.zeros((len(rows), *values.shape[1:]), dtype=values.dtype)
            arrays[name][mine[-1]] = values
    module.train(was_training)
    if trainer.world_size > 1:
        places = np.concatenate([np.empty(0, dtype=np.int64), *mine])
        shares: list[Any] = [None] * trainer.world_size
        distributed.all_gather_object(shares, (places, {name: values[places] for name, values in arrays.items()}))
        for places, share in shares:
            for name, values in share.items():
                arrays.setdefault(name, np.zeros((len(rows), *values.shape[1:]), dtype=values.dtype))[places] = values
    return arrays
