"""Tables that are in memory already, in the place of files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import datasets
import pandas as pd
import pyarrow as pa

from lit_react.core.errors import UserError
from lit_react.data.tables import Split, decoded

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
        try:
            arrow = pa.Table.from_pandas(table, preserve_index=False).replace_schema_metadata(None)
        except (pa.ArrowException, TypeError, ValueError) as error:
            raise UserError(f"{place}: a column mixes types: {' '.join(str(error).split())}") from error
    elif isinstance(table, pa.Table):
        arrow = table
    else:
        kind = type(table).__name__
        raise UserError(f"{place}: a {kind}, expected a pandas frame, a datasets.Dataset or an Arrow table")
    if arrow.num_rows == 0:
        raise UserError(f"{place}: empty: expected at least one row")
    return Split(decoded(arrow), place)


def as_splits(source: object, train: str) -> Mapping[str, Split]:
    """The splits of a source in memory by name; a single table is the split `train`."""
    if isinstance(source, Mapping):
        return {str(name): as_split(table, f"split {str(name)!r}") for name, table in source.items()}
    return {train: as_split(source, f"the {type(source).__name__}")}
