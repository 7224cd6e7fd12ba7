"""Rows that are JSON objects: a line each, over several lines, or in an array."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa

from lit_react.core.errors import UserError
from lit_react.core.text_files import open_text
from lit_react.data.columns import MIXED
from lit_react.data.tables import Row, in_batches

CHUNK = 1 << 20
"""Characters that are read at once."""

GAP = re.compile(r"[\s,\[\]]*")
"""What may stand between objects: white space, or the signs of an array."""


def json_rows(path: Path, encoding: str | None) -> Iterator[Row]:
    """The objects of a file, packed or not; no more than one and a chunk of text are held at once.

    Raises:
        UserError: the line and character at which it is no JSON, or what is there in place of an object.
    """
    decoder = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant)
    with open_text(path, encoding, "data.encoding") as text:
        buffer, place, line, depth = "", 0, 1, 0
        while True:
            gap = GAP.match(buffer, place)
            assert gap is not None, "it may be empty"
            depth += gap[0].count("[") - gap[0].count("]")
            line, place = line + gap[0].count("\n"), gap.end()
            if place == len(buffer):
                buffer, place = text.read(CHUNK), 0
                if buffer:
                    continue
                break
            try:
                value, end = decoder.raw_decode(buffer, place)
            except (ValueError, RecursionError) as error:
                more = text.read(max(CHUNK, len(buffer) - place)) if _is_cut(error, buffer) else ""
                if not more:
                    raise UserError(f"{path}:{_fault(error, buffer, place, line)}") from error
                buffer, place = buffer[place:] + more, 0
                continue
            if not isinstance(value, dict):
                raise UserError(f"{path}:{line}: expected JSON objects, got a {type(value).__name__}")
            yield line, value
            line, place = line + buffer.count("\n", place, end), end
        if depth:
            raise UserError(f"{path}:{line}: the array has no end: expected ]")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)!r} is there twice in an object")
    return found


def _constant(name: str) -> float | None:
    """Python writes NaN where there is no value."""
    return None if name == "NaN" else float(name)


def _is_cut(error: Exception, buffer: str) -> bool:
    """Whether what is wrong may be that the buffer ends too early."""
    if not isinstance(error, json.JSONDecodeError):
        return False
    return error.msg.startswith("Unterminated string") or error.pos > len(buffer) - 10


def _fault(error: Exception, buffer: str, place: int, line: int) -> str:
    """Line and reason; the value begins at a place of the buffer, in that line."""
    if isinstance(error, json.JSONDecodeError):
        line += buffer.count("\n", place, error.pos)
        character = error.pos - max(buffer.rfind("\n", 0, error.pos) + 1, place) + 1
        return f"{line}: not a JSON object: {error.msg} (character {character})"
    return f"{line}: {'lists in lists without end' if isinstance(error, RecursionError) else error}"


def object_columns(rows: Callable[[], Iterator[Row]]) -> pa.Table:
    """A column for each key, null where an object has none; values of several types become JSON texts, see `MIXED`.

    `rows` reads the file anew: it is called once more for each column of several types.
    """
    columns: dict[str, list[pa.Array | None]] = {}
    sizes: list[int] = []
    for batch in in_batches(rows()):
        for name in dict.fromkeys(chain.from_iterable(batch)):
            chunks = columns.setdefault(name, [])
            chunks += [pa.nulls(size) for size in sizes[len(chunks) :]]
            chunks.append(_array([row.get(name) for row in batch]))
        sizes.append(len(batch))
    arrays, fields = [], []
    for name, chunks in columns.items():
        column = _joined([*chunks, *(pa.nulls(size) for size in sizes[len(chunks) :])])
        metadata = None
        if column is None:
            texts = ([_as_json(row.get(name)) for row in batch] for batch in in_batches(rows()))
            column, metadata = pa.chunked_array([pa.array(chunk, pa.string()) for chunk in texts]), {MIXED: b""}
        arrays.append(column)
        fields.append(pa.field(name, column.type, metadata=metadata))
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields))


def _array(values: list[Any]) -> pa.Array | None:
    """None: there is no type for all of them, or none for one."""
    try:
        return pa.array(values)
    except (pa.ArrowException, OverflowError, UnicodeEncodeError):
        return None


def _joined(chunks: Sequence[pa.Array | None]) -> pa.ChunkedArray | None:
    """One column, of the type that holds all parts; None: there is none."""
    if any(chunk is None for chunk in chunks):
        return None
    try:
        tables = [pa.table({"column": chunk}) for chunk in chunks]
        return pa.concat_tables(tables, promote_options="permissive")["column"]
    except pa.ArrowException:
        return None


def _as_json(value: Any) -> str | None:
    return None if value is None else json.dumps(value)
