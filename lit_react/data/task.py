"""What a task is apart from any model: its rows and labels, its questions, its metrics and its predictions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal, Protocol, Self

import datasets
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from torch import nn

from lit_react.annotation.answers import Label
from lit_react.annotation.costs import ConstantCost, Cost
from lit_react.core.errors import UserError
from lit_react.data.encoding import EncodedTable
from lit_react.data.tables import Source, Split


class VariesTexts(Protocol):
    """What makes variants of texts, as `augmentation.texts` does."""

    def vary(
        self, words: Sequence[Sequence[str]], kept: Sequence[Sequence[bool]], seed: int
    ) -> Sequence[tuple[list[str], list[int]]]:
        """Of each row a variant's words, and the places of the words they stand for; words that are `kept` stay."""
        ...


@dataclass(frozen=True)
class Task(ABC):
    """What the rows, labels, questions and metrics of a task are; it has no weights and can be pickled.

    A *label* is what was bought for one row, a JSON value: a class id, a list of spans, a text. Nothing outside the
    task looks into it. The model that learns the task is a `TaskModule`, which builds its task from its own options.
    A task does not change once it is made: `named` and the like return copies.

    Args:
        label_names: name of each class id; None: nothing has named them yet.
    """

    text_column: ClassVar[str] = "text"
    """Column of the source with what is annotated, where the user names none."""

    label_column: ClassVar[str] = "label"
    """Column of the source with the labels, where the user names none."""

    inputs: ClassVar[tuple[str, ...]] = ("text",)
    """Columns of a split, as `read` gives it, that make a row what it is; the first is a string for people."""

    has_classes: ClassVar[bool] = True
    """Whether labels have names that must be known before the first is bought."""

    shown: ClassVar[tuple[str, ...]] = ("accuracy", "macro_f1")
    """Scalars of the metrics that tables and pictures show. The first is *the* metric, higher is better: early
    stopping, checkpoints and the reward read it."""

    labels_are_classes: ClassVar[bool] = False
    """Whether a label is one class, so that `class_of` loses nothing and a prediction is right or wrong."""

    reads_names: ClassVar[bool] = False
    """Whether its module can begin with the names of the classes, before there is any label."""

    answer_form: ClassVar[Literal["class", "classes", "spans", "span", "text"]] = "class"
    """What people do to answer: choose one of the names, or write where there are none; choose some of them; mark
    spans of `tokens` and name each; mark one span of `context`; write a text."""

    shares_batches: ClassVar[bool] = True
    """Whether a step reads `data.batch_size` rows, shared out among processes, or in each process all labeled rows."""

    label_names: list[str] | None = field(default=None, kw_only=True)

    def named(self, names: list[str] | None) -> Self:
        """The task that knows the names of its classes; itself where nothing new is named."""
        return self if names is None or names == self.label_names else replace(self, label_names=names)

    @property
    def names(self) -> list[str]:
        """Name of each class id; none where labels are no classes."""
        return self.label_names or []

    @property
    def monitor(self) -> str:
        """Logged name of the validation metric that decides."""
        return f"val/{self.shown[0]}"

    @property
    def default_cost(self) -> Cost:
        """What a label costs where the user does not say: 1."""
        return ConstantCost()

    def check(self) -> None:
        """See that the task can be done: before labels are bought, once its classes are named.

        Raises:
            UserError: an option is wrong or does not fit the checkpoint, or what the metrics need is not installed.
        """
        self.metrics()

    def read(
        self,
        tables: Mapping[str, Split],
        text_column: str | None = None,
        label_column: str | None = None,
        label_names: list[str] | None = None,
    ) -> Source:
        """The splits as the task knows them, from the tables as they were read.

        Args:
            tables: `pool`, and `validation` and `test` where they are.
            text_column: column of what is annotated; None: `text_column` of the task.
            label_column: column of the labels; None: `label_column` of the task; "": there are none.
            label_names: names of the classes, where the user gives them.

        Returns:
            splits with the columns `text`, `label` (null where unknown; never in validation and test) and what else
            the task needs.

        Raises:
            UserError: in one line, which file and row is wrong, and what was expected.
        """
        if label_names is not None and not self.has_classes:
            raise UserError(f"data.label_names: labels of {type(self).__name__} have no names, expected none")
        label = self.label_column if label_column is None else label_column
        return self.named(label_names).source(tables, text_column or self.text_column, label, label_names)

    def source(self, tables: Mapping[str, Split], text: str, label: str, names: list[str] | None) -> Source:
        """What `read` gives, by the names of both columns.

        Unless a task does otherwise a label in the data is what people would answer, see `parse`; a null or an empty
        string is an unknown one.
        """
        parts = {part: self._read(split, text, label, required=part != "pool") for part, split in tables.items()}
        return Source(**parts, label_names=names)

    def _read(self, split: Split, text_column: str, label_column: str, *, required: bool) -> datasets.Dataset:
        texts = split.texts(text_column)
        there = split.having(label_column, required=required)
        given = split.column(label_column).to_pylist() if there else [None] * len(texts)
        labels: list[Label | None] = []
        for row, (text, value) in enumerate(zip(texts.to_pylist(), given, strict=True)):
            if value in (None, "") and required:
                raise split.unlabeled(row)
            try:
                labels.append(None if value in (None, "") else self.parse(value, {"text": text}))
            except (ValueError, TypeError) as error:
                raise UserError(f"{split.where(row)}: {error}") from error
        return split.dataset(text_column, texts, label_column, pa.chunked_array([pa.array(labels)]))

    def groups(self, table: datasets.Dataset) -> NDArray[np.int64] | None:
        """int64 [n], the group of each row, 0 … g-1, which carved splits must not share; None: they may."""
        return None

    @abstractmethod
    def encode(self, table: datasets.Dataset) -> EncodedTable:
        """Encode a split that `read` gave; done once per split, before any weights are trained."""

    def sizes(self, table: datasets.Dataset, encoded: EncodedTable) -> NDArray[np.int64]:
        """int64 [n], how much there is to read or to tag in each row, for `TokenCost`."""
        return encoded.lengths

    def warnings(self, encoded: EncodedTable) -> list[str]:
        """A line for each thing that encoding did to the pool and that is seldom meant."""
        return []

    def running_text(self, table: datasets.Dataset) -> datasets.Dataset:
        """What a split that `read` gave has for an encoder to pretrain on: a column `text`, as people write it."""
        return table.select_columns("text")

    @abstractmethod
    def embed(self, table: datasets.Dataset) -> NDArray[Any]:
        """Sentence embeddings of a split under the pretrained weights, float32 [n, d], unit length."""

    def keeping_encoder(self) -> Self:
        """The same task, which embeds few rows again and again and so keeps what it loads for that."""
        return self

    def varied(
        self, rows: datasets.Dataset, labels: Sequence[Label], texts: VariesTexts, seed: int
    ) -> tuple[datasets.Dataset, list[Label]]:
        """A variant of each of some rows, in the columns that `encode` reads, and the label that it has.

        Raises:
            UserError: the task has no variants, see `TaskModule.augmentable`.
        """
        raise UserError(f"augmentation.texts: {type(self).__name__} has none, expected null")

    def class_of(self, label: Label) -> int:
        """The class that stands for a label among the C classes of the signals, in 0 … C-1.

        Where the classes only sum up how sure the model is, a label that was bought is of the first one: it is right.
        """
        return 0

    def classes_in(self, labels: Sequence[Label]) -> set[int]:
        """The ids of the classes that stand in some labels; none where labels are no classes."""
        return set(labels) if self.labels_are_classes else set()

    def question(self, row: dict[str, Any]) -> dict[str, Any]:
        """What people are shown of a row: its `inputs`, `text` at least, and the names to choose from."""
        shown = {name: row[name] for name in self.inputs}
        return shown | {"labels": self.names} if self.has_classes else shown

    @abstractmethod
    def parse(self, answer: Any, row: dict[str, Any]) -> Label:
        """The label that people's answer to `question` means.

        Raises:
            ValueError: it is none; what was expected, without a full stop.
        """

    def answer(self, label: Label) -> Any:
        """The answer that means a label: `parse` backwards."""
        return label

    def describe(self, row: dict[str, Any], label: Label) -> tuple[str, str]:
        """A row and its label as people read them, for the table of what was bought."""
        return row["text"], str(label)

    @abstractmethod
    def metrics(self) -> nn.Module:
        """The task's metrics, with nothing measured yet: one of torchmetrics' collections, or a module like it.

        Its `update` takes what `TaskModule.evaluate` gives it. Its `compute` returns scalars in [0, 1] by name, or a
        pair of those and of what is no scalar (tables) as plain lists and dictionaries. Its `reset` forgets.
        """

    def prediction(self, output: dict[str, Any], row: dict[str, Any]) -> dict[str, Any]:
        """One line of the predictions' file: the text, and what the model puts out, to six decimals.

        `output` is the row's part of `TaskModule.outputs`, whose tensors have become NumPy arrays; `row` as `read` gave
        it.
        """
        numbers = (np.generic, np.ndarray)
        plain = {n: np.float64(v).round(6).tolist() if isinstance(v, numbers) else v for n, v in output.items()}
        return {"text": row["text"], **plain}
