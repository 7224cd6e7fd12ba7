"""What is allowed in a data set and seldom meant."""

from __future__ import annotations

import datasets
import pyarrow as pa
import pyarrow.compute as pc

from lit_react.core.errors import UserError
from lit_react.data.tables import Source

ENOUGH = 20
"""Labels from which on most classes should be there twice."""


def warnings_of(splits: Source) -> list[str]:
    """A line for each: texts of validation and test that the pool has too, empty texts, labels that look like none.

    Nothing is said of texts where there is no column `text`.

    Raises:
        UserError: all texts of the pool are empty.
    """
    found = _of_labels(splits)
    if "text" not in splits.pool.column_names:
        return found
    pool = _texts(splits.pool)
    for name, table in (("validation", splits.validation), ("test", splits.test)):
        if table is not None and (copies := _count(pc.is_in(_texts(table), value_set=pool))):
            found.append(f"{copies} of {len(table)} {name} texts are in the pool too, which flatters what they measure")
    if empty := _count(pc.equal(pc.utf8_trim_whitespace(pool), "")):
        if empty == len(pool):
            raise UserError(f"all {empty} texts of the pool are empty: is data.text_column theirs?")
        found.append(f"{empty} of {len(pool)} texts of the pool are empty: a label for one costs as much as another")
    return found


def _of_labels(splits: Source) -> list[str]:
    found: list[str] = []
    bare: dict[str, str] = {}
    for name in splits.label_names or []:
        if (other := bare.setdefault(name.casefold(), name)) != name:
            found.append(f"labels {other!r} and {name!r} differ by their case only: they are two classes")
    labels = splits.pool.select_columns(["label"]).with_format("arrow")[:]["label"].drop_null()
    if pa.types.is_integer(labels.type) and len(labels) >= ENOUGH:
        sizes = pc.value_counts(labels).field("counts")
        once = _count(pc.equal(sizes, 1))
        if 2 * once > len(sizes):
            found.append(f"{once} of {len(sizes)} labels are there once in the pool: is data.label_column theirs?")
    return found


def _texts(table: datasets.Dataset) -> pa.Array:
    column = table.select_columns(["text"]).with_format("arrow")[:]["text"].cast(pa.large_string())
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], pa.large_string())


def _count(where: pa.Array) -> int:
    return pc.sum(where).as_py() or 0
