"""Sets of labels: a row has any number of them, none included."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lit_react.core.errors import UserError, WrongColumn
from lit_react.data.cells import label_lists
from lit_react.data.classes import Named, declared_names, lists_of, named_in_lists, number
from lit_react.data.columns import is_list, is_string
from lit_react.data.tables import Source, Split

NAMES = pa.list_(pa.string())


def number_label_sets(
    tables: Mapping[str, Split],
    text_column: str,
    label_column: str,
    label_names: Sequence[str] | None = None,
    separator: str = "|",
) -> Source:
    """Number the labels of a data set whose rows have sets of them, as sorted lists of ids; see `number_classes`.

    A set is a list of names or of ids; a 0 or 1 for each label ("multi-hot", numbers or booleans); or one string, of
    names with a separator between them, or of a list. An empty list is the empty set, and so is the separator alone;
    null and an empty string mean "unknown". Names are classes in sorted order; ids are named by the hub's class names,
    else by their digits, in numeric order, unless `label_names` are words: then ids are positions in it, as zeros and
    ones always are.

    Raises:
        UserError: as `number_classes`; an id is in a list twice; lists of 0 and 1 may be either.
    """
    found = {part: _lists(split, label_column, separator) for part, split in tables.items() if split.has(label_column)}
    numbers = {part: lists for part, lists in found.items() if not is_string(lists.type.value_type)}
    are_hot = _are_hot({part: lists for part, lists in numbers.items() if len(lists.flatten())}, tables, label_column)

    def named(part: str, explicit: list[str] | None) -> Named:
        if are_hot and part in numbers:
            return _names_at_ones(tables[part], label_column, numbers[part], explicit)
        return named_in_lists(tables[part], label_column, found[part], explicit, "names or ids")

    return number(tables, text_column, label_column, label_names, named, label_of=_as_sets)


def names_in(text: str, separator: str) -> list[str]:
    """The names in a string; none in the separator alone."""
    return [name for name in (part.strip() for part in text.split(separator)) if name]


def _lists(split: Split, column: str, separator: str) -> pa.ListArray:
    values = label_lists(split, column, of_text=lambda text: names_in(text, separator))
    if not (is_list(values.type) or pa.types.is_null(values.type)):
        raise WrongColumn(
            f"{split.place}: column {column!r} holds {values.type}: expected a list of names or ids, or a string of "
            f"names with {separator!r} between them"
        )
    lists = lists_of(split, column, values, "names or ids")
    kind = lists.type.value_type
    if pa.types.is_nested(kind):
        raise WrongColumn(f"{split.place}: column {column!r} holds {values.type}: expected lists of names or ids")
    if not is_string(kind):
        return lists
    return pa.array([names and [name and name.strip() for name in names] for names in lists.to_pylist()], NAMES)


def _are_hot(numbers: Mapping[str, pa.ListArray], tables: Mapping[str, Split], column: str) -> bool:
    """Whether lists of numbers, not all empty, have a 0 or 1 for each label; as ids, none could be there twice.

    Raises:
        UserError: they are neither ids nor that, or may be both.
    """
    if not numbers:
        return False
    values = np.concatenate([_floats(lists) for lists in numbers.values()])
    lengths = np.concatenate([np.asarray(pc.list_value_length(lists.drop_null())) for lists in numbers.values()])
    may_be = bool(lengths[0] > 1 and (lengths == lengths[0]).all() and np.isin(values, (0, 1)).all())
    are_ids = all(pa.types.is_integer(lists.type.value_type) for lists in numbers.values())
    twice = next(((part, row) for part, lists in numbers.items() if (row := _first_repeat(lists)) is not None), None)
    if may_be and (twice or not are_ids):
        return True
    place = f"{tables[next(iter(numbers))].place}: column {column!r}"
    if may_be:
        raise UserError(f"{place}: [0, 1] may be two ids, or a 0 or 1 for each of two labels: expected names")
    if twice:
        part, row = twice
        raise UserError(
            f"{tables[part].where(row)}: column {column!r}: {numbers[part][row].as_py()} has an id twice: expected "
            "different ids, or in all rows lists of one length, a 0 or 1 for each label"
        )
    if any(pa.types.is_boolean(lists.type.value_type) for lists in numbers.values()):
        raise UserError(f"{place}: expected lists of one length, a boolean for each label")
    return False


def _floats(lists: pa.ListArray) -> NDArray[np.float64]:
    return np.asarray(lists.flatten().cast(pa.float64(), safe=False), dtype=np.float64)


def _first_repeat(lists: pa.ListArray) -> int | None:
    """The first row with an entry that is there twice."""
    rows, values = np.asarray(pc.list_parent_indices(lists)), _floats(lists)
    order = np.lexsort((values, rows))
    same = (np.diff(rows[order]) == 0) & (np.diff(values[order]) == 0)
    return int(rows[order][:-1][same][0]) if same.any() else None


def _names_at_ones(split: Split, column: str, lists: pa.ListArray, explicit: list[str] | None) -> Named:
    """The names of the ones of each list; without names, those are the positions."""
    width = int(pc.max(pc.list_value_length(lists)).as_py() or 0)
    names = explicit or declared_names(split, column) or [str(place) for place in range(width)]
    if len(names) != width:
        raise UserError(
            f"{split.place}: column {column!r} has lists of {width} zeros and ones: expected {width} names, got "
            f"{len(names)} ({', '.join(names[:10])})"
        )
    rows = [row and [name for name, is_there in zip(names, row, strict=True) if is_there] for row in lists.to_pylist()]
    return pa.array(rows, NAMES), names


def _as_sets(ids: pa.ListArray) -> pa.ListArray:
    return pa.array([row and sorted(set(row)) for row in ids.to_pylist()], ids.type)
