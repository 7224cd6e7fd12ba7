"""Tables that are in memory already, in the place of files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeAlias

import datasets
import pandas as pd
import pyarrow as pa

from lit_react.core.errors import UserError
from lit_react.data.columns import MIXED
from lit_react.data.tables import Split

InMemory: TypeAlias = pd.DataFrame | datasets.Dataset | pa.Table
"""One split; a row is a text."""


def as_split(table: InMemory | Split, place: str) -> Split:
    """A table as it was read; `place` names it in errors.

    A frame's index is no column; the class names of a `datasets.ClassLabel` are kept.

    Raises:
        UserError: it is none of the kinds, or has no rows.
    """
    if isinstance(table, Split):
        return table
    if isinstance(table, datasets.Dataset):
        metadata = table.features.arrow_schema.metadata
        arrow: pa.Table = table.with_format("arrow")[:]
        arrow = arrow.replace_schema_metadata(metadata)
    elif isinstance(table, pd.DataFrame):
        columns = [_column(values) for _, values in table.items()]
        fields = [pa.field(str(name), *column[1:]) for name, column in zip(table.columns, columns, strict=True)]
        arrow = pa.Table.from_arrays([column[0] for column in columns], schema=pa.schema(fields))
    elif isinstance(table, pa.Table):
        arrow = table
    else:
        kind = type(table).__name__
        raise UserError(f"{place}: a {kind}, expected a pandas frame, a datasets.Dataset or an Arrow table")
    if arrow.num_rows == 0:
        raise UserError(f"{place}: empty: expected at least one row")
    return Split(arrow, place)


def _column(values: pd.Series[Any]) -> tuple[pa.Array, pa.DataType, bool, dict[bytes, bytes] | None]:
    """Values, type, whether there may be nulls, and metadata, see `MIXED`."""
    try:
        column = pa.array(values, from_pandas=True)
        return column, column.type, True, None
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        texts = [None if value is None else json.dumps(value, default=str) for value in values]
        return pa.array(texts, pa.string()), pa.string(), True, {MIXED: b""}


def as_splits(source: object, train: str) -> Mapping[str, Split]:
    """The splits of a source in memory by name; a single table is the split `train`."""
    if isinstance(source, Mapping):
        return {str(name): as_split(table, f"split {str(name)!r}") for name, table in source.items()}
    return {train: as_split(source, f"the {type(source).__name__}")}
