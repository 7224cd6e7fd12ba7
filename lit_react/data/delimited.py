"""Rows of text with a delimiter between columns: CSV and TSV."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from lit_react.core.errors import UserError
from lit_react.core.text_files import open_text, unpacked_name
from lit_react.data.tables import Row, Split, in_batches, log

END = "\0end of file\0"
"""A line after the last; where a quote never closes it is inside a text."""

NO_QUOTES = "where quotes mean nothing, --data.quote ''"


def delimited_rows(path: Path, delimiter: str, quote: str, encoding: str | None) -> Iterator[Row]:
    """The header and the rows as lists of strings; empty lines are none.

    Args:
        path: the file, packed or not.
        delimiter: between the columns.
        quote: mark around texts that hold line ends or the delimiter; "": there is none.
        encoding: see `open_text`.

    Raises:
        UserError: a row has another number of columns than the header, or a quote never closes.
    """
    csv.field_size_limit(sys.maxsize)
    quotes: Any = {"quotechar": quote} if quote else {"quoting": csv.QUOTE_NONE}
    with open_text(path, encoding, "data.encoding") as text:
        rows = csv.reader(chain(text, [END]), delimiter=delimiter, **quotes)
        line, width = 1, 0
        for row in rows:
            start, line = line, rows.line_num + 1
            if row == [END]:
                return
            if not row:
                continue
            if row[-1].endswith(END):
                raise UserError(f"{path}:{start}: a quote opens here and never closes; {NO_QUOTES}")
            if not width:
                _check_delimiter(path, start, row, delimiter)
                width = len(row)
            if len(row) != width:
                raise UserError(f"{path}:{start}: expected {width} columns, got {len(row)}")
            yield start, row


def _check_delimiter(path: Path, line: int, header: list[str], delimiter: str) -> None:
    """Refuse a file whose header has one column and a mark that other programs write between columns."""
    other = next((mark for mark in header[0] if mark in ";|,\t"), None)
    if len(header) == 1 and other is not None:
        form = unpacked_name(path).suffix
        raise UserError(f"{path}:{line}: columns end with {other!r}, expected {delimiter!r} in a {form} file")


def text_columns(rows: Iterator[Row]) -> pa.Table:
    """Columns of strings, named by the first row."""
    _, names = next(rows, (0, []))
    columns: list[list[pa.Array]] = [[] for _ in names]
    for batch in in_batches(rows):
        for chunks, values in zip(columns, zip(*batch, strict=True), strict=True):
            chunks.append(pa.array(values, pa.string()))
    return pa.Table.from_arrays([pa.chunked_array(chunks, pa.string()) for chunks in columns], names=names)


def tell_of_swallowed(split: Split, delimiter: str) -> None:
    """Tell of quoted texts that have lines with as many delimiters as a row: rows that a quote may have swallowed."""
    other, count = f"[^{delimiter}\r\n]*", split.table.num_columns - 1
    if not 0 < count < 1000:  # RE2 repeats nothing oftener
        return
    pattern = rf"(?m)^{other}(?:{delimiter}{other}){{{count}}}\r?$"
    found: dict[int, int] = {}
    for column in split.table.columns:
        rows = pc.indices_nonzero(pc.match_substring_regex(column, "[\r\n]"))
        taken = pc.count_substring_regex(column.take(rows), pattern)
        found |= {row: n for row, n in zip(rows.to_pylist(), taken.to_pylist(), strict=True) if n}
    if found:
        first = min(found)
        more = f" (and in {len(found) - 1} more)" if len(found) > 1 else ""
        told = f"a quoted text takes {found[first]} lines that look like rows of their own{more}"
        log.warning("%s: %s; %s", split.where(first), told, NO_QUOTES)
