"""One split as an Arrow table, what it says of a row or column that is wrong, and the splits as a task read them."""

from __future__ import annotations

import json
import logging
import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lit_react.core.errors import UserError, WrongColumn
from lit_react.data.columns import BATCH, each, first_line, is_mixed, is_string, plain

log = logging.getLogger("lit_react")

Row = tuple[int, Any]
"""The line at which a row of a text file starts, from 1; its values, a list in the header's order or an object."""

VERDICTS = {"accept", "reject", "ignore"}
"""What people answered in Prodigy, in its column `answer`."""


@dataclass(frozen=True)
class Split:
    """One split as it was read.

    Attributes:
        table: columns of any type and name; a column that no option names is never looked at.
        place: names the split in errors: its file, if it has one.
        lines: reads a text file once more: the line of each data row, from 1, and its values; None: there are no lines.
        kept: int64 [n], of each row of the table its row in the file, where some were left out.
        way_on: what goes on without this split, for errors about its labels.
        parts: the splits that it is made of, where it was read from several files.
    """

    table: pa.Table
    place: str
    lines: Callable[[], Iterator[Row]] | None = None
    kept: NDArray[np.int64] | None = None
    way_on: str = ""
    parts: tuple[Split, ...] = ()

    @classmethod
    def joined(cls, parts: Sequence[Split], place: str) -> Split:
        """Splits one after the other, a column for each name that one of them has; null where a part has none.

        Raises:
            UserError: no type holds a column's values in all parts.
        """
        schema = parts[0].table.schema
        for part in parts[1:]:
            try:
                both = set(schema.names) & set(part.table.schema.names)
                if both & (_mixed(schema) ^ part.mixed):
                    raise pa.ArrowTypeError("a column has values of several types in one of them")
                schema = pa.unify_schemas([schema, part.table.schema], promote_options="permissive")
            except pa.ArrowException as error:
                raise UserError(f"{part.place}: other columns than in {parts[0].place}: {first_line(error)}") from error
        tables = [part.table for part in parts]
        return cls(pa.concat_tables(tables, promote_options="permissive"), place, parts=tuple(parts))

    def batches(self) -> Iterator[Split]:
        """The same rows, `BATCH` at a time."""
        rows = np.arange(self.table.num_rows) if self.kept is None else self.kept
        for start in range(0, len(rows), BATCH):
            yield replace(self, table=self.table.slice(start, BATCH), kept=rows[start : start + BATCH])

    def where(self, row: int) -> str:
        """Name data row `row` (0-based): `file:line` in a text file, else `place row N`, N from 1."""
        row = row if self.kept is None else int(self.kept[row])
        for part in self.parts:
            if row < part.table.num_rows:
                return part.where(row)
            row -= part.table.num_rows
        if self.lines is None:
            return f"{self.place} row {row + 1}"
        line, _ = next(islice(self.lines(), row, None))
        return f"{self.place}:{line}"

    def lacks(self, column: str) -> str:
        """Say that a column is not there, and which are."""
        columns = ", ".join(name if name and name == name.strip() else repr(name) for name in self._names())
        return f"{self.place}: no column {column!r}: its columns are {columns}"

    def _names(self) -> Iterator[str]:
        for field in self.table.schema:
            fields = [inner.name for inner in field.type] if pa.types.is_struct(field.type) else []
            yield from (f"{field.name}.{name}" for name in fields) if fields else [field.name]

    def has(self, column: str) -> bool:
        """Whether there is a column of that name, or a field `inner` of objects for `outer.inner`."""
        return column in self.table.column_names or column in set(self._names())

    @property
    def mixed(self) -> set[str]:
        """Names of the columns whose values are of several types, see `MIXED`."""
        return _mixed(self.table.schema)

    def field(self, column: str) -> pa.Field:
        """Name, type and metadata of a column that is there."""
        if column in self.table.column_names:
            return self.table.schema.field(self.table.column_names.index(column))
        outer, inner = column.split(".", 1)
        kind = self.table.schema.field(outer).type
        return kind.field(inner)

    def column(self, column: str) -> pa.ChunkedArray:
        """A column that an option names, in `plain` types.

        Raises:
            UserError: there is none or more than one, or its values are of several types.
        """
        if not self.has(column):
            raise WrongColumn(self.lacks(column))
        if self.table.column_names.count(column) > 1:
            raise UserError(f"{self.place}: column {column!r} is there twice: expected different names")
        if is_mixed(self.field(column)):
            raise UserError(self.conflict(column))
        whole = column in self.table.column_names
        outer, _, inner = column.partition(".")
        found = self.table[column] if whole else pc.struct_field(self.table[outer], inner)
        try:
            found.validate(full=True)
            return plain(found)
        except pa.ArrowException as error:
            raise WrongColumn(f"{self.place}: column {column!r} holds {found.type}: {first_line(error)}") from error

    def conflict(self, column: str) -> str:
        """Where a column's values are of another type than before."""
        kinds: list[str] = []
        for line, row in self.lines() if self.lines else ():
            kind = _kind(row.get(column))
            if kind and not kinds:
                kinds.append(kind)
            elif kind and kind != kinds[0]:
                return f"{self.place}:{line}: {column!r} is a {kind}, in the lines before it is a {kinds[0]}"
        return f"{self.place}: column {column!r} has values of several types: expected one"

    def values(self, column: str) -> Iterator[Any]:
        """What a column holds, row by row, of several types too."""
        if self.has(column) and is_mixed(self.field(column)):
            return (text and json.loads(text) for text in each(self.table[column]))
        return each(self.column(column))

    def texts(self, column: str) -> pa.ChunkedArray:
        """Strings [n], none null."""
        texts = self.column(column)
        if texts.null_count:
            row = pc.index(pc.is_null(texts), True).as_py()
            raise UserError(f"{self.where(row)}: no text: expected a string in column {column!r}")
        if not is_string(texts.type):
            raise WrongColumn(f"{self.place}: column {column!r} holds {texts.type}: expected strings")
        return texts

    def having(self, column: str, *, required: bool) -> bool:
        """Whether there is a column of labels; "" names none.

        Raises:
            WrongColumn: there is none, and one is `required`.
        """
        there = bool(column) and self.has(column)
        if required and not there:
            raise WrongColumn(f"{self.lacks(column)}{self.way_on}")
        return there

    def with_column(self, name: str, values: pa.Array, *replaced: str) -> Split:
        """The split with a column in place of those of its name, and of others."""
        names = self.table.column_names
        others = self.table.select([place for place, other in enumerate(names) if other not in {name, *replaced}])
        return replace(self, table=others.append_column(name, values))

    def unlabeled(self, row: int) -> UserError:
        """A row of validation or test has no label."""
        way_on = self.way_on or " (the options validation and test can name another split)"
        return UserError(
            f"{self.where(row)}: no label: expected one in every row of the validation and test data{way_on}"
        )

    def accepted(self, label_column: str) -> Split:
        """Without the rows that people rejected or ignored in Prodigy, where `label_column` has what they accepted."""
        if label_column == "answer" or not (self.has("answer") and self.has(label_column)):
            return self
        answers = self.table["answer"]
        if not is_string(answers.type) or not set(pc.unique(answers).to_pylist()) <= VERDICTS | {None, ""}:
            return self
        refused = pc.is_in(answers, value_set=pa.array(["reject", "ignore"], answers.type))
        accepted = np.flatnonzero(~np.asarray(refused))
        if len(accepted) == len(answers):
            return self
        left_out = len(answers) - len(accepted)
        log.warning("%s: %d rows whose answer is reject or ignore are left out", self.place, left_out)
        return replace(self, table=self.table.take(accepted), kept=accepted)

    def dataset(
        self, text_column: str, texts: pa.ChunkedArray, label_column: str, ids: pa.ChunkedArray
    ) -> datasets.Dataset:
        """Columns `text` and `label`, then the others; one without a name or whose name is taken is named as in pandas.

        A column that no data set can hold is told of and left out.
        """
        columns = {"text": texts, "label": ids}
        used = {text_column, "text", "label", *([label_column] if label_column else [])}
        for place, name in enumerate(self.table.column_names):
            if name in used:
                continue
            unique = name if name.strip() else f"Unnamed: {place}"
            unique = unique if unique not in columns else f"{unique}.{place}"
            try:
                column = plain(self.table.column(place))
                column.validate(full=True)
                datasets.Features.from_arrow_schema(pa.schema([("column", column.type)]))
            except (ValueError, TypeError, pa.ArrowException):
                kind = self.table.schema[place].type
                log.warning("%s: column %r holds %s, which is not kept", self.place, name, kind)
                continue
            columns[unique] = column
        return datasets.Dataset(pa.table(columns))


@dataclass(frozen=True)
class Source:
    """Tables of one data set; rows are relative to their own split.

    Attributes:
        pool: columns `text` (string), `label` (what the task calls a label, null where unknown), and others.
        validation: same columns, every label known; None where there is none.
        test: same columns, every label known; None where there is none.
        label_names: class id → name; None where nothing names a label.
    """

    pool: datasets.Dataset
    validation: datasets.Dataset | None = None
    test: datasets.Dataset | None = None
    label_names: list[str] | None = None

    @property
    def summary(self) -> str:
        """Sizes of the splits, and the first names of labels, in a line."""
        others = ((name, table) for name, table in (("validation", self.validation), ("test", self.test)) if table)
        line = ", ".join(
            [f"{len(self.pool)} texts in the pool", *(f"{len(table)} for {name}" for name, table in others)]
        )
        if not self.label_names:
            return line
        shown = (textwrap.shorten(name, 40, placeholder=" …") for name in self.label_names[:10])
        listed = ", ".join(shown) + (" …" if len(self.label_names) > 10 else "")
        return f"{line}; {len(self.label_names)} labels: {listed}"


def _mixed(schema: pa.Schema) -> set[str]:
    return {field.name for field in schema if is_mixed(field)}


def _kind(value: Any) -> str:
    """The type of a JSON value, and of what a list holds; "" for null and []."""
    if isinstance(value, list):
        inner = {kind for kind in map(_kind, value) if kind}
        return f"list of {' and '.join(sorted(inner))}" if inner else ""
    if value is None:
        return ""
    return "number" if type(value) in (int, float) else type(value).__name__


def in_batches(rows: Iterable[Row]) -> Iterator[list[Any]]:
    """The values of `BATCH` rows at a time."""
    values = (row for _, row in rows)
    while batch := list(islice(values, BATCH)):
        yield batch
