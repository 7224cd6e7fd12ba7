"""Entities of sentences: BIO tags in the data, lists of tag ids as labels, spans of words for people."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lit_react.core.errors import UserError, WrongColumn
from lit_react.data.classes import checked_names
from lit_react.data.tables import Source, Split, is_list, is_string
from lit_react.tasks.entity_metrics import spans

BIO = re.compile(r"O|[BI]-.+")
BIO_TAGS = "O, B-<type> or I-<type>"


def tag_names(types: Sequence[str]) -> list[str]:
    """Name of each tag id: O is 0, B-<type> of type k is 2k + 1, I-<type> is 2k + 2."""
    return ["O", *(f"{prefix}-{kind}" for kind in types for prefix in "BI")]


def types_of(tags: Iterable[str]) -> list[str]:
    """The types that BIO tags name, in the order of their first tag."""
    return list(dict.fromkeys(tag[2:] for tag in tags if tag != "O"))


def entities_of(tags: Sequence[int], types: Sequence[str]) -> list[dict[str, Any]]:
    """A list of tag ids as spans: `{"start": first word, "end": after the last word, "label": type}`."""
    names = tag_names(types)
    return [{"start": start, "end": end, "label": kind} for kind, start, end in spans([names[tag] for tag in tags])]


def tags_of(answer: Any, num_words: int, types: Sequence[str]) -> list[int]:
    """Spans as `entities_of` gives them, or a BIO tag for each word, as a list of tag ids.

    Raises:
        ValueError: it is neither, or spans overlap or lie outside the sentence.
    """
    names = tag_names(types)
    if isinstance(answer, list) and answer and all(isinstance(tag, str) for tag in answer):
        if len(answer) != num_words:
            raise ValueError(f"{len(answer)} tags: expected {num_words}, one for each token")
        unknown = next((tag for tag in answer if tag not in names), None)
        if unknown is not None:
            raise ValueError(f"unknown tag {unknown!r}: expected one of {', '.join(names)}")
        return [names.index(tag) for tag in answer]
    if not isinstance(answer, list) or not all(isinstance(entity, dict) for entity in answer):
        raise ValueError(
            'expected a list of entities {"start": first token, "end": after the last token, "label": type}, [] where '
            f"there is none, or a list of {num_words} BIO tags; got {answer!r}"
        )
    tags = [0] * num_words
    for entity in answer:
        start, end, tag = _span(entity, num_words, types)
        if any(tags[start:end]):
            raise ValueError(f"entity {start} to {end} overlaps another one: expected each token in at most one")
        tags[start:end] = [tag, *[tag + 1] * (end - start - 1)]
    return tags


def _span(entity: dict[str, Any], num_words: int, types: Sequence[str]) -> tuple[int, int, int]:
    """First word, word after the last, and tag id of the first word."""
    start, end, kind = (entity.get(key) for key in ("start", "end", "label"))
    if type(start) is not int or type(end) is not int or not 0 <= start < end <= num_words:
        raise ValueError(
            f"entity from {start!r} to {end!r}: expected integers, 0 <= start < end <= {num_words} (tokens)"
        )
    if kind not in types:
        raise ValueError(f"unknown label {kind!r}: expected one of {', '.join(types)}")
    return start, end, 2 * types.index(kind) + 1


def read_sentences(
    tables: Mapping[str, Split],
    words_column: str,
    tags_column: str,
    label_names: Sequence[str] | None,
    separator: str,
) -> Source:
    """Sentences with a tag id for each word.

    Tags are strings, or integers that the hub's class names or `label_names` name. A null instead of a list means
    "unknown"; that is allowed in the pool only.

    Args:
        tables: `pool`, and `validation` and `test` where they are.
        words_column: lists of words; `tokens` in the result.
        tags_column: lists of BIO tags of the same lengths; the pool may lack it.
        label_names: entity types in order; or the BIO tags in the order of their ids, which is what integers need
            that nothing else names. None: as the hub orders them, else sorted, from the pool's tags.
        separator: between the words of `text`, which people read.

    Raises:
        UserError: in one line, the file, row or option that is wrong.
    """
    explicit = checked_names(label_names)
    ids = explicit if explicit is not None and "O" in explicit else None
    words = {part: _words(split, words_column) for part, split in tables.items()}
    tags: dict[str, pa.ListArray] = {}
    orders: list[list[str]] = []
    for part, split in tables.items():
        if tags_column in split.table.column_names:
            tags[part], order = _tags(split, tags_column, words[part], ids)
            orders.append(order)
        elif part == "pool":
            tags[part] = pa.nulls(split.table.num_rows, pa.list_(pa.string()))
        else:
            raise WrongColumn(split.lacks(tags_column))
        if part != "pool" and tags[part].null_count:
            row = pc.index(pc.is_null(tags[part]), True).as_py()
            raise UserError(f"{split.where(row)}: no tags: expected them in every row of the validation and test data")
    types = types_of(ids) if ids is not None else explicit or next(filter(None, orders), [])
    parts = {
        part: _dataset(split, words[part], _ids(split, tags[part], types), words_column, tags_column, separator)
        for part, split in tables.items()
    }
    return Source(parts["pool"], parts.get("validation"), parts.get("test"), types or None)


def _dataset(
    split: Split, words: pa.ListArray, ids: pa.ListArray, words_column: str, tags_column: str, separator: str
) -> datasets.Dataset:
    """Columns `text`, `label`, the others and `tokens`."""
    others = split.table.drop_columns(list({words_column, "tokens"} & set(split.table.column_names)))
    table = replace(split, table=others.append_column("tokens", words))
    return table.dataset("text", pc.binary_join(words, separator), tags_column, ids)


def _lists(split: Split, column: str, expected: str) -> pa.ListArray:
    """A column of lists, null where a row is; an error where a list has a null in it."""
    lists = split.table[column]
    if pa.types.is_null(lists.type):
        return pa.nulls(len(lists), pa.list_(pa.string()))
    if not is_list(lists.type):
        raise WrongColumn(
            f"{split.place}: column {column!r} holds {lists.type}: expected lists of {expected}, as JSON lines and "
            "Parquet have them"
        )
    array: pa.ListArray = lists.cast(pa.list_(lists.type.value_type)).combine_chunks()
    place = pc.index(pc.is_null(pc.list_flatten(array)), True).as_py()
    if place >= 0:
        raise UserError(f"{_where(split, array, place)}: a null in column {column!r}: expected {expected}")
    return array


def _where(split: Split, lists: pa.ListArray, place: int) -> str:
    """Name the row that an item of the flattened lists belongs to."""
    return split.where(pc.list_parent_indices(lists)[place].as_py())


def _are_strings(lists: pa.ListArray) -> bool:
    kind = lists.type.value_type
    return is_string(kind) or pa.types.is_null(kind)  # null: all are empty


def _words(split: Split, column: str) -> pa.ListArray:
    """Lists of strings, no null."""
    if column not in split.table.column_names:
        raise WrongColumn(split.lacks(column))
    words = _lists(split, column, "words")
    if not _are_strings(words):
        raise WrongColumn(f"{split.place}: column {column!r} holds {words.type}: expected lists of words")
    if words.null_count:
        row = pc.index(pc.is_null(words), True).as_py()
        raise UserError(f"{split.where(row)}: no words: expected a list of strings in column {column!r}")
    return words.cast(pa.list_(pa.string()))


def _tags(split: Split, column: str, words: pa.ListArray, explicit: list[str] | None) -> tuple[pa.ListArray, list[str]]:
    """BIO tags (lists of strings, null where unknown), and the types they name, in order."""
    lists = _lists(split, column, "BIO tags")
    lengths, expected = pc.list_value_length(lists), pc.list_value_length(words)
    row = pc.index(pc.not_equal(lengths, expected), True).as_py()
    if row >= 0:
        raise UserError(f"{split.where(row)}: {lengths[row]} tags for {expected[row]} tokens: expected one for each")
    if not _are_strings(lists):
        flat, names = _named(split, column, lists, explicit)
        return _like(lists, flat), types_of(names)
    flat = pc.list_flatten(lists).cast(pa.string())
    used = pc.unique(flat).to_pylist()
    strange = next((tag for tag in used if not BIO.fullmatch(tag)), None)
    if strange is not None:
        place = pc.index(flat, strange).as_py()
        raise UserError(f"{_where(split, lists, place)}: unknown tag {strange!r}: expected {BIO_TAGS}")
    return _like(lists, flat), sorted(types_of(used))


def _named(split: Split, column: str, lists: pa.ListArray, explicit: list[str] | None) -> tuple[pa.Array, list[str]]:
    """The tags' names by their ids, and all the names."""
    schema = pa.schema([split.table.schema.field(column)], split.table.schema.metadata)
    feature = getattr(datasets.Features.from_arrow_schema(schema)[column], "feature", None)
    names = feature.names if isinstance(feature, datasets.ClassLabel) else explicit
    if names is None or not pa.types.is_integer(lists.type.value_type):
        raise WrongColumn(
            f"{split.place}: column {column!r} holds lists of {lists.type.value_type}: expected BIO tags, or integers "
            "and data.label_names with the tags in the order of their ids (O, B-PER, I-PER, …)"
        )
    strange = next((name for name in names if not BIO.fullmatch(name)), None)
    if strange is not None:
        raise UserError(f"{split.place}: column {column!r} has a tag named {strange!r}: expected {BIO_TAGS}")
    ids = pc.list_flatten(lists).cast(pa.int64())
    place = pc.index(pc.or_(pc.less(ids, 0), pc.greater_equal(ids, len(names))), True).as_py()
    if place >= 0:
        raise UserError(f"{_where(split, lists, place)}: tag id {ids[place]}: expected 0 to {len(names) - 1}")
    return pa.array(names, pa.string()).take(ids), list(names)


def _ids(split: Split, tags: pa.ListArray, types: list[str]) -> pa.ListArray:
    """Tag ids, lists of int64, null where the tags are."""
    flat = pc.list_flatten(tags)
    ids = pc.index_in(flat, value_set=pa.array(tag_names(types), pa.string()))
    unknown = pc.index(pc.is_null(ids), True).as_py()
    if unknown >= 0:
        raise UserError(
            f"{_where(split, tags, unknown)}: tag {flat[unknown].as_py()!r} is of none of the types "
            f"{', '.join(types)} (data.label_names can name more)"
        )
    return _like(tags, pc.cast(ids, pa.int64()))


def _like(lists: pa.ListArray, values: pa.Array) -> pa.ListArray:
    """Lists of other values with the same lengths and nulls."""
    lengths = pc.fill_null(pc.list_value_length(lists), 0)
    offsets = np.concatenate([[0], np.cumsum(lengths.to_numpy())]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), values, mask=pc.is_null(lists))
