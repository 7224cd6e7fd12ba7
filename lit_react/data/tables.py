"""One file or split as an Arrow table: reading it, and saying where in it something is wrong."""

from __future__ import annotations

import csv
import json
import re
import textwrap
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet

from lit_react.core.errors import UserError, WrongColumn

DELIMITERS = {".csv": ",", ".tsv": "\t"}
SUFFIXES = (*DELIMITERS, ".jsonl", ".json", ".parquet")
BLOCK_BYTES = 64 << 20  # no row of a CSV or JSON file may be longer


@dataclass(frozen=True)
class Split:
    """One split as it was read; `place` names it in errors, `path` is its file if it has one."""

    table: pa.Table
    place: str
    path: Path | None = None

    def where(self, row: int) -> str:
        """Name data row `row` (0-based): `file:line` in a text file, else `place row N`, N from 1."""
        line = None if self.path is None else _line(self.path, row)
        return f"{self.place} row {row + 1}" if line is None else f"{self.path}:{line}"

    def lacks(self, column: str) -> str:
        """Say that a column is not there, and which are."""
        columns = ", ".join(name if name == name.strip() else repr(name) for name in self.table.column_names)
        return f"{self.place}: no column {column!r}: its columns are {columns}"

    def texts(self, column: str) -> pa.ChunkedArray:
        """Strings [n], none null."""
        if column not in self.table.column_names:
            raise WrongColumn(self.lacks(column))
        texts = self.table[column]
        if texts.null_count:
            row = pc.index(pc.is_null(texts), True).as_py()
            raise UserError(f"{self.where(row)}: no text: expected a string in column {column!r}")
        if not is_string(texts.type):
            raise WrongColumn(f"{self.place}: column {column!r} holds {texts.type}: expected strings")
        return texts

    def having(self, column: str, *, required: bool) -> Split:
        """The split with a column of labels: of nulls where it has none, "" is named, and none is `required`."""
        names = self.table.column_names
        if column and column in names:
            return self
        if required:
            raise WrongColumn(self.lacks(column))
        others = self.table.drop_columns([column]) if column in names else self.table
        return replace(self, table=others.append_column(column, pa.nulls(len(others))))

    def unlabeled(self, row: int) -> UserError:
        """A row of validation or test has no label."""
        return UserError(
            f"{self.where(row)}: no label: expected one in every row of the validation and test data (the options "
            "validation and test can name another split)"
        )

    def dataset(
        self, text_column: str, texts: pa.ChunkedArray, label_column: str, ids: pa.ChunkedArray
    ) -> datasets.Dataset:
        """Columns `text` and `label`, then the others."""
        used = {text_column, label_column, "text", "label"}
        others = {name: self.table[name] for name in self.table.column_names if name not in used}
        try:
            return datasets.Dataset(pa.table({"text": texts, "label": ids, **others}))
        except (ValueError, TypeError, pa.ArrowException) as error:
            raise UserError(f"{self.place}: a column has a type that is not supported ({_first(error)})") from error


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


def is_string(kind: pa.DataType) -> bool:
    """Whether a column of this type holds strings, of whatever size."""
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def is_list(kind: pa.DataType) -> bool:
    """Whether a column of this type holds lists, of whatever size."""
    return pa.types.is_list(kind) or pa.types.is_large_list(kind)


def _first(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)


def read_table(path: Path) -> Split:
    """Read one file, strings and all other columns as they are; every column of a CSV or TSV file is strings."""
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise UserError(f"{path}: unknown suffix {suffix!r}: expected one of {', '.join(SUFFIXES)}")
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    if path.stat().st_size == 0:
        raise UserError(f"{path}: empty: expected at least one row")
    try:
        if suffix in DELIMITERS:
            table = _read_csv(path)
        elif suffix == ".parquet":
            table = pa.parquet.read_table(path, memory_map=True)
        else:
            table = _read_json(path)
        table.validate(full=True)  # only the CSV reader checks that strings are UTF-8
    except (OSError, ValueError, pa.ArrowException) as error:  # ArrowInvalid is a ValueError
        if suffix == ".parquet":
            raise UserError(f"{path}: not readable as Parquet: {_first(error)}") from error
        fault = _csv_fault if suffix in DELIMITERS else _json_fault
        raise UserError(fault(path, error)) from error
    columns = table.column_names
    twice = next((name for name in columns if columns.count(name) > 1), None)
    if twice is not None:
        raise UserError(f"{path}: column {twice!r} is there twice: expected different names")
    if table.num_rows == 0:
        raise UserError(f"{path}: empty: expected at least one row")
    split = Split(decoded(table), str(path), path)
    if suffix in DELIMITERS and _ends_inside_quotes(path, table):
        raise UserError(f"{split.where(table.num_rows - 1)}: a quote opens here and never closes")
    return split


def decoded(table: pa.Table) -> pa.Table:
    """The table with dictionary columns decoded, which is how pandas writes categories."""
    for position, field in enumerate(table.schema):
        if pa.types.is_dictionary(field.type):
            table = table.set_column(position, field.name, table.column(position).cast(field.type.value_type))
    return table


def _read_csv(path: Path) -> pa.Table:
    _check_delimiter(path)
    parse = _csv_format(path)
    blocks = pa.csv.ReadOptions(block_size=BLOCK_BYTES)
    with pa.csv.open_csv(path, read_options=blocks, parse_options=parse) as reader:
        strings = dict.fromkeys(reader.schema.names, pa.string())
    convert = pa.csv.ConvertOptions(column_types=strings, strings_can_be_null=False)
    return pa.csv.read_csv(path, read_options=blocks, parse_options=parse, convert_options=convert)


def _check_delimiter(path: Path) -> None:
    """Refuse a file whose header has one column and a mark that other programs write between columns."""
    mark = DELIMITERS[path.suffix.lower()]
    with path.open(newline="", encoding="utf-8-sig", errors="replace") as handle:
        header = handle.readline()
    other = next((found for found in header if found in ";|,\t"), mark)
    if mark not in header and other != mark:
        raise UserError(f"{path}:1: columns end with {other!r}, expected {mark!r} in a {path.suffix} file")


def _csv_format(path: Path) -> pa.csv.ParseOptions:
    return pa.csv.ParseOptions(delimiter=DELIMITERS[path.suffix.lower()], newlines_in_values=True)


def _csv_fault(path: Path, error: Exception) -> str:
    with path.open("rb") as handle:
        for number, line in enumerate(handle, 1):
            try:
                line.decode()
            except UnicodeDecodeError:
                return f"{path}:{number}: not UTF-8 text: if it is from Windows, convert it (iconv -f cp1252 -t utf-8)"
    try:  # Arrow counts rows only when it reads with one thread
        pa.csv.read_csv(
            path,
            read_options=pa.csv.ReadOptions(block_size=BLOCK_BYTES, use_threads=False),
            parse_options=_csv_format(path),
        )
    except ValueError as counted:
        error = counted
    reason = _first(error).removeprefix("CSV parse error: ")
    match = re.fullmatch(r"Row #(\d+): (.*)", reason)
    start = _line(path, int(match[1]) - 2) if match else None
    if match and start:
        return f"{path}:{start}: {match[2]}"
    hint = " (is there a quote that never closes?)" if "straddl" in reason else ""
    return f"{path}: not readable as CSV: {reason}{hint}"


def _ends_inside_quotes(path: Path, table: pa.Table) -> bool:
    """True where a quote swallowed the end of the file: Arrow reads on to the end without a word."""
    with path.open("rb") as handle:
        handle.seek(max(0, path.stat().st_size - 64))
        closed = handle.read().rstrip(b"\r\n").endswith(b'"')
    last = table.column(table.num_columns - 1)[-1].as_py()
    return not closed and ("\n" in last or "\r" in last)


def _read_json(path: Path) -> pa.Table:
    blocks = pa.json.ReadOptions(block_size=BLOCK_BYTES)
    table = pa.json.read_json(path, read_options=blocks)
    dates = [field.name for field in table.schema if pa.types.is_timestamp(field.type)]
    if dates:  # strings that look like dates stay strings
        schema = pa.schema([(name, pa.string()) for name in dates])
        parse = pa.json.ParseOptions(explicit_schema=schema)
        table = pa.json.read_json(path, read_options=blocks, parse_options=parse)
    return table


def _json_fault(path: Path, error: Exception) -> str:
    kinds: dict[str, str] = {}
    with path.open("rb") as handle:
        for number, line in enumerate(handle, 1):
            try:
                record = json.loads(line) if line.strip() else {}
            except ValueError as fault:
                return f"{path}:{number}: not a JSON object on one line: {_first(fault)}"
            if not isinstance(record, dict):
                return f"{path}:{number}: expected one JSON object a line, got a {type(record).__name__}"
            for key, value in record.items():
                kind = "number" if type(value) in (int, float) else type(value).__name__
                if value is not None and kinds.setdefault(key, kind) != kind:
                    return f"{path}:{number}: {key!r} is a {kind}, in the lines before it is a {kinds[key]}"
    return f"{path}: not readable as JSON lines: {_first(error)}"


def _line(path: Path, row: int) -> int | None:
    """Line, from 1, at which data row `row` (0-based) of a text file starts; None where lines say nothing."""
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        return None
    with path.open(newline="", encoding="utf-8-sig", errors="replace") as handle:
        if suffix not in DELIMITERS:
            filled = (number for number, line in enumerate(handle, 1) if line.strip())
            return next(islice(filled, row, None), None)
        records = csv.reader(handle, delimiter=DELIMITERS[suffix])
        start = 1
        try:
            for record in records:
                if record and row < 0:
                    return start
                row -= bool(record)
                start = records.line_num + 1
        except csv.Error:  # a field longer than Python's limit
            return None
    return None
