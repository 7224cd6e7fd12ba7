"""Labels with names: which names there are, in which order, and the ids of each row's."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lit_react.core.errors import UserError, WrongColumn
from lit_react.data.tables import Source, Split, is_list, is_string

Named = tuple[pa.Array, list[str]]
"""Labels as names, strings [n] or lists of strings, null where unknown; and all names in the order of their ids."""

INTEGER = re.compile(r"-?\d+")


def number_classes(
    tables: Mapping[str, Split], text_column: str, label_column: str, label_names: Sequence[str] | None = None
) -> Source:
    """Number the classes of a data set.

    Strings are classes in sorted order; integers are named by the hub's class names, else by a string column
    `<label_column>_name` beside them, else by their digits, in numeric order. Labels of CSV and TSV files are
    always strings ("1" and "01" differ). A null, an empty string and the integer -1 mean "unknown".
    A data set's own column `text` or `label` gives way to the chosen one.

    Args:
        tables: `pool`, and `validation` and `test` where they are.
        text_column: column of the texts.
        label_column: column of the labels; the pool may lack it.
        label_names: all classes in order; plain integer labels are then ids into it, unless it holds integers.

    Raises:
        UserError: in one line, the file, row or option that is wrong.
    """

    def named(split: Split, explicit: list[str] | None) -> Named:
        return _named(split, label_column, split.table[label_column], explicit, range(split.table.num_rows))

    return number(tables, text_column, label_column, label_names, named)


def number(
    tables: Mapping[str, Split],
    text_column: str,
    label_column: str,
    label_names: Sequence[str] | None,
    named: Callable[[Split, list[str] | None], Named],
    spelled: Callable[[list[str]], list[str]] = list,
    label_of: Callable[[pa.Array], pa.Array] = lambda ids: ids,
) -> Source:
    """Number what labels are made of; names are the user's, else the pool's, else those of all splits.

    `named` says what a split's labels are, where the user gives these names; `spelled` makes of the names what labels
    hold, by id; `label_of` makes the labels of the ids of each row. For the others, see `number_classes`.
    """
    explicit = checked_names(label_names)
    texts = {part: split.texts(text_column) for part, split in tables.items()}
    splits = {part: split.having(label_column, required=part != "pool") for part, split in tables.items()}
    columns = {part: named(split, explicit) for part, split in splits.items()}
    names = explicit or columns["pool"][1] or _union(order for _, order in columns.values())
    _check_spaces(names)
    parts: dict[str, datasets.Dataset] = {}
    for part, split in splits.items():
        labels = columns[part][0]
        if part != "pool" and labels.null_count:
            raise split.unlabeled(pc.index(pc.is_null(labels), True).as_py())
        ids = _ids(split, labels, spelled(names), "label_names" if explicit else "the pool's labels")
        parts[part] = split.dataset(text_column, texts[part], label_column, label_of(ids))
    return Source(**parts, label_names=names or None)


def checked_names(label_names: Sequence[str] | None) -> list[str] | None:
    """The names, if they are different and none is empty."""
    if label_names is None:
        return None
    names = list(label_names)
    if not names or "" in names or len(set(names)) < len(names):
        raise UserError(f"label_names: expected different, non-empty names, got {names}")
    return names


def lists_of(split: Split, column: str, values: pa.ChunkedArray | pa.Array, expected: str) -> pa.ListArray:
    """A column of lists in one piece, null where a row is."""
    if pa.types.is_null(values.type):
        return pa.nulls(len(values), pa.list_(pa.string()))
    if not is_list(values.type):
        raise WrongColumn(
            f"{split.place}: column {column!r} holds {values.type}: expected lists of {expected}, as JSON lines and "
            "Parquet have them"
        )
    lists = values.cast(pa.list_(values.type.value_type))
    return lists.combine_chunks() if isinstance(lists, pa.ChunkedArray) else lists


def with_strings(split: Split, column: str, lists: pa.ListArray, strings: pa.Array, expected: str) -> pa.ListArray:
    """Lists of the same lengths and nulls that hold these strings, none of which may be null."""
    if strings.null_count:
        row = pc.list_parent_indices(lists)[pc.index(pc.is_null(strings), True).as_py()].as_py()
        raise UserError(f"{split.where(row)}: a null in column {column!r}: expected {expected}")
    return _like(lists, strings.cast(pa.string()))


def named_in_lists(
    split: Split, column: str, values: pa.ChunkedArray | pa.Array, explicit: list[str] | None, expected: str
) -> Named:
    """What a column of lists has, by name; `explicit` names integers that nothing else does."""
    lists = lists_of(split, column, values, expected)
    rows = pc.list_parent_indices(lists).to_pylist()
    strings, names = _named(split, column, pc.list_flatten(lists), explicit, rows)
    return with_strings(split, column, lists, strings, expected), names


def _like(lists: pa.ListArray, values: pa.Array) -> pa.ListArray:
    lengths = pc.fill_null(pc.list_value_length(lists), 0)
    offsets = np.concatenate([[0], np.cumsum(lengths.to_numpy())]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), values, mask=pc.is_null(lists))


def _named(
    split: Split,
    column: str,
    labels: pa.Array | pa.ChunkedArray,
    explicit: list[str] | None,
    rows: Sequence[int],
) -> Named:
    """Labels of a column, or what its lists have, by name; `rows` tells the row of each."""
    labels = labels.combine_chunks() if isinstance(labels, pa.ChunkedArray) else labels
    if pa.types.is_null(labels.type):
        return labels.cast(pa.string()), []
    if is_string(labels.type) or pa.types.is_boolean(labels.type):
        labels = labels.cast(pa.string())
        labels = _null_where(pc.equal(pc.utf8_trim_whitespace(labels), ""), labels)
        return labels, sorted(pc.unique(labels.drop_null()).to_pylist())
    if pa.types.is_floating(labels.type):  # pandas writes integers with gaps as floats
        labels = _null_where(pc.is_nan(labels), labels)
    try:
        ids = labels.cast(pa.int64())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise WrongColumn(
            f"{split.place}: column {column!r} holds {labels.type}: expected strings or integers"
        ) from error
    if explicit is None or "-1" not in explicit:
        ids = _null_where(pc.equal(ids, -1), ids)
    values, names = _names_of_ids(split, column, ids, explicit)
    positions = pc.index_in(ids, value_set=pa.array(values, pa.int64()))
    strange = pc.index(pc.and_(pc.is_valid(ids), pc.is_null(positions)), True).as_py()
    if strange >= 0:
        raise UserError(f"{split.where(rows[strange])}: label {ids[strange]} is not one of {len(names)} named classes")
    return pa.array(names, pa.string()).take(positions), names


def _names_of_ids(split: Split, column: str, ids: pa.Array, explicit: list[str] | None) -> tuple[list[int], list[str]]:
    """All ids in order, and their names."""
    table, beside = split.table, f"{column}_name"
    schema = pa.schema([table.schema.field(column)], table.schema.metadata)
    feature = datasets.Features.from_arrow_schema(schema)[column]
    feature = getattr(feature, "feature", feature)  # of a list's entries
    if isinstance(feature, datasets.ClassLabel):
        return list(range(feature.num_classes)), list(feature.names)
    if beside in table.column_names and is_string(table[beside].type):
        pairs = pa.table({"id": ids, "name": table[beside]}).group_by(["id", "name"]).aggregate([])
        pairs = pairs.drop_null().sort_by("id")
        values, names = pairs["id"].to_pylist(), pairs["name"].to_pylist()
        if len(set(values)) < len(values) or len(set(names)) < len(names):
            raise UserError(f"{split.place}: columns {column!r} and {beside!r}: expected one name for each id")
        return values, names
    if explicit is not None and not all(map(INTEGER.fullmatch, explicit)):
        return list(range(len(explicit))), explicit
    values = sorted(pc.unique(ids.drop_null()).to_pylist())
    return values, [str(value) for value in values]


def _null_where(mask: pa.Array, values: pa.Array) -> pa.Array:
    return pc.if_else(pc.fill_null(mask, False), pa.scalar(None, values.type), values)


def _check_spaces(names: Iterable[str]) -> None:
    """Names that differ by spaces around them are one class to people."""
    bare: dict[str, str] = {}
    for name in names:
        if (other := bare.setdefault(name.strip(), name)) != name:
            raise UserError(f"labels {other!r} and {name!r} differ by the spaces around them: expected one of them")


def _union(orders: Iterable[list[str]]) -> list[str]:
    """All names: in the first order's order where that has them all, else sorted."""
    lists = list(orders)
    everything = set(chain.from_iterable(lists))
    return next((order for order in lists if set(order) == everything), sorted(everything))


def _ids(split: Split, labels: pa.Array, names: Sequence[str], source: str) -> pa.Array:
    """Ids, int64 [n] or lists of them, null where a label is; an error where one is none of the names."""
    in_lists = is_list(labels.type)
    strings = pc.list_flatten(labels) if in_lists else labels
    ids = pc.cast(pc.index_in(strings, value_set=pa.array(names, pa.string())), pa.int64())
    unknown = pc.index(pc.and_(pc.is_valid(strings), pc.is_null(ids)), True).as_py()
    if unknown >= 0:
        row = pc.list_parent_indices(labels)[unknown].as_py() if in_lists else unknown
        listed = ", ".join(names[:10]) + (" …" if len(names) > 10 else "")
        more = "" if source == "label_names" else " (label_names can name more)"
        raise UserError(
            f"{split.where(row)}: label {strings[unknown].as_py()!r} is not one of {source}{more}: {listed}"
        )
    return _like(labels, ids) if in_lists else ids
