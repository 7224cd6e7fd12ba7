"""Tables in the formats of other programs."""

from __future__ import annotations

import io
import shutil
from pathlib import Path
from typing import Any, Literal, TypeAlias

import datasets
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from lit_react.core.errors import UserError
from lit_react.core.files import put_in_place, write_atomically, write_lines

Format: TypeAlias = Literal["csv", "jsonl", "parquet", "dataset"]

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
"""How a cell begins that a spreadsheet runs as a formula, or that becomes one once it is read."""


def write_table(table: pd.DataFrame, path: Path, form: Format, *, overwrite: bool = False) -> None:
    """Write a table whole or not at all.

    In CSV an apostrophe is put before what a spreadsheet would run as a formula (`FORMULA`), as OWASP recommends; the
    other formats have each value as it is.

    Args:
        table: of strings, numbers, yes and no, and JSON values.
        path: of the file; of `dataset` the folder, for `datasets.load_from_disk`.
        form: `csv`, `jsonl`, `parquet` or `dataset`.
        overwrite: whether what is there is replaced.

    Raises:
        UserError: something is there already, or a folder is to be replaced by something else.
    """
    if path.exists() and not overwrite:
        raise UserError(f"{path} is there already: expected a new name, or --overwrite true")
    if path.is_dir() and not (form == "dataset" and (path / "dataset_info.json").is_file()):
        raise UserError(f"{path} is a folder: expected the name of a file, or with --format dataset that of a data set")
    if form == "csv":
        write_atomically(path, table.rename(columns=harmless).map(harmless).to_csv(index=False).encode())
    elif form == "jsonl":
        write_lines(path, table.astype(object).where(table.notna(), None).to_dict("records"))
    elif form == "parquet":
        buffer = io.BytesIO()
        pq.write_table(pa.Table.from_pandas(table, preserve_index=False), buffer)
        write_atomically(path, buffer.getvalue())
    else:
        partial = path.with_name(f".{path.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        datasets.Dataset.from_pandas(table, preserve_index=False).save_to_disk(partial)
        if path.is_dir():
            shutil.rmtree(path)
        put_in_place(partial, path)


def harmless(cell: Any) -> Any:
    """A cell that no spreadsheet runs."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA) else cell
