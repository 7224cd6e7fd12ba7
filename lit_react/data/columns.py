"""Columns of Arrow tables: their types, values of several types, a column's values a batch at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import Any

import pyarrow as pa

MIXED = b"mixed"
"""Key in a field's metadata: its values are of several types, kept as JSON texts."""

BATCH = 10_000
"""Rows that are Python objects at once."""


def is_string(kind: pa.DataType) -> bool:
    """Whether a column of this type holds strings, of whatever size."""
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)


def is_list(kind: pa.DataType) -> bool:
    """Whether a column of this type holds lists, of whatever size."""
    return pa.types.is_list(kind) or pa.types.is_large_list(kind)


def is_mixed(field: pa.Field) -> bool:
    """Whether a column's values are of several types, kept as JSON texts."""
    return field.metadata is not None and MIXED in field.metadata


def plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column in the types that tasks know: views, dictionaries and the like give way to what they stand for."""
    kind = _plain(column.type)
    if kind == column.type:
        return column
    if isinstance(column.type, pa.BaseExtensionType):
        column = pa.chunked_array([chunk.storage for chunk in column.chunks], column.type.storage_type)
    try:
        cast = column.cast(kind)
        cast.validate(full=True)  # pyarrow 26 makes invalid lists of list views
        return cast
    except pa.ArrowException:
        return pa.chunked_array([pa.array(chunk.to_pylist(), kind) for chunk in column.chunks], kind)


def _plain(kind: pa.DataType) -> pa.DataType:
    if isinstance(kind, pa.BaseExtensionType):
        return _plain(kind.storage_type)
    if pa.types.is_dictionary(kind) or pa.types.is_run_end_encoded(kind):
        return _plain(kind.value_type)
    if pa.types.is_string_view(kind):
        return pa.large_string()
    if pa.types.is_struct(kind):
        return pa.struct([pa.field(field.name, _plain(field.type)) for field in kind])
    if pa.types.is_large_list(kind) or pa.types.is_large_list_view(kind):
        return pa.large_list(_plain(kind.value_type))
    if is_list(kind) or pa.types.is_list_view(kind) or pa.types.is_fixed_size_list(kind):
        return pa.list_(_plain(kind.value_type))
    return kind


def each(column: pa.ChunkedArray) -> Iterator[Any]:
    """The values of a column, of which no more than `BATCH` are Python objects at once."""
    return chain.from_iterable(batch[0].to_pylist() for batch in pa.table([column], ["_"]).to_batches(BATCH))


def column_of(values: Iterable[Any], kind: pa.DataType) -> pa.ChunkedArray:
    """A column of values, of which no more than `BATCH` are Python objects at once."""
    stream = iter(values)
    return pa.chunked_array(iter(lambda: pa.array(list(islice(stream, BATCH)), kind), pa.array([], kind)), kind)


def first_line(error: Exception) -> str:
    """The first line of what an error says."""
    return next(iter(str(error).splitlines()), type(error).__name__)
