"""Sets of labels: a row has any number of them, none included."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import datasets
import pyarrow as pa

from lit_react.core.errors import UserError, WrongColumn
from lit_react.data.classes import checked_names, no_such_label
from lit_react.data.tables import Source, Split

Names = list[str] | None
"""The names of a row's labels; None where they are unknown."""


def number_label_sets(
    tables: Mapping[str, Split],
    text_column: str,
    label_column: str,
    label_names: Sequence[str] | None = None,
    separator: str = "|",
) -> Source:
    """Number the labels of a data set whose rows have sets of them.

    A set is a list of names or of ids, or one string of names with a separator between them, as CSV files have it.
    An empty list is the empty set, and so is the separator alone; null and an empty string mean "unknown". Names are
    classes in sorted order; ids are named by the hub's class names, else by their digits, in numeric order.

    Args:
        tables: `pool`, and `validation` and `test` where they are.
        text_column: column of the texts.
        label_column: column of the sets; the pool may lack it.
        label_names: all labels in order; ids are then positions in it, unless it holds integers.
        separator: between the names of a string.

    Returns:
        splits whose `label` is the sorted list of ids.

    Raises:
        UserError: in one line, the file, row or option that is wrong.
    """
    explicit = checked_names(label_names)
    texts = {part: split.texts(text_column) for part, split in tables.items()}
    named = {
        part: _named(split, label_column, explicit, separator)
        for part, split in tables.items()
        if label_column in split.table.column_names
    }
    of_pool = named["pool"] if any(named.get("pool", [])) else [names for rows in named.values() for names in rows]
    names = explicit or _hub_names(tables, label_column) or _in_order({name for row in of_pool for name in row or []})
    parts: dict[str, datasets.Dataset] = {}
    for part, split in tables.items():
        if part in named:
            ids = _ids(split, named[part], names, required=part != "pool", fixed=explicit is not None)
        elif part == "pool":
            ids = [None] * split.table.num_rows
        else:
            raise WrongColumn(split.lacks(label_column))
        column = pa.chunked_array([pa.array(ids, pa.list_(pa.int64()))])
        parts[part] = split.dataset(text_column, texts[part], label_column, column)
    return Source(parts["pool"], parts.get("validation"), parts.get("test"), names or None)


def names_in(text: str, separator: str) -> list[str]:
    """The names in a string; none in the separator alone."""
    return [name for name in (part.strip() for part in text.split(separator)) if name]


def _named(split: Split, column: str, explicit: list[str] | None, separator: str) -> list[Names]:
    """The names of each row's labels."""
    named = _hub_names({"": split}, column) or (explicit if _are_words(explicit) else None)
    rows: list[Names] = []
    for number, value in enumerate(split.table[column].to_pylist()):
        if value is None or value == "":
            rows.append(None)
        elif isinstance(value, str):
            rows.append(names_in(value, separator))
        elif isinstance(value, list):
            rows.append([_name(split, number, entry, named) for entry in value])
        else:
            raise UserError(
                f"{split.where(number)}: column {column!r} holds {value!r}: expected a list of names or ids, or a "
                f"string of names with {separator!r} between them"
            )
    return rows


def _name(split: Split, row: int, entry: Any, names: list[str] | None) -> str:
    """The name of one entry of a list."""
    if isinstance(entry, str) and entry.strip():
        return entry.strip()
    if not isinstance(entry, int) or isinstance(entry, bool):
        raise UserError(f"{split.where(row)}: label {entry!r} is no name and no id: expected a string or an integer")
    if names is None:
        return str(entry)
    if not 0 <= entry < len(names):
        raise UserError(f"{split.where(row)}: label {entry} is not one of {len(names)} named labels")
    return names[entry]


def _ids(split: Split, rows: list[Names], names: Sequence[str], *, required: bool, fixed: bool) -> list[Any]:
    """The sorted ids of each row, None where they are unknown."""
    id_of = {name: number for number, name in enumerate(names)}
    for number, row in enumerate(rows):
        if row is None and required:
            raise UserError(
                f"{split.where(number)}: no labels: expected a list, which may be empty, in every row of the "
                "validation and test data (the options validation and test can name another split)"
            )
        unknown = next((name for name in row or [] if name not in id_of), None)
        if unknown is not None:
            raise no_such_label(split, number, unknown, names, fixed=fixed)
    return [None if row is None else sorted({id_of[name] for name in row}) for row in rows]


def _hub_names(tables: Mapping[str, Split], column: str) -> list[str] | None:
    """The class names that the hub's features give the entries of the lists, where they do."""
    for split in tables.values():
        if column in split.table.column_names:
            schema = pa.schema([split.table.schema.field(column)], split.table.schema.metadata)
            entry = getattr(datasets.Features.from_arrow_schema(schema)[column], "feature", None)
            if isinstance(entry, datasets.ClassLabel):
                return list(entry.names)
    return None


def _are_words(names: list[str] | None) -> bool:
    return names is not None and not all(re.fullmatch(r"-?\d+", name) for name in names)


def _in_order(names: set[str]) -> list[str]:
    """Sorted; integers by their value."""
    return sorted(names, key=int) if all(re.fullmatch(r"-?\d+", name) for name in names) else sorted(names)
