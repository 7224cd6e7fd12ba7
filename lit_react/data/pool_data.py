"""What is fixed in a run: the splits as the task read them, encoded, and what their labels cost."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal, TypeAlias

import datasets
import numpy as np
from numpy.typing import NDArray

from lit_react.annotation.answers import Label
from lit_react.annotation.costs import Cost
from lit_react.core.errors import UserError
from lit_react.data.encoding import EncodedTable, kept_by_nobody, text_digest
from lit_react.data.initial import representative, stratified
from lit_react.data.label_names import TEMPLATES, readable, say_something
from lit_react.data.pool import Pool, Rows
from lit_react.data.tables import Source
from lit_react.data.task import Task

SAMPLE = 5_000
"""Rows of a pool that stand for all of them where a larger one would have to be embedded."""

Initial: TypeAlias = Literal["random", "stratified", "representative"]


@dataclass(frozen=True, eq=False)
class PoolData:
    """The texts of a run; nothing in it changes. Tables are encoded at their first use. See `PoolDataModule`.

    Attributes:
        task: reads and encodes the rows, and knows the names of the classes that were found there.
        splits: pool, validation and test as the run uses them.
        test_is_carved: whether the test rows come from the pool's source, for lack of a test split.
        unlabeled: where the first row of the pool's source without a label is; "": all have one.
        grown_from: fingerprints that the data of a run had before rows joined them, see `of_run`.
        wanted: split → int64 [n], how many annotators are to answer each row; one, where the split is not there.
    """

    task: Task
    splits: Source
    test_is_carved: bool = False
    unlabeled: str = ""
    cost: Cost | None = None
    initial: Initial = "random"
    initial_size: int | None = None
    label_descriptions: Mapping[str, str | list[str]] | None = None
    batch_size: int = 8
    eval_batch_size: int = 64
    grown_from: tuple[str, ...] = ()
    wanted: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)

    def encoded_by(self, task: Task) -> PoolData:
        """The same splits, encoded by another task, as after pretraining of its encoder."""
        return replace(self, task=task.named(self.splits.label_names))

    @property
    def class_names(self) -> list[str] | None:
        """Name of each class id; None where nothing names a label."""
        return self.splits.label_names

    @property
    def validation_split(self) -> datasets.Dataset:
        """The validation rows; none where no labels are bought for validation."""
        return self.splits.pool.select([]) if self.splits.validation is None else self.splits.validation

    @cached_property
    def pool(self) -> Pool:
        """The pool without any label."""
        encoded = self.task.encode(self.splits.pool)
        return Pool(encoded, self._costs("pool", self.splits.pool, encoded))

    @cached_property
    def validation_table(self) -> EncodedTable:
        """The validation rows."""
        return self.task.encode(self.validation_split)

    @cached_property
    def test_table(self) -> EncodedTable:
        """The test rows.

        Raises:
            UserError: the source has no test split and none was carved.
        """
        if self.splits.test is None:
            raise UserError("data.test: there is no test split; name a file, or carve one with data.test_size")
        return self.task.encode(self.splits.test)

    @cached_property
    def validation_costs(self) -> NDArray[np.float64]:
        """float64 [m], cost of all answers to each validation row."""
        if self.splits.validation is None:
            return np.zeros(0)
        return self._costs("validation", self.validation_split, self.validation_table)

    @cached_property
    def embeddings(self) -> NDArray[np.float32]:
        """float32 [n, d], of the pool under the pretrained weights, see `Task.embed`."""
        return self.task.embed(self.splits.pool)

    @cached_property
    def sample(self) -> Rows:
        """int64 [s], ascending: all rows of the pool, of a large one `SAMPLE` that are drawn once."""
        rows = np.arange(len(self.splits.pool))
        return rows if len(rows) <= SAMPLE else np.sort(np.random.default_rng(0).choice(rows, SAMPLE, replace=False))

    @cached_property
    def _sample_embeddings(self) -> NDArray[np.float32]:
        whole = len(self.sample) == len(self.splits.pool)
        return self.embeddings if whole else self.task.embed(self.splits.pool.select(self.sample))

    def embeddings_of(self, rows: Rows) -> NDArray[np.float32]:
        """float32 [k, d], of some rows of the pool, int64 [k]; a large pool is not embedded for them."""
        places = np.minimum(np.searchsorted(self.sample, rows), len(self.sample) - 1)
        found, others = np.array(self._sample_embeddings[places]), self.sample[places] != rows
        if others.any():
            with kept_by_nobody():
                found[others] = self.task.embed(self.splits.pool.select(rows[others]))
        return found

    @cached_property
    def name_embeddings(self) -> NDArray[np.float32] | None:
        """float32 [C, d], of unit length: what the classes are called (`label_descriptions`); None: that says nothing.

        Each is the mean over the phrases of `TEMPLATES`.
        """
        if not self.task.reads_names or not (self.label_descriptions or say_something(self.task.names)):
            return None
        said = [(self.label_descriptions or {}).get(name, readable(name)) for name in self.task.names]
        texts = [[words] if isinstance(words, str) else words for words in said]
        phrases = [template.format(text) for of_class in texts for text in of_class for template in TEMPLATES]
        embeddings = self.task.embed(datasets.Dataset.from_dict({"text": phrases}))
        ends = np.cumsum([len(of_class) * len(TEMPLATES) for of_class in texts])[:-1]
        means = np.stack([part.mean(axis=0) for part in np.split(embeddings, ends)])
        return (means / np.linalg.norm(means, axis=1, keepdims=True)).astype(np.float32)

    def _costs(self, split: str, table: datasets.Dataset, encoded: EncodedTable) -> NDArray[np.float64]:
        cost = self.cost or self.task.default_cost
        prices = cost.costs(table, self.task.sizes(table, encoded) if cost.needs_tokens else None)
        return prices * self.wanted[split] if split in self.wanted else prices

    def answers_wanted(self, split: str, row: int) -> int:
        """How many annotators are to answer a row."""
        return int(self.wanted[split][row]) if split in self.wanted else 1

    def rows_per_step(self, labeled: int) -> int:
        """Of so many labeled rows, those that a step reads: `batch_size`, or all where the task does not share them."""
        return self.batch_size if self.task.shares_batches else max(labeled, 1)

    def known_labels(self) -> dict[str, list[Label | None]]:
        """Split → labels that came with the data, None where unknown. Read by oracles, by nobody else."""
        return {"pool": self.splits.pool["label"][:], "validation": self.validation_split["label"][:]}

    def row(self, split: str, row: int) -> dict[str, Any]:
        """A row of `pool` or `validation` as the task read it."""
        return (self.splits.pool if split == "pool" else self.validation_split)[int(row)]

    def question(self, split: str, row: int) -> dict[str, Any]:
        """What people see of a row, see `Task.question`; `source` are the other columns of the data, such as an id.

        What `label_descriptions` say of the names is in `descriptions`.
        """
        shown, others = self.task.question(self.row(split, row)), self.source_of(split, row)
        if self.label_descriptions:
            shown["descriptions"] = dict(self.label_descriptions)
        return shown | {"source": others} if others else shown

    def source_of(self, split: str, row: int) -> dict[str, Any]:
        """The columns of a row that the task does not read, such as an id, as JSON has them."""
        whole = self.row(split, row)
        read = {"label", *self.task.inputs, *self.task.question(whole)}
        return json.loads(json.dumps({name: value for name, value in whole.items() if name not in read}, default=str))

    def parse(self, answer: Any, split: str, row: int) -> Label:
        """What people answered, see `Task.parse`."""
        return self.task.parse(answer, self.row(split, row))

    @cached_property
    def fingerprint(self) -> str:
        """Names what the ledger's rows and class ids refer to: texts, their order, the names of the classes."""
        names, columns = self.class_names or [], self.task.inputs
        digests = (
            text_digest(self.splits.pool, *names, columns=columns),
            text_digest(self.validation_split, columns=columns),
        )
        return "-".join(digests)

    @cached_property
    def test_fingerprint(self) -> str | None:
        """Names the test rows, their labels and order; None where there are none."""
        if self.splits.test is None:
            return None
        return text_digest(self.splits.test, columns=(*self.task.inputs, "label"))

    def initial_rows(self, generator: np.random.Generator, known: Sequence[Label | None]) -> Rows:
        """The first rows to label, int64 [initial_size], relative to the pool; none where the names are a start.

        `known` are the labels that came with the data, None where unknown; `stratified` reads them.

        Raises:
            UserError: the pool is smaller than `initial_size`, or `stratified` without labels.
        """
        size = self.initial_size
        if size is None:
            size = 20 if self.name_embeddings is None else 0
        if size == 0 and self.name_embeddings is None:
            raise UserError(
                "data.initial_size: 0, but this model (--model) learns from labels alone, or the names of the labels "
                "say nothing: expected 1 or more, or SentenceClassification and data.label_descriptions"
            )
        if size > len(known):
            raise UserError(f"data.initial_size: {size} is more than the pool's {len(known)} rows")
        if size == 0:
            return np.zeros(0, dtype=np.int64)
        if self.initial == "stratified":
            if None in known:
                raise UserError("data.initial: stratified needs a label for every row of the pool; use representative")
            classes = np.asarray([self.task.class_of(label) for label in known], dtype=np.int64)
            return stratified(classes, size, generator)
        if self.initial == "representative":
            return representative(self.embeddings, size, generator)
        return generator.choice(len(known), size, replace=False).astype(np.int64)
