"""One file as a table: its bytes become rows, each with its line, and the rows become columns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from lit_react.core.errors import UserError
from lit_react.core.text_files import PACKED, unpacked_name
from lit_react.data.columns import BATCH, first_line
from lit_react.data.delimited import delimited_rows, tell_of_swallowed, text_columns
from lit_react.data.json_objects import json_rows, object_columns
from lit_react.data.tables import Row, Split, in_batches

DELIMITERS = {".csv": ",", ".tsv": "\t"}
JSON = (".jsonl", ".json")
SUFFIXES = (*DELIMITERS, *JSON, ".parquet")


@dataclass(frozen=True)
class TextFormat:
    """How text files are written: the mark around texts that hold delimiters, "" for none; and the encoding.

    Without an encoding it is that of the byte order mark, else UTF-8.
    """

    quote: str = '"'
    encoding: str | None = None

    def __post_init__(self) -> None:
        if len(self.quote) > 1:
            raise UserError(f"data.quote: {self.quote!r} is no mark, expected one character, or '' for none")
        try:
            "".encode(self.encoding or "utf-8")
        except LookupError as error:
            raise UserError(f"data.encoding: {error}, expected such as gb18030 or cp1252") from error


def is_table(path: Path) -> bool:
    """Whether a file's name says that it is read as a table."""
    return _form(path) in SUFFIXES


def _form(path: Path) -> str:
    return unpacked_name(path).suffix.lower()


@dataclass(frozen=True)
class TableFiles:
    """Files whose rows, one file's after the other's, are one split; every column of CSV and TSV files is strings.

    Attributes:
        place: names all of them in errors.
        paths: at least one; some may have no rows.
        text_format: of all of them.
    """

    place: str
    paths: Sequence[Path]
    text_format: TextFormat = field(default_factory=TextFormat)

    def __call__(self) -> Split:
        """All rows.

        Raises:
            UserError: in one line, what is wrong where; or there are no rows.
        """
        splits = [_whole(path, self.text_format) for path in self.paths]
        found = splits[0] if len(splits) == 1 else Split.joined(splits, self.place)
        if found.table.num_rows == 0:
            raise self._empty()
        return found

    def batches(self) -> Iterator[Split]:
        """All rows, `BATCH` at a time, which are all that is held in memory; errors are those of a call."""
        empty = True
        for split in chain.from_iterable(_batches(path, self.text_format) for path in self.paths):
            empty = False
            yield split
        if empty:
            raise self._empty()

    def _empty(self) -> UserError:
        return UserError(f"{self.place}: empty: expected at least one row")


def read_table(path: Path, text_format: TextFormat | None = None) -> Split:
    """Read one file, see `TableFiles`."""
    return TableFiles(str(path), [path], text_format or TextFormat())()


def _whole(path: Path, written: TextFormat) -> Split:
    form = _checked(path)
    if form == ".parquet":
        with _readable(path):
            return Split(pa.parquet.read_table(path, memory_map=True), str(path))
    if form in JSON:
        objects = partial(json_rows, path, written.encoding)
        return Split(object_columns(objects), str(path), objects)
    lines = partial(delimited_rows, path, DELIMITERS[form], written.quote, written.encoding)
    split = Split(text_columns(lines()), str(path), lambda: islice(lines(), 1, None))
    tell_of_swallowed(split, DELIMITERS[form])
    return split


def _batches(path: Path, written: TextFormat) -> Iterator[Split]:
    form = _checked(path)
    if form == ".parquet":
        yield from _numbered(path, _parquet_batches(path))
    elif form in JSON:
        objects = partial(json_rows, path, written.encoding)
        tables = (object_columns(partial(enumerate, batch)) for batch in in_batches(objects()))
        yield from _numbered(path, tables, objects)
    else:
        lines = partial(delimited_rows, path, DELIMITERS[form], written.quote, written.encoding)
        rows = lines()
        header = list(islice(rows, 1))
        tables = (text_columns(chain(header, enumerate(batch))) for batch in in_batches(rows))
        for split in _numbered(path, tables, lambda: islice(lines(), 1, None)):
            tell_of_swallowed(split, DELIMITERS[form])
            yield split


def _numbered(
    path: Path, tables: Iterable[pa.Table], lines: Callable[[], Iterator[Row]] | None = None
) -> Iterator[Split]:
    """Tables that follow each other in a file, whose rows know their places there."""
    start = 0
    for table in tables:
        yield Split(table, str(path), lines, np.arange(start, start + table.num_rows))
        start += table.num_rows


def _checked(path: Path) -> str:
    """The suffix that says how a file is read."""
    form = _form(path)
    if form not in SUFFIXES:
        packed = f"; text files may end with {', '.join(PACKED)} too"
        raise UserError(f"{path}: unknown suffix {form!r}: expected one of {', '.join(SUFFIXES)}{packed}")
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    return form


def _parquet_batches(path: Path) -> Iterator[pa.Table]:
    with _readable(path), pa.parquet.ParquetFile(path, memory_map=True) as file:
        for batch in file.iter_batches(BATCH):
            yield pa.Table.from_batches([batch])


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, pa.ArrowException) as error:  # ArrowInvalid is a ValueError
        raise UserError(f"{path}: not readable as Parquet: {first_line(error)}") from error
