"""The splits of a run: labeled and unlabeled pool, validation, test; and the loaders over them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import datasets
import lightning as L
import numpy as np
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from lit_react.annotation.costs import Cost
from lit_react.annotation.ledger import Label
from lit_react.core.bounds import expect
from lit_react.core.errors import UserError, WrongColumn
from lit_react.data.batching import LengthSortedBatches
from lit_react.data.encoding import Batch, EncodedTable, text_digest
from lit_react.data.fit_rows import FitRows
from lit_react.data.initial import representative, stratified
from lit_react.data.memory import InMemory, as_split
from lit_react.data.pool import Pool, Rows, RowsOf, whole
from lit_react.data.sources import load_pool, load_tables, local_folder, name_of
from lit_react.data.splits import split
from lit_react.data.tables import Source, Split
from lit_react.data.task import Task

if TYPE_CHECKING:
    import pandas as pd

    Named: TypeAlias = str | Path | pd.DataFrame | datasets.Dataset | datasets.DatasetDict
else:
    Named: TypeAlias = str  # what a command line can say

Initial: TypeAlias = Literal["random", "stratified", "representative"]


class PoolDataModule(L.LightningDataModule):
    """Reads a source, carves the splits that it lacks, and serves what has been labeled so far.

    Args:
        source: a `.csv`, `.tsv`, `.jsonl` or `.parquet` file; a folder with `train.*` and maybe `validation.*` and
            `test.*`; `hf:owner/name[:config][@revision]`; or `bbc_news`, which is packaged. In Python also a pandas
            frame, a `datasets.Dataset` or a `datasets.DatasetDict`, as for `validation`, `test` and `predict`.
        text_column: column of the texts; None: the name that the task gives it (`text`, `tokens`, `question`, …).
        label_column: column of the labels; the pool may lack it, or some of its values. None: as the task names it.
        train: name of the split that is the pool (`trial` where there is no `train`); a single file is the pool.
        validation: file or split name of the validation set; None: the split of that name, or else carved.
        test: file or split name of the test set; None: the split of that name, or else carved.
        local_copy: folder below `$LIT_REACT_DATA` that is read instead of the hub where it exists.
        label_names: the names, in the order of the class ids; None: sorted, from the data.
        pool_size: draw so many rows of the pool, by `split_seed`; None: all.
        validation_size: rows of the validation split; its labels are bought like all others. None: all of a given
            split. Where the task has groups of rows (questions about one context), what is carved takes whole ones, so
            that no two splits share any; the last one's rows beyond the size are left out.
        test_size: rows of the test split; None: all of a given split, none where there is no such split.
        split_seed: draws the splits. Runs that have the same one share a test set; independent repeats have others.
        cost: annotation cost of a row; None: the task's (1 for each text; tokens where people read or tag each).
        initial: how the first labels are chosen: at random; `stratified` by the known labels (simulation only),
            at least one for each class; `representative`: the texts nearest to k-means centres.
        initial_size: number of first labels.
        batch_size: rows per optimiser step, of all processes together.
        eval_batch_size: rows per forward pass without gradients, per process.
        predict: file or source that `predict` reads; None: all rows of the pool.
    """

    allow_zero_length_dataloader_with_multiple_devices = True  # fewer rows than processes

    def __init__(
        self,
        source: Named = "bbc_news",
        text_column: str | None = None,
        label_column: str | None = None,
        train: str = "train",
        validation: Named | None = None,
        test: Named | None = None,
        local_copy: str | None = None,
        label_names: list[str] | None = None,
        pool_size: int | None = None,
        validation_size: int | None = 100,
        test_size: int | None = None,
        split_seed: int = 0,
        cost: Cost | None = None,
        initial: Initial = "random",
        initial_size: int = 20,
        batch_size: int = 16,
        eval_batch_size: int = 64,
        predict: Named | None = None,
    ) -> None:
        super().__init__()
        for name, value, least in (
            ("pool_size", pool_size, 1),
            ("validation_size", validation_size, 1),
            ("test_size", test_size, 0),
            ("initial_size", initial_size, 1),
            ("batch_size", batch_size, 1),
            ("eval_batch_size", eval_batch_size, 1),
        ):
            if value is not None:
                expect(f"data.{name}", value, at_least=least)
        self.source, self.text_column, self.label_column = source, text_column, label_column
        self.train, self.validation, self.test, self.local_copy = train, validation, test, local_copy
        self.label_names = label_names
        self.pool_size, self.validation_size, self.test_size = pool_size, validation_size, test_size
        self.split_seed, self.cost = split_seed, cost
        self.initial, self.initial_size = initial, initial_size
        self.batch_size, self.eval_batch_size = batch_size, eval_batch_size
        self.predict = predict
        self.seed = 0
        self.fit_rows: FitRows | None = None
        self._reader: Task | None = None

    # ---- what the command line wires ------------------------------------------------------------------------

    @property
    def class_names(self) -> list[str] | None:
        """Name of each class id; None where nothing names a label."""
        return self.splits.label_names

    def connect(self, task: Task) -> None:
        """Say which task reads and encodes the rows; loading and encoding happen at the first use.

        A task that is said again, because its encoder is another one now, encodes again; labels are to be revealed
        again.
        """
        self._reader = task
        for encoded in ("task", "pool", "_validation_table", "_test_table", "validation_labels", "embeddings"):
            vars(self).pop(encoded, None)

    def setup(self, stage: str) -> None:
        """Where nobody has said which task reads the rows, it is that of the module which the Trainer runs."""
        if self._reader is None:
            self.connect(self.trainer.lightning_module.task)  # type: ignore[union-attr, arg-type]

    @cached_property
    def task(self) -> Task:
        """What reads and encodes the rows, and knows the names of the classes that were found there."""
        return self._unnamed.named(self.splits.label_names)

    @property
    def _unnamed(self) -> Task:
        assert self._reader is not None, "see connect"
        return self._reader

    # ---- splits ---------------------------------------------------------------------------------------------

    def tables(self) -> Mapping[str, Split | InMemory]:
        """The tables as they are, before any split is carved; a data module of your own overrides this method alone.

        Returns:
            `pool`, and `validation` and `test` where there are such tables: pandas frames, `datasets.Dataset`s, Arrow
            tables or `Split`s.
        """
        tables, _ = load_tables(
            self.source, train=self.train, validation=self.validation, test=self.test, local_copy=self.local_copy
        )
        return tables

    @cached_property
    def splits(self) -> Source:
        """The three splits as the run uses them: given ones cut to size, missing ones carved from the pool.

        Rows of one of the task's `groups` stay together where splits are carved.
        """
        tables = {part: as_split(table, f"the {part} table") for part, table in self.tables().items()}
        is_local = local_folder(self.source, self.local_copy) is not None
        text, label = (None, None) if is_local else (self.text_column, self.label_column)
        try:
            source = self._unnamed.read(tables, text, label, self.label_names)
        except WrongColumn as error:
            raise UserError(f"{error}; see data.text_column, data.label_column, and the task (--model)") from error
        splits = split(
            source,
            self._unnamed.groups(source.pool),
            name=name_of(self.source),
            pool_size=self.pool_size,
            validation_size=self.validation_size,
            test_size=self.test_size,
            generator=np.random.default_rng(self.split_seed),
        )
        self._carved_test = source.test is None
        if source.test is None and splits.test is not None:
            self._check_names(source)
            if None in splits.test["label"]:
                raise UserError(
                    f"data.test_size: {name_of(self.source)} has rows without label; give data.test, or set "
                    "data.test_size 0"
                )
        return splits

    @property
    def test_is_carved(self) -> bool:
        """Whether the test rows come from the pool's source, for lack of a test split."""
        return self.splits.test is not None and self._carved_test

    def _check_names(self, source: Source) -> None:
        if self._unnamed.has_classes and not source.label_names:
            column = self.label_column or self._unnamed.label_column
            others = ", ".join(repr(name) for name in source.pool.column_names if name not in {"text", "label"})
            raise UserError(
                f"data.label_column: {name_of(self.source)} has no labels in a column {column!r}: name the one that "
                f"has them{others and f' ({others})'}; where none has, give data.label_names"
            )

    @cached_property
    def pool(self) -> Pool:
        """The pool, without any label that was not bought."""
        self._check_names(self.splits)
        encoded = self.task.encode(self.splits.pool)
        return Pool(encoded, self._costs(self.splits.pool, encoded))

    @cached_property
    def embeddings(self) -> NDArray[np.float32]:
        """float32 [n, d], of the pool under the pretrained weights, see `Task.embed`."""
        return self.task.embed(self.splits.pool)

    def _costs(self, table: datasets.Dataset, encoded: EncodedTable) -> NDArray[np.float64]:
        cost = self.cost or self.task.default_cost
        return cost.costs(table, self.task.sizes(table, encoded) if cost.needs_tokens else None)

    @cached_property
    def _validation_table(self) -> EncodedTable:
        return self.task.encode(self.validation_split)

    @cached_property
    def validation_labels(self) -> dict[int, Label]:
        """Validation row → the label that was bought."""
        return {}

    @cached_property
    def _test_table(self) -> EncodedTable:
        assert self.splits.test is not None, "asked for where there is one"
        return self.task.encode(self.splits.test)

    @property
    def validation_split(self) -> datasets.Dataset:
        """The validation rows."""
        assert self.splits.validation is not None, "carved where the source has none"
        return self.splits.validation

    def validation_costs(self) -> NDArray[np.float64]:
        """float64 [m], annotation cost of each validation row."""
        return self._costs(self.validation_split, self._validation_table)

    @property
    def validation_rows(self) -> Rows:
        """int64 [v], the validation rows whose labels were bought, ascending."""
        return np.sort(np.fromiter(self.validation_labels, dtype=np.int64))

    def reveal(self, split: str, labels: Mapping[int, Label]) -> None:
        """Make bought labels visible: `pool` or `validation`, by row of that split."""
        if split == "pool":
            self.pool.reveal(labels)
        else:
            self.validation_labels.update(labels)

    def reveal_gold(self, rows: Iterable[int]) -> None:
        """Move rows of the pool from unlabeled to labeled, by the labels that came with the data.

        Raises:
            UserError: a row has none.
        """
        known = self.known_labels()["pool"]
        labels = {int(row): known[row] for row in rows}
        if None in labels.values():
            raise UserError("data.source: a row of the pool has no gold label, expected one for each row that is asked")
        self.reveal("pool", labels)

    # ---- for oracles and reports ----------------------------------------------------------------------------

    def known_labels(self) -> dict[str, list[Label | None]]:
        """Split → labels that came with the data, None where unknown. Read by oracles, by nobody else."""
        return {"pool": self.splits.pool["label"][:], "validation": self.validation_split["label"][:]}

    def row(self, split: str, row: int) -> dict[str, Any]:
        """A row of `pool` or `validation` as the task read it."""
        return (self.splits.pool if split == "pool" else self.validation_split)[int(row)]

    def question(self, split: str, row: int) -> dict[str, Any]:
        """What people see of a row, see `Task.question`."""
        return self.task.question(self.row(split, row))

    def parse(self, answer: Any, split: str, row: int) -> Label:
        """What people answered, see `Task.parse`."""
        return self.task.parse(answer, self.row(split, row))

    def fingerprint(self) -> str:
        """Names what the ledger's rows and class ids refer to: texts, their order, the names of the classes."""
        names, columns = self.class_names or [], self.task.inputs
        digests = (
            text_digest(self.splits.pool, *names, columns=columns),
            text_digest(self.validation_split, columns=columns),
        )
        return "-".join(digests)

    def test_fingerprint(self) -> str | None:
        """Names the test rows, their labels and order; None where there are none."""
        if self.splits.test is None:
            return None
        return text_digest(self.splits.test, columns=(*self.task.inputs, "label"))

    def initial_rows(self, generator: np.random.Generator, known: Sequence[Label | None]) -> Rows:
        """The first rows to label, int64 [initial_size], relative to the pool.

        Args:
            generator: the run's.
            known: [n], labels that came with the data, None where unknown; `stratified` reads them.

        Raises:
            UserError: the pool is smaller than `initial_size`, or `stratified` without labels.
        """
        size = self.initial_size
        if size > len(known):
            raise UserError(f"data.initial_size: {size} is more than the pool's {len(known)} rows")
        if self.initial == "stratified":
            if None in known:
                raise UserError("data.initial: stratified needs a label for every row of the pool; use representative")
            classes = np.asarray([self.task.class_of(label) for label in known], dtype=np.int64)
            return stratified(classes, size, generator)
        if self.initial == "representative":
            return representative(self.embeddings, size, generator)
        return generator.choice(len(known), size, replace=False).astype(np.int64)

    # ---- loaders --------------------------------------------------------------------------------------------

    def _processes(self) -> dict[str, int]:
        trainer = self.trainer
        return {"rank": trainer.global_rank, "world_size": trainer.world_size} if trainer else {}

    def train_dataloader(self) -> DataLoader[Batch]:
        """The labeled rows of the pool, or `fit_rows` where they are set; shuffled by `seed` and epoch."""
        rows = self.pool.labeled_rows
        fit_rows = self.fit_rows or FitRows(self.pool.table, rows, [self.pool.labels[row] for row in rows.tolist()])
        shares = self._processes() if self.task.shares_batches else {}
        return fit_rows.loader(self.rows_per_step(len(fit_rows.labeled)), seed=self.seed, **shares)

    def rows_per_step(self, labeled: int) -> int:
        """Of so many labeled rows, those that a step reads: `batch_size`, or all where the task does not share them."""
        return self.batch_size if self.task.shares_batches else max(labeled, 1)

    def val_dataloader(self) -> DataLoader[Batch]:
        """The validation rows whose labels were bought."""
        rows = self.validation_rows
        labels = [self.validation_labels[row] for row in rows.tolist()]
        return self._in_order(self._validation_table, rows, labels)

    def test_dataloader(self) -> DataLoader[Batch]:
        """The test rows.

        Raises:
            UserError: the source has no test split and none was carved.
        """
        if self.splits.test is None:
            raise UserError("data.test: there is no test split; name a file, or carve one with data.test_size")
        table = self._test_table
        return self._in_order(table, np.arange(len(table)), self.splits.test["label"][:])

    @cached_property
    def predict_split(self) -> datasets.Dataset:
        """What `predict` labels: the rows of `predict`, or all rows of the pool."""
        if self.predict is None:
            return self.splits.pool
        split, _ = load_pool(self.predict, self.train)
        return self.task.read({"pool": split}, self.text_column, "").pool

    def predict_dataloader(self) -> DataLoader[Batch]:
        """The rows of `predict_split`."""
        return self.loader_of(self.task.encode(self.predict_split))

    def loader_of(self, table: EncodedTable) -> DataLoader[Batch]:
        """All rows of an encoded table, without labels."""
        return self._in_order(table, np.arange(len(table)), None)

    def scoring_loader(self, split: str, rows: Rows) -> DataLoader[Batch]:
        """Some rows of `pool` or `validation`, without labels."""
        return self._in_order(self.pool.table if split == "pool" else self._validation_table, rows, None)

    def _in_order(self, table: EncodedTable, rows: Rows, labels: Sequence[Label] | None) -> DataLoader[Batch]:
        sampler = LengthSortedBatches(table.lengths[rows], self.eval_batch_size, **self._processes())
        return DataLoader(RowsOf(table, rows, labels), batch_sampler=sampler, collate_fn=whole)
