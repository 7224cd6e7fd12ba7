"""What one fit reads, and the loaders over it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import lightning as L
import numpy as np
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from lit_react.annotation.answers import Label
from lit_react.data.encoding import Batch, EncodedTable
from lit_react.data.fit_rows import FitRows
from lit_react.data.pool import Pool, Rows, in_order
from lit_react.data.pool_data import PoolData
from lit_react.data.task import Task


@dataclass(frozen=True, eq=False)
class FitData:
    """The labels that are bought when a fit begins, and what it makes of them; each fit has one of its own.

    Attributes:
        fixed: the texts of the run.
        pool: its rows and the labels that are bought; of a refit, the joined rows.
        validation: row of the validation split → the label that was bought.
        seed: of the order of the rows.
        rows: what is read, where that is more than the labeled rows; None: these.
        embed: see `embeddings`, where the pool is not that of the run.
        first: of a refit, the fit before it.
    """

    fixed: PoolData
    pool: Pool
    validation: Mapping[int, Label] = field(default_factory=dict)
    seed: int = 0
    rows: FitRows | None = None
    embed: Callable[[Rows], NDArray[np.float32]] | None = None
    first: FitData | None = None

    @property
    def task(self) -> Task:
        """What the rows are."""
        return self.fixed.task

    @property
    def validation_rows(self) -> Rows:
        """int64 [v], the validation rows whose labels were bought, ascending."""
        return np.sort(np.fromiter(self.validation, dtype=np.int64))

    def embeddings(self, rows: Rows) -> NDArray[np.float32]:
        """float32 [k, d], of rows of the pool, int64 [k], under the pretrained weights, see `Task.embed`."""
        return (self.embed or self.fixed.embeddings_of)(rows)

    @property
    def unlabeled_embeddings(self) -> NDArray[np.float32]:
        """float32 [u, d], of unlabeled rows that stand for the others of a large pool."""
        if self.first is not None:
            return self.first.unlabeled_embeddings
        return self.embeddings(np.intersect1d(self.pool.unlabeled_rows, self.fixed.sample, assume_unique=True))

    def reading(self, rows: FitRows | None) -> FitData:
        """The same labels, and other rows to read; None: the labeled ones."""
        return replace(self, rows=rows)

    @property
    def fit_rows(self) -> FitRows:
        """What the fit reads; without any label, the first row."""
        labeled = self.pool.labeled_rows
        if self.rows is None and not len(labeled):
            return FitRows(self.pool.table, labeled, [], unlabeled=np.arange(1), unlabeled_size=1)
        labels = [self.pool.labels[row] for row in labeled.tolist()]
        return self.rows or FitRows(self.pool.table, labeled, labels, weights=self.pool.weights)


class FitLoaders(L.LightningDataModule):
    """The data module of one fit."""

    allow_zero_length_dataloader_with_multiple_devices = True  # fewer rows than processes

    def __init__(self, fit: FitData | None = None) -> None:
        super().__init__()
        self._fit = fit

    @property
    def fit_data(self) -> FitData:
        """What is read."""
        assert self._fit is not None, "given to the constructor"
        return self._fit

    @property
    def task(self) -> Task:
        """What reads and encodes the rows, and knows the names of the classes that were found there."""
        return self.fit_data.task

    @property
    def pool(self) -> Pool:
        """The pool with the labels that are bought, and no other."""
        return self.fit_data.pool

    def _processes(self) -> dict[str, int]:
        trainer = self.trainer
        return {"rank": trainer.global_rank, "world_size": trainer.world_size} if trainer else {}

    def train_dataloader(self) -> DataLoader[Batch]:
        """What the fit reads, shuffled by its seed and the epoch."""
        fit, rows = self.fit_data, self.fit_data.fit_rows
        shares = self._processes() if fit.task.shares_batches else {}
        return rows.loader(fit.fixed.rows_per_step(len(rows.labeled)), seed=fit.seed, **shares)

    def val_dataloader(self) -> DataLoader[Batch] | list[Any]:
        """The validation rows whose labels were bought; no loader where there are none."""
        rows = self.fit_data.validation_rows
        if not len(rows):
            return []
        labels = [self.fit_data.validation[row] for row in rows.tolist()]
        return self._in_order(self.fit_data.fixed.validation_table, rows, labels)

    def test_dataloader(self) -> DataLoader[Batch]:
        """The test rows.

        Raises:
            UserError: the source has no test split and none was carved.
        """
        table, test = self.fit_data.fixed.test_table, self.fit_data.fixed.splits.test
        assert test is not None, "encoded where it is there"
        return self._in_order(table, np.arange(len(table)), test["label"][:])

    def scoring_loader(self, split: str, rows: Rows) -> DataLoader[Batch]:
        """Some rows of `pool` or `validation`, without labels."""
        return self._in_order(self.pool.table if split == "pool" else self.fit_data.fixed.validation_table, rows, None)

    def _in_order(self, table: EncodedTable, rows: Rows, labels: Sequence[Label] | None) -> DataLoader[Any]:
        return in_order(table, rows, labels, self.fit_data.fixed.eval_batch_size, **self._processes())
