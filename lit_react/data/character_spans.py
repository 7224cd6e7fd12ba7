"""Entities as spans of characters, as doccano, Label Studio and Prodigy write them, on the words of a text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
from tokenizers import Regex, pre_tokenizers

from lit_react.core.errors import UserError
from lit_react.data.cells import ANNOTATIONS, read_cell
from lit_react.data.columns import column_of, each
from lit_react.data.tables import Split, log
from lit_react.data.words import UNSPACED

WORDS = pre_tokenizers.Sequence(
    [pre_tokenizers.BertPreTokenizer(), pre_tokenizers.Split(Regex(f"[{UNSPACED}]"), "isolated")]
)
"""Cuts a text at white space, around each sign of punctuation, and around each Han or kana character."""

PARTS = (("start", "start_offset"), ("end", "end_offset"), ("label", "labels"))
"""What first character, character after the last, and type of a span are called."""

LISTS = ("result", "entities", "spans")
"""What a list of spans in an object is called."""

EXPECTED = "expected spans of characters, or lists of words and of their tags"

OTHER_RESULTS = ("choices", "relation", "textarea", "rating", "taxonomy")
"""What Label Studio has among the results and is no span."""

Span = tuple[int, int, str]
"""First character, character after the last, type."""


def words_of(text: str) -> list[tuple[str, tuple[int, int]]]:
    """The words of a text, each with its first character and the one after its last."""
    return [(word, place) for word, place in WORDS.pre_tokenize_str(text) if word.strip()]


def word_column(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    """The words of each text, lists of strings."""
    return column_of(([word for word, _ in words_of(text)] for text in each(texts)), pa.list_(pa.string()))


def tags_from_spans(split: Split, column: str, texts: pa.ChunkedArray) -> pa.ChunkedArray:
    """BIO tags of the words of each text, lists of strings, null where nobody has looked for spans.

    A span that begins or ends within a word takes all of it; that is told of.

    Raises:
        UserError: the row whose spans are none, lie outside its text, say another text than stands there, or overlap.
    """
    cut: list[int] = []

    def tags() -> Iterator[list[str] | None]:
        for row, (text, value) in enumerate(zip(each(texts), split.values(column), strict=True)):
            try:
                entries = None if value == [] and column == ANNOTATIONS else _entries(value)
                found = None if entries is None else _tags(text, [_span(entry, text) for entry in entries])
            except ValueError as error:
                raise UserError(f"{split.where(row)}: column {column!r}: {error}") from error
            cut.extend([row] if found and found[1] else [])
            yield found and found[0]

    built = column_of(tags(), pa.list_(pa.string()))
    if cut:
        place = split.where(cut[0])
        log.warning("%s: entities of %d texts begin or end within a word, which is taken whole", place, len(cut))
    return built


def _entries(value: Any) -> list[Any] | None:
    """What may be the spans of a text; None: nobody has looked for any.

    Of Label Studio's annotations that is the first that was not cancelled.

    Raises:
        ValueError: there are none in it.
    """
    if isinstance(value, str):
        cell, value = value, read_cell(value)
        if cell.strip() and value is None:
            raise ValueError(f"{cell[:60]!r}: {EXPECTED}")
    if isinstance(value, dict):
        value = next((value[name] for name in LISTS if value.get(name) is not None), [value])
    if value is not None and not isinstance(value, list):
        raise ValueError(f"{value!r}: {EXPECTED}")
    if value and all(isinstance(entry, dict) and "result" in entry for entry in value):
        return next((_entries(entry["result"]) for entry in value if not entry.get("was_cancelled")), None)
    return value and [entry for entry in value if not (isinstance(entry, dict) and entry.get("type") in OTHER_RESULTS)]


def _span(entry: Any, text: str) -> Span:
    if isinstance(entry, dict):
        entry = entry.get("value") or entry
        said, found = entry.get("text"), [_first(entry, names) for names in PARTS]
    else:
        said, found = None, entry
    if not isinstance(found, list) or len(found) != len(PARTS):
        raise ValueError(f"{str(entry)[:60]!r}: expected [start, end, type], or an object with start, end and label")
    start, end, kind = found
    kind = kind[0] if isinstance(kind, list) and len(kind) == 1 else kind
    if not (_is_whole(start) and _is_whole(end) and 0 <= start < end <= len(text) and isinstance(kind, str) and kind):
        expected = f"0 <= start < end <= {len(text)} (characters), and one type"
        raise ValueError(f"a span from {start!r} to {end!r} of type {kind!r}: expected {expected}")
    start, end = int(start), int(end)
    if isinstance(said, str) and said.split() != text[start:end].split():
        raise ValueError(f"{text[start:end]!r} stands from {start} to {end}, where the span says {said!r}")
    return start, end, kind


def _first(entry: dict[str, Any], names: Sequence[str]) -> Any:
    return next((entry[name] for name in names if entry.get(name) is not None), None)


def _is_whole(place: Any) -> bool:
    return type(place) is int or (isinstance(place, float) and place.is_integer())


def _tags(text: str, spans: list[Span]) -> tuple[list[str], bool]:
    """A BIO tag for each word, and whether a span begins or ends within one."""
    words = words_of(text)
    tags, is_cut = ["O"] * len(words), False
    for start, end, kind in sorted(spans):
        start, end = start + len(text[start:end]) - len(text[start:end].lstrip()), start + len(text[start:end].rstrip())
        inside = [place for place, (_, (first, last)) in enumerate(words) if first < end and last > start]
        if not inside:
            raise ValueError(f"a span from {start} to {end} has no word in it")
        if any(tags[place] != "O" for place in inside):
            raise ValueError(f"the span {text[start:end]!r} overlaps another one: expected each word in at most one")
        is_cut = is_cut or words[inside[0]][1][0] < start or words[inside[-1]][1][1] > end
        tags[inside[0] : inside[-1] + 1] = [f"B-{kind}", *[f"I-{kind}"] * (len(inside) - 1)]
    return tags, is_cut
