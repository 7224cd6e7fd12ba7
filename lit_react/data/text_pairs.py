"""Pairs of texts: a source, and the targets that people write for it."""

from __future__ import annotations

from collections.abc import Mapping

import datasets
import pyarrow as pa
import pyarrow.compute as pc

from lit_react.annotation.answers import Label
from lit_react.core.errors import WrongColumn
from lit_react.data.cells import label_lists
from lit_react.data.columns import is_list, is_string
from lit_react.data.tables import Source, Split

REFERENCES = "references"
"""Column with lists of further targets that are right, where the data has one."""


def texts_of(label: Label) -> list[str]:
    """The targets of a label, which is one text or a list of texts; the first one trains."""
    return [label] if isinstance(label, str) else label


def read_pairs(tables: Mapping[str, Split], text_column: str, label_column: str) -> Source:
    """Sources and targets of a data set; errors name file, row or column.

    A column of either may hold strings or lists of strings. A list in the sources' column has the sentences of one
    text; a list in the targets' column, or in a column `references` beside it, has several targets that are right.
    Null, "" and [] are unknown targets; the pool may lack the column, and where it is "", nothing is read of any.
    """
    parts: dict[str, datasets.Dataset] = {}
    for part, split in tables.items():
        sources = _joined(split, text_column)
        split.having(label_column, required=part != "pool")
        targets = _targets(split, label_column, part != "pool")
        parts[part] = split.dataset(text_column, sources, label_column, targets)
    return Source(**parts, label_names=[])


def _targets(split: Split, column: str, required: bool) -> pa.ChunkedArray:
    """Strings [n], or lists of strings where a row may have several; null where unknown."""
    columns = {name: label_lists(split, name) for name in (column, REFERENCES) if column and split.has(name)}
    rows: list[list[str]] = [[] for _ in range(split.table.num_rows)]
    for name, values in columns.items():
        kind = values.type
        if not (pa.types.is_null(kind) or is_string(kind) or _is_list_of_strings(kind)):
            raise WrongColumn(f"{split.place}: column {name!r} holds {kind}: expected strings, or lists of strings")
        for texts, value in zip(rows, values.to_pylist(), strict=True):
            given = [value] if isinstance(value, str) else value or []
            texts += [text for text in dict.fromkeys(given) if text and text.strip() and text not in texts]
    if required and [] in rows:
        raise split.unlabeled(rows.index([]))
    if any(_is_list_of_strings(values.type) for values in columns.values()):
        return pa.chunked_array([pa.array([texts or None for texts in rows], pa.list_(pa.string()))])
    return pa.chunked_array([pa.array([texts[0] if texts else None for texts in rows], pa.string())])


def _joined(split: Split, column: str) -> pa.ChunkedArray:
    """Texts, also of a column of sentences."""
    if split.has(column) and _is_list_of_strings((sentences := split.column(column)).type):
        split = split.with_column(column, pc.binary_join(sentences, " "))
    return split.texts(column)


def _is_list_of_strings(kind: pa.DataType) -> bool:
    return is_list(kind) and (is_string(kind.value_type) or pa.types.is_null(kind.value_type))  # null: all are empty
