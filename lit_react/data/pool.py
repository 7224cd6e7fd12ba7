"""The pool: every text we may label, and the labels bought so far. It knows nothing of the test split."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from lit_react.data.batching import LengthSortedBatches
from lit_react.data.encoding import Batch, EncodedTable

Rows = NDArray[np.int64]


class RowsOf(Dataset[Batch]):
    """A view of some rows of an encoded table, with labels where they are given.

    Args:
        table: the encoded split.
        rows: int64 [n], rows of the table.
        labels: int64 [n], class ids, or None: the batches carry no `labels`.
    """

    def __init__(self, table: EncodedTable, rows: Rows, labels: Rows | None = None) -> None:
        self.table, self.rows, self.labels = table, rows, labels

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, position: int) -> Batch:
        return self.__getitems__([position])

    def __getitems__(self, positions: list[int]) -> Batch:
        """A whole batch at once: the tensors of `EncodedTable.batch`, and `labels` int64 [b]."""
        batch = self.table.batch(self.rows[positions])
        if self.labels is not None:
            batch["labels"] = torch.from_numpy(self.labels[positions])
        return batch


def whole(batch: Any) -> Batch:
    """The collate function of a dataset that already gives whole batches."""
    return batch


@dataclass
class Pool:
    """The pool and what is known of it. All rows are int64 and relative to the pool.

    Attributes:
        table: the encoded texts.
        costs: float64 [n], annotation cost c_i of each row.
        labels: int64 [n], the bought class ids; -1 where no label was bought.
        num_classes: number of classes.
    """

    table: EncodedTable
    costs: NDArray[np.float64]
    labels: Rows
    num_classes: int

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def labeled_rows(self) -> Rows:
        """int64 [l], ascending."""
        return np.flatnonzero(self.labels >= 0)

    @property
    def unlabeled_rows(self) -> Rows:
        """int64 [n - l], ascending."""
        return np.flatnonzero(self.labels < 0)

    def reveal(self, rows: Rows, labels: Rows) -> None:
        """Move rows from unlabeled to labeled.

        Raises:
            ValueError: a row has another label already.
        """
        known = self.labels[rows]
        if np.any((known >= 0) & (known != labels)):
            raise ValueError("a labeled row was given another label")
        self.labels[rows] = labels

    def scoring_loader(self, batch_size: int, *, rank: int = 0, world_size: int = 1) -> DataLoader[Batch]:
        """Every row of the pool once, without labels, in batches of similar length, shared among processes."""
        rows = np.arange(len(self), dtype=np.int64)
        sampler = LengthSortedBatches(self.table.lengths, batch_size, rank=rank, world_size=world_size)
        return DataLoader(RowsOf(self.table, rows), batch_sampler=sampler, collate_fn=whole)
