"""The pool: every text we may label, and the labels bought so far. It knows nothing of the test split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from lit_react.annotation.ledger import Label
from lit_react.data.batching import LengthSortedBatches
from lit_react.data.encoding import Batch, EncodedTable

Rows = NDArray[np.int64]


class RowsOf(Dataset[Batch]):
    """A view of some rows of an encoded table, with labels where they are given.

    Args:
        table: the encoded split.
        rows: int64 [n], rows of the table.
        labels: one per row, or None: the batches carry no `labels`.
    """

    def __init__(self, table: EncodedTable, rows: Rows, labels: Sequence[Label] | None = None) -> None:
        self.table, self.rows, self.labels = table, rows, labels

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, position: int) -> Batch:
        return self.__getitems__([position])

    def __getitems__(self, positions: list[int]) -> Batch:
        """A whole batch at once, see `EncodedTable.batch`."""
        labels = None if self.labels is None else [self.labels[position] for position in positions]
        return self.table.batch(self.rows[positions], labels)


def whole(batch: Any) -> Batch:
    """The collate function of a dataset that already gives whole batches."""
    return batch


@dataclass(frozen=True, eq=False)
class Pool:
    """The pool and what is known of it when a fit begins. All rows are int64 and relative to the pool.

    Attributes:
        table: the encoded texts.
        costs: float64 [n], annotation cost c_i of each row.
        labels: row → the label that was bought.
    """

    table: EncodedTable
    costs: NDArray[np.float64]
    labels: Mapping[int, Label] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.costs)

    @property
    def labeled_rows(self) -> Rows:
        """int64 [l], ascending."""
        return np.sort(np.fromiter(self.labels, dtype=np.int64, count=len(self.labels)))

    @property
    def unlabeled_rows(self) -> Rows:
        """int64 [n - l], ascending."""
        unlabeled = np.ones(len(self), dtype=bool)
        unlabeled[self.labeled_rows] = False
        return np.flatnonzero(unlabeled)

    def with_labels(self, labels: Mapping[int, Label]) -> Pool:
        """The same rows, with these labels."""
        return replace(self, labels=dict(labels))

    def scoring_loader(self, batch_size: int, *, rank: int = 0, world_size: int = 1) -> DataLoader[Batch]:
        """Every row of the pool once, without labels, in batches of similar length, shared among processes."""
        return self.loader(np.arange(len(self), dtype=np.int64), batch_size, rank=rank, world_size=world_size)

    def loader(self, rows: Rows, batch_size: int, *, rank: int = 0, world_size: int = 1) -> DataLoader[Batch]:
        """Some rows of the pool, int64 [n], without labels, in batches of similar length, shared among processes."""
        sampler = LengthSortedBatches(self.table.lengths[rows], batch_size, rank=rank, world_size=world_size)
        return DataLoader(RowsOf(self.table, rows), batch_sampler=sampler, collate_fn=whole)
