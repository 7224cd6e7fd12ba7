"""One file as a table: its bytes become rows, each with its line, and the rows become columns."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet

from lit_react.core.errors import UserError
from lit_react.core.text_files import PACKED, unpacked_name
from lit_react.data.delimited import delimited_rows, tell_of_swallowed, text_columns
from lit_react.data.json_objects import json_rows, object_columns
from lit_react.data.tables import Split, first_line

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


def read_table(path: Path, text_format: TextFormat | None = None) -> Split:
    """Read one file, strings and all other columns as they are; every column of a CSV or TSV file is strings.

    Raises:
        UserError: in one line, what is wrong where.
    """
    form, written = _form(path), text_format or TextFormat()
    if form not in SUFFIXES:
        packed = f"; text files may end with {', '.join(PACKED)} too"
        raise UserError(f"{path}: unknown suffix {form!r}: expected one of {', '.join(SUFFIXES)}{packed}")
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    if form == ".parquet":
        split = Split(_parquet(path), str(path))
    elif form in JSON:
        objects = partial(json_rows, path, written.encoding)
        split = Split(object_columns(objects), str(path), objects)
    else:
        lines = partial(delimited_rows, path, DELIMITERS[form], written.quote, written.encoding)
        split = Split(text_columns(lines()), str(path), lambda: (line for n, line in enumerate(lines()) if n))
        tell_of_swallowed(split, DELIMITERS[form])
    if split.table.num_rows == 0:
        raise UserError(f"{path}: empty: expected at least one row")
    return split


def _parquet(path: Path) -> pa.Table:
    try:
        return pa.parquet.read_table(path, memory_map=True)
    except (OSError, ValueError, pa.ArrowException) as error:  # ArrowInvalid is a ValueError
        raise UserError(f"{path}: not readable as Parquet: {first_line(error)}") from error
