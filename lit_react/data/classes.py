"""Classes: which labels there are, in which order, and the id of each row's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain

import datasets
import pyarrow as pa
import pyarrow.compute as pc

from lit_react.core.errors import UserError, WrongColumn
from lit_react.data.tables import Source, Split


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
    explicit = checked_names(label_names)
    texts = {part: split.texts(text_column) for part, split in tables.items()}
    named = {
        part: split.named_labels(label_column, explicit)
        for part, split in tables.items()
        if label_column in split.table.column_names
    }
    pool_names = named["pool"][1] if "pool" in named else []
    names = explicit or pool_names or _union(order for _, order in named.values())
    _check_spaces(names)
    parts: dict[str, datasets.Dataset] = {}
    for part, split in tables.items():
        if part in named:
            ids = _ids(split, named[part][0], names, required=part != "pool", fixed=explicit is not None)
        elif part == "pool":
            ids = pa.chunked_array([pa.nulls(split.table.num_rows, pa.int64())])
        else:
            raise WrongColumn(split.lacks(label_column))
        parts[part] = split.dataset(text_column, texts[part], label_column, ids)
    return Source(parts["pool"], parts.get("validation"), parts.get("test"), names or None)


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


def _ids(
    split: Split, labels: pa.ChunkedArray, names: Sequence[str], *, required: bool, fixed: bool
) -> pa.ChunkedArray:
    """Class ids, int64 [n], null where a label is; an error where a label is no class or is required."""
    ids = pc.index_in(labels, value_set=pa.array(names, pa.string()))
    unknown = pc.index(pc.and_(pc.is_valid(labels), pc.is_null(ids)), True).as_py()
    if unknown >= 0:
        raise no_such_label(split, unknown, labels[unknown].as_py(), names, fixed=fixed)
    if required and labels.null_count:
        row = pc.index(pc.is_null(labels), True).as_py()
        raise UserError(
            f"{split.where(row)}: no label: expected one in every row of the validation and test data "
            "(the options validation and test can name another split)"
        )
    return pc.cast(ids, pa.int64())


def no_such_label(split: Split, row: int, label: str, names: Sequence[str], *, fixed: bool) -> UserError:
    """A row has a label that is none of the names, which the user gave (`fixed`) or the pool's labels are."""
    what = "label_names" if fixed else "the pool's labels (label_names can name more)"
    listed = ", ".join(names[:10]) + (" …" if len(names) > 10 else "")
    return UserError(f"{split.where(row)}: label {label!r} is not one of {what}: {listed}")


def checked_names(label_names: Sequence[str] | None) -> list[str] | None:
    """The names, if they are different and none is empty."""
    if label_names is None:
        return None
    names = list(label_names)
    if not names or "" in names or len(set(names)) < len(names):
        raise UserError(f"label_names: expected different, non-empty names, got {names}")
    return names
