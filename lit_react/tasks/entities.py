"""Entities of sentences: BIO tags in the data, lists of tag ids as labels, spans of words for people."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from lit_react.core.errors import UserError, WrongColumn
from lit_react.data.cells import label_lists, word_lists
from lit_react.data.character_spans import tags_from_spans, word_column
from lit_react.data.classes import Named, checked_names, lists_of, named_in_lists, number, with_strings
from lit_react.data.columns import is_string
from lit_react.data.given_names import id_of
from lit_react.data.tables import Source, Split
from lit_react.tasks.entity_metrics import spans

BIO = re.compile(r"O|[BI]-.+")


def tag_names(types: Sequence[str]) -> list[str]:
    """Name of each tag id: O is 0, B-<type> of type k is 2k + 1, I-<type> is 2k + 2."""
    return ["O", *(f"{prefix}-{kind}" for kind in types for prefix in "BI")]


def types_of(tags: Iterable[str]) -> list[str]:
    """The types that BIO tags name, in the order of their first tag."""
    return list(dict.fromkeys(tag[2:] for tag in tags if tag != "O"))


def entities_of(tags: Sequence[int], types: Sequence[str]) -> list[dict[str, Any]]:
    """A list of tag ids as spans: `{"start": first word, "end": after the last word, "label": type}`."""
    return [{"start": start, "end": end, "label": types[kind]} for kind, start, end in spans(tags)]


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
    return start, end, 2 * id_of(kind, types) + 1


def read_sentences(
    tables: Mapping[str, Split],
    words_column: str,
    tags_column: str,
    label_names: Sequence[str] | None,
    separator: str,
) -> Source:
    """Sentences with a tag id for each word; errors name the file, row or option.

    Where the column of the words has texts, the words are theirs, and the tags come from spans of characters, see
    `tags_from_spans`.

    Tags are strings, or integers that the hub's class names or `label_names` name. A null instead of a list means
    "unknown"; that is allowed in the pool only, which may lack the column. `label_names` are the entity types in order;
    or the BIO tags in the order of their ids, which is what integers need that nothing else names; None: as the hub
    orders them, else sorted, from the pool's tags. The words become `tokens`, and the `text` that people read, with
    `separator`.
    """
    tags = list(label_names) if label_names is not None and "O" in label_names else None

    def named(part: str, _: list[str] | None) -> Named:
        return _tags(sentences[part], tags_column, tags)

    sentences = {part: _with_words(split, words_column, tags_column, separator) for part, split in tables.items()}
    types = label_names if tags is None else types_of(checked_names(tags) or [])
    return number(sentences, "text", tags_column, types, named, spelled=tag_names)


def _with_words(split: Split, column: str, tags_column: str, separator: str) -> Split:
    """The split with words as `tokens`, none null, and their `text`."""
    found = word_lists(split, column)
    if is_string(found.type):
        return _with_words_of_texts(split, column, tags_column)
    words = lists_of(split, column, found, "words")
    kind = words.type.value_type
    if not (is_string(kind) or pa.types.is_null(kind)):  # null: all are empty
        raise WrongColumn(f"{split.place}: column {column!r} holds {words.type}: expected lists of words")
    words = with_strings(split, column, words, pc.list_flatten(words), "words")
    if words.null_count:
        row = pc.index(pc.is_null(words), True).as_py()
        raise UserError(f"{split.where(row)}: no words: expected a list of strings in column {column!r}")
    return split.with_column("tokens", words, column).with_column("text", pc.binary_join(words, separator))


def _with_words_of_texts(split: Split, column: str, tags_column: str) -> Split:
    """The split with texts, their words, and tags in place of spans where there are some."""
    texts = split.texts(column)
    if tags_column and split.has(tags_column):
        split = split.with_column(tags_column, tags_from_spans(split, tags_column, texts))
    return split.with_column("tokens", word_column(texts)).with_column("text", texts, column)


def _tags(split: Split, column: str, names: list[str] | None) -> Named:
    """BIO tags, lists of strings, null where unknown; and the types they name, in order."""
    given = label_lists(split, column)
    tags, used = named_in_lists(split, column, given, names, "BIO tags")
    lengths, expected = pc.list_value_length(tags), pc.list_value_length(split.table["tokens"])
    row = pc.index(pc.not_equal(lengths, expected), True).as_py()
    if row >= 0:
        raise UserError(f"{split.where(row)}: {lengths[row]} tags for {expected[row]} tokens: expected one for each")
    strange = next((tag for tag in used if not BIO.fullmatch(tag)), None)
    if strange is not None:
        place = pc.index(pc.list_flatten(tags), strange).as_py()
        where = split.place if place < 0 else split.where(pc.list_parent_indices(tags)[place].as_py())
        raise UserError(
            f"{where}: unknown tag {strange!r}: expected O, B-<type> or I-<type>, or integers and data.label_names "
            "with the tags in the order of their ids (O, B-PER, I-PER, …)"
        )
    kind = getattr(given.type, "value_type", pa.null())
    return tags, sorted(types_of(used)) if is_string(kind) else types_of(used)
