"""Sets of labels: a row has any number of them, none included."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa

from lit_react.core.errors import UserError
from lit_react.data.classes import Named, named_in_lists, number
from lit_react.data.tables import Source, Split, is_list, is_string

NAMES = pa.list_(pa.string())


def number_label_sets(
    tables: Mapping[str, Split],
    text_column: str,
    label_column: str,
    label_names: Sequence[str] | None = None,
    separator: str = "|",
) -> Source:
    """Number the labels of a data set whose rows have sets of them, as sorted lists of ids; see `number_classes`.

    A set is a list of names or of ids, or one string of names with a separator between them, as CSV files have it.
    An empty list is the empty set, and so is the separator alone; null and an empty string mean "unknown". Names are
    classes in sorted order; ids are named by the hub's class names, else by their digits, in numeric order, unless
    `label_names` are words: then ids are positions in it.
    """

    def named(split: Split, explicit: list[str] | None) -> Named:
        values = split.table[label_column]
        if is_string(values.type):
            values = pa.array([names_in(text, separator) if text else None for text in values.to_pylist()], NAMES)
        elif is_list(values.type) and is_string(values.type.value_type):
            stripped = [names and [name and name.strip() for name in names] for names in values.to_pylist()]
            values = pa.array(stripped, NAMES)
        elif not (is_list(values.type) or pa.types.is_null(values.type)):
            raise UserError(
                f"{split.place}: column {label_column!r} holds {values.type}: expected a list of names or ids, or a "
                f"string of names with {separator!r} between them"
            )
        return named_in_lists(split, label_column, values, explicit, "names or ids")

    return number(tables, text_column, label_column, label_names, named, label_of=_as_sets)


def names_in(text: str, separator: str) -> list[str]:
    """The names in a string; none in the separator alone."""
    return [name for name in (part.strip() for part in text.split(separator)) if name]


def _as_sets(ids: pa.ListArray) -> pa.ListArray:
    return pa.array([row and sorted(set(row)) for row in ids.to_pylist()], ids.type)
