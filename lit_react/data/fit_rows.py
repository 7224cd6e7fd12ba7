"""What one fit reads: labeled rows, and beside them, where something asks for them, rows without a bought label."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Sampler

from lit_react.annotation.answers import Label
from lit_react.data.batching import ShuffledBuckets
from lit_react.data.encoding import Batch, EncodedTable
from lit_react.data.pool import Rows, RowsOf, whole


@dataclass(frozen=True)
class FitRows:
    """The rows of a fit, int64 and relative to `table`.

    Attributes:
        table: may be the pool's, or one that was made for this fit.
        labeled: [l].
        labels: one for each of `labeled`.
        unlabeled: [m], rows without a bought label; a batch takes the next `unlabeled_size` of them, shuffled.
        unlabeled_size: rows per optimiser step, of all processes together.
        wanted: asked before each batch: whether it shall have unlabeled rows.
        weights: float32 [l], of the labels in the loss; None: all weigh as much.
    """

    table: EncodedTable
    labeled: Rows
    labels: Sequence[Label]
    unlabeled: Rows = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    unlabeled_size: int = 0
    wanted: Callable[[], bool] = lambda: True
    weights: NDArray[np.float32] | None = None

    def loader(self, batch_size: int, *, seed: int, rank: int = 0, world_size: int = 1) -> DataLoader[Batch]:
        """Batches of similar length, see `ShuffledBuckets`; each also has the next of the unlabeled rows.

        A batch's first rows are the labeled ones, `batch_size` in all processes together; `labels` has as many entries;
        then come the unlabeled rows. The seed decides both orders. Without labeled rows a batch is of unlabeled ones.
        """
        shares = {"rank": rank, "world_size": world_size}
        sampler: Sampler[list[int]]
        sampler = ShuffledBuckets(self.table.lengths[self.labeled], batch_size, seed=seed, **shares)
        if len(self.unlabeled):
            lengths = self.table.lengths[self.unlabeled]
            beside = ShuffledBuckets(lengths, self.unlabeled_size, seed=seed + 1, **shares)
            joined = SideBySide(sampler, beside, offset=len(self.labeled), wanted=self.wanted)
            sampler = joined if len(self.labeled) else beside
        rows = RowsOf(self.table, np.concatenate([self.labeled, self.unlabeled]), self.labels, self.weights)
        return DataLoader(rows, batch_sampler=sampler, collate_fn=whole)


class SideBySide(Sampler[list[int]]):
    """Batches of one sampler, each followed, where it is `wanted`, by the next batch of another.

    The second begins again when it is through and goes on from epoch to epoch; `offset` is added to its positions.
    """

    def __init__(
        self, first: ShuffledBuckets, second: ShuffledBuckets, *, offset: int, wanted: Callable[[], bool]
    ) -> None:
        self.first, self.second, self.offset, self.wanted = first, second, offset, wanted
        self._following = self._endless()

    def _endless(self) -> Iterator[list[int]]:
        while True:
            yield from self.second

    def __iter__(self) -> Iterator[list[int]]:
        for batch in self.first:
            following = next(self._following) if self.wanted() else []
            yield [*batch, *(self.offset + position for position in following)]

    def __len__(self) -> int:
        return len(self.first)
