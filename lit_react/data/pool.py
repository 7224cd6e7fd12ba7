"""The pool: every text we may label, and the labels bought so far. It knows nothing of the test split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from lit_react.annotation.answers import Label
from lit_react.data.batching import LengthSortedBatches, Rows
from lit_react.data.encoding import Batch, EncodedTable


class RowsOf(Dataset[Batch]):
    """A view of some rows of an encoded table.

    Args:
        table: the encoded split.
        rows: int64 [n], rows of the table.
        labels: [l], of the first l rows, the only ones with `labels` in a batch; None: the batches carry none.
        weights: float32 [l], which become `weight` in a batch, float32 [b]; None: all labels count as much.
    """

    def __init__(
        self,
        table: EncodedTable,
        rows: Rows,
        labels: Sequence[Label] | None = None,
        weights: NDArray[np.float32] | None = None,
    ) -> None:
        self.table, self.rows, self.labels, self.weights = table, rows, labels, weights

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, position: int) -> Batch:
        return self.__getitems__([position])

    def __getitems__(self, positions: list[int]) -> Batch:
        """A whole batch at once, see `EncodedTable.batch`; labeled rows come first."""
        rows = self.rows[positions]
        if self.labels is None:
            return self.table.batch(rows)
        labeled = [position for position in positions if position < len(self.labels)]
        labels = [self.labels[position] for position in labeled]
        weights = {} if self.weights is None else {"weight": torch.from_numpy(self.weights[labeled])}
        if len(labels) == len(rows):
            return self.table.batch(rows, labels) | weights
        return self.table.batch(rows) | {"labels": torch.as_tensor(labels, dtype=torch.int64)} | weights


def whole(batch: Any) -> Batch:
    """The collate function of a dataset that already gives whole batches."""
    return batch


def in_order(
    table: EncodedTable,
    rows: Rows,
    labels: Sequence[Label] | None,
    batch_size: int,
    *,
    rank: int = 0,
    world_size: int = 1,
) -> DataLoader[Batch]:
    """Each of some rows, int64 [n], once, in batches of similar length, shared among processes.

    `batch_size` counts the rows of a batch and process; without `labels`, one for each row, batches carry none.
    """
    sampler = LengthSortedBatches(table.lengths[rows], batch_size, rank=rank, world_size=world_size)
    return DataLoader(RowsOf(table, rows, labels), batch_sampler=sampler, collate_fn=whole)


def rows_and_classes(labels: Mapping[int, Label]) -> tuple[Rows, Rows]:
    """Row → class id as int64 [n] both, the rows ascending."""
    rows = np.sort(np.fromiter(labels, dtype=np.int64, count=len(labels)))
    return rows, np.asarray([labels[row] for row in rows.tolist()], dtype=np.int64)


@dataclass(frozen=True, eq=False)
class Pool:
    """The pool and what is known of it when a fit begins. All rows are int64 and relative to the pool.

    Attributes:
        table: the encoded texts.
        costs: float64 [n], annotation cost c_i of each row: of all answers that it wants.
        labels: row → the label that was bought.
        asked_in_vain: rows that nobody could label; they are neither labeled nor unlabeled.
        drafted: labeled rows whose label is a draft: it is learned, and may still be asked of people, see `Drafts`.
        draft_weight: of a draft in the loss, where other labels weigh 1.
    """

    table: EncodedTable
    costs: NDArray[np.float64]
    labels: Mapping[int, Label] = field(default_factory=dict)
    asked_in_vain: Set[int] = frozenset()
    drafted: Set[int] = frozenset()
    draft_weight: float = 1.0

    def __len__(self) -> int:
        return len(self.costs)

    @property
    def labeled_rows(self) -> Rows:
        """int64 [l], ascending."""
        return np.sort(np.fromiter(self.labels, dtype=np.int64, count=len(self.labels)))

    @property
    def unlabeled_rows(self) -> Rows:
        """int64 [u], ascending."""
        unlabeled = np.ones(len(self), dtype=bool)
        unlabeled[self.labeled_rows] = False
        unlabeled[list(self.asked_in_vain)] = False
        return np.flatnonzero(unlabeled)

    @property
    def settled_rows(self) -> Rows:
        """int64 [l - d], ascending: labeled rows whose label is no draft."""
        return np.setdiff1d(self.labeled_rows, list(self.drafted))

    @property
    def settled_labels(self) -> dict[int, Label]:
        """Row → label, without drafts."""
        return {row: label for row, label in self.labels.items() if row not in self.drafted}

    @property
    def askable_rows(self) -> Rows:
        """int64 [u + d], ascending: rows whose label may be asked for: unlabeled ones, and drafts."""
        return np.union1d(self.unlabeled_rows, np.asarray(sorted(self.drafted), dtype=np.int64))

    @property
    def weights(self) -> NDArray[np.float32] | None:
        """float32 [l], of the labels in the order of `labeled_rows`; None where all weigh as much."""
        if not self.drafted:
            return None
        drafts = np.isin(self.labeled_rows, list(self.drafted))
        return np.where(drafts, self.draft_weight, 1.0).astype(np.float32)

    def with_labels(
        self,
        labels: Mapping[int, Label],
        asked_in_vain: Set[int] = frozenset(),
        drafted: Set[int] = frozenset(),
        draft_weight: float = 1.0,
    ) -> Pool:
        """The same rows, with these labels."""
        vain, drafts = frozenset(asked_in_vain), frozenset(drafted)
        return replace(self, labels=dict(labels), asked_in_vain=vain, drafted=drafts, draft_weight=draft_weight)
