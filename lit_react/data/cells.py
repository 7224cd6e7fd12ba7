"""Lists and objects that are written into cells of text, as JSON, Python and Label Studio write them."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from lit_react.core.errors import UserError
from lit_react.data.columns import is_mixed, is_string
from lit_react.data.tables import Split

OPENING = re.compile(r"\s*(\[|\{|\(\s*['\"\d]|(np\.)?array\()")
"""How a list or an object begins."""

ADJACENT = re.compile(r"(['\"])\s+(['\"])")
"""Two strings without a comma, as NumPy writes an array; Python reads them as one."""


ANNOTATIONS = "annotations"
"""Column of Label Studio's full export: what each person said; of nobody, if it is empty."""


def read_cell(cell: str) -> Any:
    """The list or object that a cell says; None where it is none, or not written so that it can be read."""
    if not OPENING.match(cell):
        return None
    try:
        return json.loads(cell)
    except (ValueError, RecursionError):
        pass
    if ADJACENT.search(cell):
        return None
    try:
        value = ast.literal_eval(cell.strip())
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return None
    return sorted(value, key=str) if isinstance(value, set) else list(value) if isinstance(value, tuple) else value


def label_lists(split: Split, name: str, of_text: Callable[[str], list[str]] | None = None) -> pa.Array:
    """A column of labels in one piece: lists where cells are lists, else what it holds.

    Objects `{"choices": […]}` are the lists in them. Of Label Studio's annotations the first that was not cancelled is
    read.

    Args:
        split: where the column is.
        name: of the column.
        of_text: what a cell without brackets means; None: itself, and cells with brackets none of which can be read are
            such cells too.

    Raises:
        UserError: a cell looks like a list and cannot be read, or cells hold values of several types.
    """
    if name == ANNOTATIONS and (chosen := _annotated(list(split.values(name)))) is not None:
        return chosen
    if is_mixed(split.field(name)):
        return _from_json(split, name)
    column = split.column(name)
    if pa.types.is_struct(column.type) and "choices" in {field.name for field in column.type}:
        column = pc.struct_field(column, "choices")
    if not is_string(column.type):
        return whole(column)
    cells = whole(column).dictionary_encode()
    texts: list[str] = cells.dictionary.to_pylist()
    listed = [text for text in texts if OPENING.match(text)]
    read = {text: value for text in listed if (value := _list_in(text)) is not None}
    if of_text is None and not read:
        return whole(column)
    strange = next((text for text in listed if text not in read), None)
    if strange is None:
        bare = of_text or _itself
        values = [read[text] if text in read else bare(text) if text.strip() else None for text in texts]
        if (lists := _array(values)) is not None:
            return lists.take(cells.indices)
        kinds = [(text, {*map(type, value)}) for text, value in zip(texts, values, strict=True) if value]
        strange = next((text for text, kind in kinds if len(kind) > 1 or kind != kinds[0][1]), kinds[0][0])
    where = split.where(pc.index(column, strange).as_py())
    raise UserError(
        f"{where}: column {name!r}: {strange[:60]!r} is no list as others are, or none that can be read: expected such "
        'as ["a", "b"], as JSON and Python write it'
    )


def objects(split: Split, name: str) -> pa.Array:
    """A column in one piece: objects where cells are objects, else what it holds.

    Raises:
        UserError: a cell looks like an object and cannot be read.
    """
    column = whole(split.column(name))
    if not is_string(column.type):
        return column
    texts = column.to_pylist()
    if not any(text and text.lstrip().startswith("{") for text in texts):
        return column
    values = [text and read_cell(text) for text in texts]
    strange = next((row for row, value in enumerate(values) if texts[row] and not isinstance(value, dict)), None)
    if strange is not None:
        raise UserError(f"{split.where(strange)}: column {name!r}: {texts[strange][:60]!r} is no object, as others are")
    return pa.array([value or None for value in values])


def word_lists(split: Split, name: str) -> pa.Array:
    """A column of words in one piece: lists where all cells are lists of strings, else what it holds."""
    column = whole(split.column(name))
    if not is_string(column.type) or column.null_count:
        return column
    cells = column.dictionary_encode()
    values = [_list_in(text) for text in cells.dictionary.to_pylist()]
    if not all(value is not None and all(isinstance(word, str) for word in value) for value in values):
        return column
    return pa.array(values, pa.list_(pa.string())).take(cells.indices)


def whole(column: pa.ChunkedArray) -> pa.Array:
    """A column in one piece."""
    found = column.combine_chunks()
    return pa.concat_arrays(found.chunks) if isinstance(found, pa.ChunkedArray) else found


def _annotated(rows: list[Any]) -> pa.Array | None:
    """What was chosen in each row, null where nobody has annotated it; None: these are no annotations."""
    lists = [row for row in rows if row is not None]
    if not all(
        isinstance(row, list) and all(isinstance(one, dict) and "result" in one for one in row) for row in lists
    ):
        return None
    said = (next((one["result"] for one in row or () if not one.get("was_cancelled")), None) for row in rows)
    chosen = [result and [name for each in result for name in each["value"].get("choices") or ()] for result in said]
    return pa.array(chosen, pa.list_(pa.string()))


def _from_json(split: Split, name: str) -> pa.Array:
    """A column of several types: names and lists of names."""
    values = [text and _as_list(json.loads(text)) for text in split.table[name].to_pylist()]
    names = all(value is None or all(isinstance(entry, str) for entry in value) for value in values)
    if not names or (lists := _array(values)) is None:
        raise UserError(split.conflict(name))
    return lists


def _as_list(value: Any) -> list[Any] | None:
    value = value.get("choices", [value]) if isinstance(value, dict) else value
    if value in (None, ""):
        return None
    return value if isinstance(value, list) else [value]


def _list_in(text: str) -> list[Any] | None:
    value = read_cell(text)
    value = value.get("choices") if isinstance(value, dict) else value
    return value if isinstance(value, list) else None


def _itself(text: str) -> list[str]:
    return [text]


def _array(values: list[list[Any] | None]) -> pa.Array | None:
    try:
        return pa.array(values)
    except (pa.ArrowException, OverflowError, UnicodeEncodeError):
        return None
