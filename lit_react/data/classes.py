"""Labels with names: which names there are, in which order, and the ids of each row's."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lit_react.core.errors import UserError, WrongColumn
from lit_react.data.cells import label_lists
from lit_react.data.columns import is_list, is_string
from lit_react.data.tables import Source, Split

Named = tuple[pa.Array, list[str]]
"""Labels as names, strings [n] or lists of strings, null where unknown; and all names in the order of their ids."""

INVISIBLE = frozenset("\u034f\u115f\u1160\u3164\uffa0\N{VARIATION SELECTOR-15}\N{VARIATION SELECTOR-16}")
"""Characters without a shape that Unicode does not count among the format characters."""

INTEGER = re.compile(r"-?\d+")


def number_classes(
    tables: Mapping[str, Split], text_column: str, label_column: str, label_names: Sequence[str] | None = None
) -> Source:
    """Number the classes of a data set.

    Strings are classes in sorted order; integers are named by the hub's class names, else by a string column
    `<label_column>_name` beside them, else by their digits, in numeric order. Labels of CSV and TSV files are
    always strings ("1" and "01" differ). A list of one label is that label. A null, an empty string or list and a
    number that is none mean "unknown", and so does -1 where names are given that are not integers.
    A data set's own column `text` or `label` gives way to the chosen one.

    Args:
        tables: `pool`, and `validation` and `test` where they are.
        text_column: column of the texts.
        label_column: column of the labels; the pool may lack it.
        label_names: all classes in order; plain integer labels are then ids into it, unless it holds integers.

    Raises:
        UserError: in one line, the file, row or option that is wrong.
    """

    def named(part: str, explicit: list[str] | None) -> Named:
        split = tables[part]
        labels = _single(split, label_column, label_lists(split, label_column))
        return _named(split, label_column, labels, explicit, range(split.table.num_rows))

    return number(tables, text_column, label_column, label_names, named)


def _single(split: Split, column: str, labels: pa.Array) -> pa.Array:
    """The label of each list, null where there is none."""
    if not is_list(labels.type):
        return labels
    lengths = pc.fill_null(pc.list_value_length(labels), 0)
    row = pc.index(pc.greater(lengths, 1), True).as_py()
    if row >= 0:
        raise WrongColumn(
            f"{split.where(row)}: column {column!r} holds lists, {lengths[row]} labels here: expected one for each text"
        )
    entries = pc.list_flatten(labels)
    places = np.cumsum(lengths.to_numpy()) - 1
    return entries.take(pa.array(np.where(lengths.to_numpy() > 0, places, 0), mask=lengths.to_numpy() == 0))


def number(
    tables: Mapping[str, Split],
    text_column: str,
    label_column: str,
    label_names: Sequence[str] | None,
    named: Callable[[str, list[str] | None], Named],
    spelled: Callable[[list[str]], list[str]] = list,
    label_of: Callable[[pa.Array], pa.Array] = lambda ids: ids,
) -> Source:
    """Number what labels are made of; names are the user's, else the pool's, else those of all splits.

    `named` says what the labels of a split (by its name) are, where the user gives these names; `spelled` makes of the
    names what labels hold, by id; `label_of` makes the labels of the ids of each row. For the others, see
    `number_classes`.
    """
    explicit = checked_names(label_names)
    texts = {part: split.texts(text_column) for part, split in tables.items()}
    columns: dict[str, Named] = {}
    for part, split in tables.items():
        given = split.having(label_column, required=part != "pool")
        columns[part] = named(part, explicit) if given else (pa.nulls(split.table.num_rows, pa.string()), [])
    names = explicit or columns["pool"][1] or _union(order for _, order in columns.values())
    _check_looks(names)
    parts: dict[str, datasets.Dataset] = {}
    for part, split in tables.items():
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


def lists_of(split: Split, column: str, values: pa.Array, expected: str) -> pa.ListArray:
    """A column of lists, null where a row is."""
    if pa.types.is_null(values.type):
        return pa.nulls(len(values), pa.list_(pa.string()))
    if not is_list(values.type):
        raise WrongColumn(f"{split.place}: column {column!r} holds {values.type}: expected lists of {expected}")
    return values.cast(pa.list_(values.type.value_type))


def with_strings(split: Split, column: str, lists: pa.ListArray, strings: pa.Array, expected: str) -> pa.ListArray:
    """Lists of the same lengths and nulls that hold these strings, none of which may be null."""
    if strings.null_count:
        row = pc.list_parent_indices(lists)[pc.index(pc.is_null(strings), True).as_py()].as_py()
        raise UserError(f"{split.where(row)}: a null in column {column!r}: expected {expected}")
    return _like(lists, strings.cast(pa.string()))


def named_in_lists(split: Split, column: str, values: pa.Array, explicit: list[str] | None, expected: str) -> Named:
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
    labels: pa.Array,
    explicit: list[str] | None,
    rows: Sequence[int],
) -> Named:
    """Labels of a column, or what its lists have, by name; `rows` tells the row of each."""
    undefined = explicit is not None and "-1" not in explicit
    if pa.types.is_null(labels.type):
        return labels.cast(pa.string()), []
    if is_string(labels.type) or pa.types.is_boolean(labels.type):
        labels = labels.cast(pa.string())
        blank = pc.is_in(pc.utf8_trim_whitespace(labels), value_set=pa.array(["", "-1"] if undefined else [""]))
        labels = _null_where(blank, labels)
        return labels, sorted(pc.unique(labels.drop_null()).to_pylist())
    if pa.types.is_floating(labels.type):  # pandas writes integers with gaps as floats
        labels = _null_where(pc.is_nan(labels), labels)
    try:
        ids = labels.cast(pa.int64())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise WrongColumn(
            f"{split.place}: column {column!r} holds {labels.type}: expected strings or integers"
        ) from error
    if undefined:
        ids = _null_where(pc.equal(ids, -1), ids)
    values, names = _names_of_ids(split, column, ids, explicit)
    if -1 not in values:
        ids = _null_where(pc.equal(ids, -1), ids)
    positions = pc.index_in(ids, value_set=pa.array(values, pa.int64()))
    strange = pc.index(pc.and_(pc.is_valid(ids), pc.is_null(positions)), True).as_py()
    if strange >= 0:
        raise UserError(f"{split.where(rows[strange])}: label {ids[strange]} is not one of {len(names)} named classes")
    return pa.array(names, pa.string()).take(positions), names


def _names_of_ids(split: Split, column: str, ids: pa.Array, explicit: list[str] | None) -> tuple[list[int], list[str]]:
    """All ids in order, and their names."""
    beside = f"{column}_name"
    declared = declared_names(split, column)
    if declared is not None:
        return list(range(len(declared))), declared
    if split.has(beside) and is_string(split.field(beside).type):
        pairs = pa.table({"id": ids, "name": split.column(beside)}).group_by(["id", "name"]).aggregate([])
        pairs = pairs.drop_null().sort_by("id")
        values, names = pairs["id"].to_pylist(), pairs["name"].to_pylist()
        if len(set(values)) < len(values) or len(set(names)) < len(names):
            raise UserError(f"{split.place}: columns {column!r} and {beside!r}: expected one name for each id")
        return values, names
    if explicit is not None and not all(map(INTEGER.fullmatch, explicit)):
        return list(range(len(explicit))), explicit
    values = sorted(pc.unique(ids.drop_null()).to_pylist())
    return values, [str(value) for value in values]


def declared_names(split: Split, column: str) -> list[str] | None:
    """The hub's names of a column's ids, or of those in its lists; None: it says none."""
    table = split.table
    if column not in table.column_names or b"huggingface" not in (table.schema.metadata or {}):
        return None
    schema = pa.schema([table.schema.field(column)], table.schema.metadata)
    feature = datasets.Features.from_arrow_schema(schema)[column]
    feature = getattr(feature, "feature", feature)  # of a list's entries
    return list(feature.names) if isinstance(feature, datasets.ClassLabel) else None


def _null_where(mask: pa.Array, values: pa.Array) -> pa.Array:
    return pc.if_else(pc.fill_null(mask, False), pa.scalar(None, values.type), values)


def look(name: str) -> str:
    """What people see of a name: characters in one form, without invisible ones, one space in place of many."""
    visible = "".join(sign for sign in name if unicodedata.category(sign) != "Cf" and sign not in INVISIBLE)
    return " ".join(unicodedata.normalize("NFC", visible).split())


def _check_looks(names: Iterable[str]) -> None:
    """Names that look the same are one class to people."""
    seen: dict[str, str] = {}
    for name in names:
        if (other := seen.setdefault(look(name), name)) != name:
            raise UserError(f"labels {other!r} and {name!r} look the same ({other!a}, {name!a}): expected one of them")


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
        label = strings[unknown].as_py()
        listed = ", ".join(names[:10]) + (" …" if len(names) > 10 else "")
        more = "" if source == "label_names" else " (label_names can name more)"
        alike = [ascii(name) for name in names if look(name) == look(label)]
        hint = f"; it looks like one of them: it is {label!a}, not {alike[0]}" if alike else ""
        raise UserError(f"{split.where(row)}: label {label!r} is not one of {source}{more}: {listed}{hint}")
    return _like(labels, ids) if in_lists else ids
