"""Files of every format, and what reading a source says that cannot be read."""

import json

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from tiny import load_source

from lit_react.core.errors import UserError

ROWS = {"text": ["one", "two", "three"], "label": ["b", "a", "b"]}


def write(path, columns=None, text=None):
    """Write columns in the format that the suffix names, or the text as it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.table(columns if columns is not None else ROWS)
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    elif path.suffix == ".parquet":
        pq.write_table(table, path)
    elif path.suffix in (".csv", ".tsv"):
        pa.csv.write_csv(table, path, pa.csv.WriteOptions(delimiter="\t" if path.suffix == ".tsv" else ","))
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in table.to_pylist()))
    return str(path)


def error(*args, **options):
    with pytest.raises(UserError) as caught:
        load_source(*args, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)
