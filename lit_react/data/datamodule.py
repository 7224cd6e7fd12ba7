"""`PoolDataModule`: where the texts are, which splits are carved, and which rows are labeled."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import datasets
import numpy as np
import pyarrow.compute as pc
from torch.utils.data import DataLoader

from lit_react.annotation.answers import Label
from lit_react.annotation.costs import Cost
from lit_react.core.bounds import expect
from lit_react.core.errors import UserError, WrongColumn
from lit_react.data.columns import BATCH
from lit_react.data.encoding import Batch, EncodedTable, kept_by_nobody
from lit_react.data.files import TextFormat
from lit_react.data.fit_data import FitData, FitLoaders
from lit_react.data.growth import KnownRows, of_run
from lit_react.data.memory import InMemory, as_split
from lit_react.data.pool import Rows, in_order
from lit_react.data.pool_data import Initial, PoolData
from lit_react.data.sources import load_pool, load_tables, local_folder, name_of, pool_batches
from lit_react.data.splits import split
from lit_react.data.tables import Source, Split
from lit_react.data.task import Task

if TYPE_CHECKING:
    import pandas as pd

    Named: TypeAlias = str | Path | pd.DataFrame | datasets.Dataset | datasets.DatasetDict
else:
    Named: TypeAlias = str  # what a command line can say


class PoolDataModule(FitLoaders):
    """Reads a source, carves the splits that it lacks, and keeps the labeled and the unlabeled split.

    A run (`ActiveLearning`) takes what is fixed from `prepare`, and gives each fit data of its own. In a loop of your
    own, with a plain Trainer, the module itself keeps the labels: the first ones are there when the first fit begins,
    and `label` moves rows from the unlabeled to the labeled split.

    Args:
        source: a `.csv`, `.tsv`, `.jsonl`, `.json` or `.parquet` file (`docs/data.md`); a folder with `train.*` and
            maybe `validation.*` and `test.*`, or with shards of one table; `hf:owner/name[:config][@revision]`; or
            `bbc_news`, which is packaged. In Python also a pandas frame, a `datasets.Dataset` or a
            `datasets.DatasetDict`, as for `validation`, `test` and `predict`.
        text_column: column of the texts; None: the name that the task gives it (`text`, `tokens`, `question`, …).
        label_column: column of the labels; the pool may lack it, or some of its values. None: as the task names it.
        train: name of the split that is the pool (`trial` where there is no `train`); a single file is the pool.
        validation: file or split name of the validation set; None: the split of that name, or else carved.
        test: file or split name of the test set; None: the split of that name, or else carved.
        local_copy: folder below `$LIT_REACT_DATA` that is read instead of the hub where it exists.
        label_names: the names, in the order of the class ids; None: sorted, from the data.
        pool_size: draw so many rows of the pool, by `split_seed`; None: all.
        validation_size: rows of the validation split, whose labels are bought like all others. 0: none, unless
            `validation` names a split: then all of it. None: all of a given split, none where there is no such split.
            Where the task has groups of rows (questions about one context), what is carved takes whole ones, so that
            no two splits share any; the last one's rows beyond the size are left out.
        test_size: rows of the test split; None: all of a given split, none where there is no such split.
        split_seed: draws the splits. Runs that have the same one share a test set; independent repeats have others.
        cost: annotation cost of a row; None: the task's (1 for each text; tokens where people read or tag each).
        initial: how the first labels are chosen: at random; `stratified` by the known labels (simulation only),
            at least one for each class; `representative`: the texts nearest to k-means centres.
        initial_size: number of first labels; None: none where the model reads the names of the classes, which then
            choose the first query, else 20.
        label_descriptions: what a class is, in words or a sentence or a list of them, by its name; for those that are
            missing the name itself is read. For models that read names: `SentenceClassification`.
        batch_size: rows per optimiser step, of all processes together.
        eval_batch_size: rows per forward pass without gradients, per process.
        predict: file or source that `predict` reads; None: all rows of the pool.
        quote: mark around the texts of CSV and TSV files that hold line ends or the delimiter; "": there is none.
        encoding: of text files without byte order mark; None: UTF-8.
    """

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
        validation_size: int | None = 0,
        test_size: int | None = None,
        split_seed: int = 0,
        cost: Cost | None = None,
        initial: Initial = "random",
        initial_size: int | None = None,
        label_descriptions: dict[str, str | list[str]] | None = None,
        batch_size: int = 8,
        eval_batch_size: int = 64,
        predict: Named | None = None,
        quote: str = '"',
        encoding: str | None = None,
    ) -> None:
        super().__init__()
        for name, value, least in (
            ("pool_size", pool_size, 1),
            ("validation_size", validation_size, 0),
            ("test_size", test_size, 0),
            ("initial_size", initial_size, 0),
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
        self.label_descriptions = label_descriptions
        self.batch_size, self.eval_batch_size = batch_size, eval_batch_size
        self.predict = predict
        self.quote, self.encoding = quote, encoding
        self._text_format = TextFormat(quote, encoding)
        self._reader: Task | None = None
        self._run: Path | None = None
        self._prepared: PoolData | None = None
        self._labels: dict[str, dict[int, Label]] = {"pool": {}, "validation": {}}

    def tables(self) -> Mapping[str, Split | InMemory]:
        """The tables as they are, before any split is carved; a data module of your own overrides this method alone.

        Returns:
            `pool`, and `validation` and `test` where there are such tables: pandas frames, `datasets.Dataset`s, Arrow
            tables or `Split`s.
        """
        tables, _ = load_tables(
            self.source,
            train=self.train,
            validation=self.validation,
            test=self.test,
            local_copy=self.local_copy,
            text_format=self._text_format,
            unused=self._unused,
        )
        return tables

    @property
    def _unused(self) -> set[str]:
        """The splits that no option asks for."""
        named = {"validation": self.validation, "test": self.test}
        sizes = {"validation": self.validation_size, "test": self.test_size}
        return {part for part, value in named.items() if value is None and sizes[part] == 0}

    def prepare(self, task: Task, known: KnownRows | None = None) -> PoolData:
        """What is fixed: the splits as a task reads them, given ones cut to size, missing ones carved from the pool.

        Rows of one of the task's `groups` stay together where splits are carved. `known` are the rows of a run whose
        source has grown since; None: the splits are drawn.

        Raises:
            UserError: in one line, which file, row or option is wrong.
        """
        given = {part: table for part, table in self.tables().items() if part not in self._unused}
        accepted = task.label_column if self.label_column is None else self.label_column
        tables = {part: as_split(table, f"the {part} table").accepted(accepted) for part, table in given.items()}
        is_local = local_folder(self.source, self.local_copy) is not None
        text, label = (None, None) if is_local else (self.text_column, self.label_column)
        try:
            source = task.read(tables, text, label, self.label_names)
            if known is not None and (names := known.names(source.label_names)) != source.label_names:
                source = task.read(tables, text, label, names)
        except WrongColumn as error:
            raise UserError(f"{error}; see data.text_column, data.label_column, and the task (--model)") from error
        groups = task.groups(source.pool)
        if known is not None:
            splits = known.splits(source, task.inputs, self.pool_size, groups)
        else:
            splits = self._split(source, groups)
        self._check_names(task, source)
        self._check_descriptions(splits.label_names)
        carved = source.test is None and splits.test is not None
        unlabeled = _first_unlabeled(source.pool, tables["pool"])
        if carved and splits.test is not None and None in splits.test["label"]:
            raise UserError(
                f"data.test_size: {unlabeled}: no label, which test rows need: leave such rows out, give data.test, "
                "or set data.test_size 0"
            )
        return PoolData(
            task.named(splits.label_names),
            splits,
            test_is_carved=carved,
            unlabeled=unlabeled,
            cost=self.cost,
            initial=self.initial,
            initial_size=self.initial_size,
            label_descriptions=self.label_descriptions,
            batch_size=self.batch_size,
            eval_batch_size=self.eval_batch_size,
        )

    def _split(self, source: Source, groups: Rows | None) -> Source:
        return split(
            source,
            groups,
            name=name_of(self.source),
            pool_size=self.pool_size,
            validation_size=None if self.validation is not None and not self.validation_size else self.validation_size,
            test_size=self.test_size,
            generator=np.random.default_rng(self.split_seed),
        )

    def _check_names(self, task: Task, source: Source) -> None:
        if task.has_classes and not (source.label_names or task.label_names):
            column = self.label_column or task.label_column
            others = ", ".join(repr(name) for name in source.pool.column_names if name not in {"text", "label"})
            raise UserError(
                f"data.label_column: {name_of(self.source)} has no labels in a column {column!r}: name the one that "
                f"has them{others and f' ({others})'}; where none has, give data.label_names"
            )

    def _check_descriptions(self, names: Sequence[str] | None) -> None:
        unknown = [name for name in self.label_descriptions or {} if name not in (names or ())]
        if unknown:
            raise UserError(
                f"data.label_descriptions: no class is called {unknown[0]!r}, expected some of {', '.join(names or ())}"
            )

    def connect(self, task: Task, run: Path | None = None) -> None:
        """Say which task reads and encodes the rows; that happens at their first use. Labels stay.

        With the folder of a `run`, they are in the order of that run, whose source may have grown.
        """
        same = self._reader is not None and replace(task, label_names=None) == replace(self._reader, label_names=None)
        if not same or run != self._run:
            self._reader, self._run, self._prepared = task, run, None

    @property
    def fixed(self) -> PoolData:
        """What the task that was last connected makes of the source."""
        if self._prepared is None:
            self._prepared = of_run(self.prepare, self._connected, self._run)
        return self._prepared

    @property
    def _connected(self) -> Task:
        if self._reader is None:
            raise ValueError("no task reads these data yet: see PoolDataModule.connect, or give them to a Trainer")
        return self._reader

    def setup(self, stage: str) -> None:
        """Let the module that the Trainer runs read the data; before a first fit, buy the first labels."""
        assert self.trainer is not None, "a Trainer calls it"
        if self._reader is None or stage == "fit":
            self.connect(self.trainer.lightning_module.task)  # type: ignore[arg-type]
        if stage != "fit":
            return
        if not self._labels["validation"]:
            self.label(np.arange(len(self.fixed.validation_split)), "validation")
        if not self._labels["pool"]:
            known = self.fixed.known_labels()["pool"]
            first = self.fixed.initial_rows(np.random.default_rng([self.split_seed, 2**31]), known)
            self.label(first, "pool")

    def label(self, rows: Rows, split: str = "pool") -> None:
        """Move rows, int64 [k] of `pool` or `validation`, to the labeled split, by the labels that came with the data.

        Raises:
            UserError: the data have no label for a row.
        """
        known = self.fixed.known_labels()[split]
        labels = {row: known[row] for row in rows.tolist()}
        for row, label in labels.items():
            if label is None:
                text = str(self.fixed.question(split, row)["text"])
                raise UserError(f"data: a {split} row has no label, {text[:80]!r}: give it by `reveal`")
        self.reveal(split, labels)

    def reveal(self, split: str, labels: Mapping[int, Label]) -> None:
        """Make labels known: `pool` or `validation`, by row of that split.

        Raises:
            ValueError: a row has another label already.
        """
        known = self._labels[split]
        if any(row in known and known[row] != label for row, label in labels.items()):
            raise ValueError("a labeled row was given another label")
        self._labels[split] = known | dict(labels)

    @property
    def fit_data(self) -> FitData:
        """What a fit reads that begins now."""
        pool = self.fixed.pool.with_labels(self._labels["pool"])
        return FitData(self.fixed, pool, self._labels["validation"], seed=self.split_seed)

    @property
    def task(self) -> Task:
        """What reads and encodes the rows, and knows the names of the classes that were found there."""
        return self.fixed.task

    @cached_property
    def predict_split(self) -> datasets.Dataset:
        """What `predict` labels: the rows of `predict`, or all rows of the pool."""
        if self.predict is None:
            return self.fixed.splits.pool
        split, _ = load_pool(self.predict, self.train, text_format=self._text_format)
        return self._read_unlabeled(split)

    def predict_parts(self) -> Iterator[tuple[list[dict[str, Any]], EncodedTable, Rows]]:
        """What `predict` labels, `BATCH` rows at a time: as the task read them, a table, and theirs, int64 [k], in it.

        Files that `predict` names are read and encoded part by part; the pool is encoded as a whole, for all runs.
        """
        if self.predict is None:
            table = self._connected.encode(self.predict_split)
            for rows in np.split(np.arange(len(table)), range(BATCH, len(table), BATCH)):
                yield self.predict_split.select(rows).to_list(), table, rows
            return
        for batch in pool_batches(self.predict, self.train, self._text_format):
            part = self._read_unlabeled(batch)
            with kept_by_nobody():
                table = self._connected.encode(part)
            records = part.to_list()
            for name in batch.mixed:  # its values as they were, whatever others are in this part
                for record, value in zip(records, batch.values(name), strict=True):
                    record[name] = value
            yield records, table, np.arange(len(table))

    def _read_unlabeled(self, split: Split) -> datasets.Dataset:
        return self._connected.read({"pool": split}, self.text_column, "").pool

    def predict_dataloader(self) -> DataLoader[Batch]:
        """The rows of `predict_split`."""
        table = self._connected.encode(self.predict_split)
        return in_order(table, np.arange(len(table)), None, self.eval_batch_size, **self._processes())


def _first_unlabeled(pool: datasets.Dataset, split: Split) -> str:
    """The place of the first row without a label; "" where all have one."""
    labels = pool.select_columns(["label"]).with_format("arrow")[:]["label"]
    return split.where(pc.index(pc.is_null(labels), True).as_py()) if labels.null_count else ""
