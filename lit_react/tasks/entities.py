"""Entities of sentences: BIO tags in the data, lists of tag ids as labels, spans of words for people."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import datasets
import pyarrow as pa

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
    tags: dict[str, list[list[str] | None]] = {}
    orders: list[list[str]] = []
    for part, split in tables.items():
        if tags_column in split.table.column_names:
            tags[part], order = _tags(split, tags_column, words[part], ids)
            orders.append(order)
        elif part == "pool":
            tags[part] = [None] * split.table.num_rows
        else:
            raise WrongColumn(split.lacks(tags_column))
        if part != "pool" and None in tags[part]:
            where = split.where(tags[part].index(None))
            raise UserError(f"{where}: no tags: expected them in every row of the validation and test data")
    types = types_of(ids) if ids is not None else explicit or next(filter(None, orders), [])
    parts = {}
    for part, split in tables.items():
        others = split.table.drop_columns(list({words_column, "tokens"} & set(split.table.column_names)))
        whole = replace(split, table=others.append_column("tokens", pa.array(words[part], pa.list_(pa.string()))))
        texts = pa.chunked_array([pa.array([separator.join(row) for row in words[part]], pa.string())])
        labels = pa.chunked_array([pa.array(_ids(split, tags[part], types), pa.list_(pa.int64()))])
        parts[part] = whole.dataset("text", texts, tags_column, labels)
    return Source(parts["pool"], parts.get("validation"), parts.get("test"), types or None)


def _lists(split: Split, column: str, expected: str) -> tuple[list[list[Any] | None], pa.DataType]:
    """A column of lists, None where a row is null, and the type of what they hold; no list has a null in it."""
    kind = _type(split, column)
    if not (is_list(kind) or pa.types.is_null(kind)):
        raise WrongColumn(
            f"{split.place}: column {column!r} holds {kind}: expected lists of {expected}, as JSON lines and Parquet "
            "have them"
        )
    lists = split.table[column].to_pylist()
    for row, items in enumerate(lists):
        if items is not None and None in items:
            raise UserError(f"{split.where(row)}: a null in column {column!r}: expected {expected}")
    return lists, kind.value_type if is_list(kind) else kind


def _type(split: Split, column: str) -> pa.DataType:
    return split.table.schema.field(column).type


def _are_strings(kind: pa.DataType) -> bool:
    return is_string(kind) or pa.types.is_null(kind)  # null: all are empty


def _words(split: Split, column: str) -> list[list[str]]:
    if column not in split.table.column_names:
        raise WrongColumn(split.lacks(column))
    lists, kind = _lists(split, column, "words")
    if not _are_strings(kind):
        raise WrongColumn(f"{split.place}: column {column!r} holds {_type(split, column)}: expected lists of words")
    if None in lists:
        where = split.where(lists.index(None))
        raise UserError(f"{where}: no words: expected a list of strings in column {column!r}")
    return cast(list[list[str]], lists)


def _tags(
    split: Split, column: str, words: list[list[str]], explicit: list[str] | None
) -> tuple[list[list[str] | None], list[str]]:
    """BIO tags, None where unknown, and the types that they name, in order."""
    lists, kind = _lists(split, column, "BIO tags")
    for row, (tags, tokens) in enumerate(zip(lists, words, strict=True)):
        if tags is not None and len(tags) != len(tokens):
            raise UserError(f"{split.where(row)}: {len(tags)} tags for {len(tokens)} tokens: expected one for each")
    if not _are_strings(kind):
        return _named(split, column, lists, kind, explicit)
    for row, tags in enumerate(lists):
        if strange := [tag for tag in tags or [] if not BIO.fullmatch(tag)]:
            raise UserError(f"{split.where(row)}: unknown tag {strange[0]!r}: expected {BIO_TAGS}")
    return lists, sorted(types_of(tag for tags in lists for tag in tags or []))


def _named(
    split: Split, column: str, lists: list[list[Any] | None], kind: pa.DataType, explicit: list[str] | None
) -> tuple[list[list[str] | None], list[str]]:
    """As `_tags`, of tags that are integers."""
    schema = pa.schema([split.table.schema.field(column)], split.table.schema.metadata)
    feature = getattr(datasets.Features.from_arrow_schema(schema)[column], "feature", None)
    names = feature.names if isinstance(feature, datasets.ClassLabel) else explicit
    if names is None or not pa.types.is_integer(kind):
        raise WrongColumn(
            f"{split.place}: column {column!r} holds lists of {kind}: expected BIO tags, or integers and "
            "data.label_names with the tags in the order of their ids (O, B-PER, I-PER, …)"
        )
    strange = next((name for name in names if not BIO.fullmatch(name)), None)
    if strange is not None:
        raise UserError(f"{split.place}: column {column!r} has a tag named {strange!r}: expected {BIO_TAGS}")
    for row, tags in enumerate(lists):
        if wrong := [tag for tag in tags or [] if not 0 <= tag < len(names)]:
            raise UserError(f"{split.where(row)}: tag id {wrong[0]}: expected 0 to {len(names) - 1}")
    return [None if tags is None else [names[tag] for tag in tags] for tags in lists], types_of(names)


def _ids(split: Split, tags: list[list[str] | None], types: list[str]) -> list[list[int] | None]:
    """Tag ids, None where the tags are."""
    ids = {name: number for number, name in enumerate(tag_names(types))}
    for row, names in enumerate(tags):
        if unknown := [name for name in names or [] if name not in ids]:
            raise UserError(
                f"{split.where(row)}: tag {unknown[0]!r} is of none of the types {', '.join(types)} (data.label_names "
                "can name more)"
            )
    return [None if names is None else [ids[name] for name in names] for names in tags]
