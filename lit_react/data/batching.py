"""Batches of rows of similar length: less padding, the same rows, every process its own share."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Sampler

Rows = NDArray[np.int64]


def length_sorted_batches(lengths: NDArray[np.int64], batch_size: int, shares: int = 1) -> list[Rows]:
    """All positions of `lengths`, longest first (so that memory runs out at once or never), cut into even batches.

    Args:
        lengths: int64 [n], tokens per position.
        batch_size: at most so many positions per batch.
        shares: the number of batches is a multiple of it, as long as there are as many positions.
    """
    order = np.argsort(-lengths, kind="stable")
    count = shares * -(-len(order) // (batch_size * shares))
    return [batch for batch in np.array_split(order, max(count, 1)) if len(batch)]


class LengthSortedBatches(Sampler[list[int]]):
    """Every position once, longest first; process `rank` of `world_size` takes each `world_size`-th batch.

    All processes have equally many batches (`ddp` synchronises buffers at each forward pass, in evaluation too).
    `lengths` are int64 [n], tokens per position; `batch_size` positions are in a batch of a process.
    """

    def __init__(self, lengths: NDArray[np.int64], batch_size: int, *, rank: int = 0, world_size: int = 1) -> None:
        self.batches = length_sorted_batches(lengths, batch_size, world_size)[rank::world_size]

    def __iter__(self) -> Iterator[list[int]]:
        return (batch.tolist() for batch in self.batches)

    def __len__(self) -> int:
        return len(self.batches)


class ShuffledBuckets(Sampler[list[int]]):
    """Shuffled batches of similar length: shuffle, cut into buckets of 4 batches, sort each, shuffle the batches.

    `lengths` are int64 [n], tokens per position; `batch_size` is that of all processes together: a batch is cut into
    `world_size` equal shares, so that one process and eight train the same model, but for class weights and some of
    what augmentation adds, whose means are those of each process. A last batch that cannot be shared evenly is filled
    up with its own first positions. The seed and the epoch's number decide the order.
    """

    BATCHES_PER_BUCKET = 4

    def __init__(
        self, lengths: NDArray[np.int64], batch_size: int, *, seed: int, rank: int = 0, world_size: int = 1
    ) -> None:
        self.lengths, self.batch_size, self.seed = lengths, batch_size, seed
        self.rank, self.world_size = rank, world_size
        self.epoch = 0

    def __iter__(self) -> Iterator[list[int]]:
        generator = torch.Generator().manual_seed(self.seed * 100_003 + self.epoch)
        self.epoch += 1
        order = torch.randperm(len(self.lengths), generator=generator).numpy()
        bucket = self.batch_size * self.BATCHES_PER_BUCKET
        batches: list[Rows] = []
        for start in range(0, len(order), bucket):
            rows = order[start : start + bucket]
            rows = rows[np.argsort(-self.lengths[rows], kind="stable")]
            batches += [rows[i : i + self.batch_size] for i in range(0, len(rows), self.batch_size)]
        for index in torch.randperm(len(batches), generator=generator).tolist():
            yield self._share(batches[index])

    def _share(self, batch: Rows) -> list[int]:
        missing = -len(batch) % self.world_size
        return np.concatenate([batch, np.resize(batch, missing)])[self.rank :: self.world_size].tolist()

    def __len__(self) -> int:
        return -(-len(self.lengths) // self.batch_size)
