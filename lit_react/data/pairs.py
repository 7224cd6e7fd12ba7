"""Sentences with two marked mentions, such as `The <e1> child </e1> was wrapped into the <e2> cradle </e2> .`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import pyarrow as pa

from lit_react.core.errors import UserError
from lit_react.data.cells import word_lists
from lit_react.data.columns import column_of, is_list
from lit_react.data.tables import Split

MARKERS = ("<e1>", "</e1>", "<e2>", "</e2>")
"""Around the first mention (the head) and the second (the tail), as SemEval-2010 Task 8 writes them."""

OFFSETS = ("head_start", "head_end", "tail_start", "tail_end")
"""Columns beside a list of tokens: where the mentions begin, and the token after their end."""

ANY_MARKER = re.compile(r"\s*(</?e[12]>)\s*")
"""With the space around it."""


def mark_pairs(split: Split, column: str) -> Split:
    """The same split, with sentences with markers in a column; errors say which row is wrong, and what was expected.

    The column has strings that hold each of the four markers once; or lists of tokens, beside the integer columns
    `head_start`, `head_end`, `tail_start` and `tail_end`. Mentions may overlap.
    """
    tokens = word_lists(split, column)
    rows = _from_tokens(split, column, tokens) if is_list(tokens.type) else _from_text(split, column)
    return split.with_column(column, column_of(rows, pa.string()))


def mentions(text: str) -> tuple[str, str]:
    """Head and tail of a marked sentence, without markers."""
    head, tail = (text.split(start)[1].split(end)[0] for start, end in (MARKERS[:2], MARKERS[2:]))
    return without_markers(head), without_markers(tail)


def in_pair(words: Sequence[str]) -> list[bool]:
    """Of the words of a marked sentence, which are markers or lie in a mention."""
    found, depth = [], 0
    for word in map(str.strip, words):
        depth += (word in MARKERS[::2]) - (word in MARKERS[1::2])
        found.append(depth > 0 or word in MARKERS)
    return found


def near_markers(text: str, reach: int) -> str:
    """A marked sentence without the characters that are farther than `reach` from all markers."""
    before, *between, after = re.split(f"({'|'.join(MARKERS)})", text)
    between = [part if len(part) <= 2 * reach else f"{part[:reach]} {part[-reach:]}" for part in between]
    return "".join([before[-reach:], *between, after[:reach]])


def without_markers(text: str) -> str:
    """The sentence as it was."""
    return " ".join(part for part in ANY_MARKER.split(text.strip()) if part and part not in MARKERS)


def _from_text(split: Split, column: str) -> Iterator[str]:
    for row, text in enumerate(split.texts(column).to_pylist()):
        marked = " ".join(part for part in ANY_MARKER.split(text.strip()) if part)
        if not _well_marked(marked):
            raise UserError(
                f"{split.where(row)}: column {column!r}: {text[:60]!r} has no marked pair: expected "
                "<e1> head </e1> and <e2> tail </e2>, each once and with a word inside"
            )
        yield marked


def _from_tokens(split: Split, column: str, words: pa.Array) -> Iterator[str]:
    offsets = zip(*(split.column(name).to_pylist() for name in OFFSETS), strict=True)
    for row, (tokens, places) in enumerate(zip(words.to_pylist(), offsets, strict=True)):
        if tokens is None or not all(isinstance(token, str) for token in tokens):
            raise UserError(f"{split.where(row)}: column {column!r}: expected a list of strings")
        for name, start, end in (("head", *places[:2]), ("tail", *places[2:])):
            if not (isinstance(start, int) and isinstance(end, int) and 0 <= start < end <= len(tokens)):
                raise UserError(
                    f"{split.where(row)}: {name}_start {start}, {name}_end {end}: expected token offsets, the end "
                    f"exclusive: 0 <= start < end <= {len(tokens)}"
                )
        marked = _join(tokens, *places)
        if not _well_marked(marked):
            raise UserError(
                f"{split.where(row)}: column {column!r}: expected tokens without {' '.join(MARKERS)}, and a word in "
                "each mention"
            )
        yield marked


def _join(tokens: list[str], head_start: int, head_end: int, tail_start: int, tail_end: int) -> str:
    """Tokens and markers with a space between each two; where mentions meet, one ends before the other begins."""
    before: dict[int, list[str]] = {}
    for marker, place in (("</e1>", head_end), ("</e2>", tail_end), ("<e1>", head_start), ("<e2>", tail_start)):
        before.setdefault(place, []).append(marker)
    parts = [part for place, token in enumerate(tokens) for part in (*before.get(place, ()), token)]
    return " ".join([*parts, *before.get(len(tokens), ())])


def _well_marked(text: str) -> bool:
    """Whether each marker is there once, in order, with something between."""
    if any(text.count(marker) != 1 for marker in MARKERS):
        return False
    in_order = all(text.index(start) < text.index(end) for start, end in (MARKERS[:2], MARKERS[2:]))
    return in_order and all(mentions(text))
