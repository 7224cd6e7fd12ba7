"""Texts cut between sentences into passages that fit an encoder's input."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from lit_react.data.encoding import text_digest, tokenised, tokenizer_digest

Ints = NDArray[np.int64]
SENTENCE_END = re.compile(
    r"""(?: [.!?…]+ ["'”’»)\]]* (?=\s)          # Latin script: a mark, closing quotes, then a space
          | [!?]+ (?=[\u3400-\u9fff])           # typed with a Latin keyboard between Chinese characters
          | [。!?;…]+ [”’」』)》]*            # Chinese marks need no space
          | \n )                                # a line never goes on in the next sentence
        \s*""",
    re.VERBOSE,
)


class Passages:
    """Passages of texts; each is a run of consecutive sentences of one text.

    The table has a column `text`; `cut` is what `passages` makes of it.

    Attributes:
        texts: int64 [n], the text of each passage, relative to the table.
        counts: int64 [n], sentences.
        lengths: int64 [n], tokens without the special ones.
    """

    def __init__(self, table: datasets.Dataset, cut: datasets.Dataset) -> None:
        self.table, columns = table, cut.data
        self.texts, self._starts = (np.asarray(columns.column(name)) for name in ("text", "start"))
        self.counts: Ints = np.asarray(pa.compute.list_value_length(columns.column("tokens")), dtype=np.int64)
        self._first: Ints = np.cumsum(self.counts) - self.counts
        ends = ("characters", "tokens")
        self._characters, self._tokens = (np.asarray(pa.compute.list_flatten(columns.column(name))) for name in ends)
        self.lengths = self.tokens_of(np.arange(len(self)), self.counts)

    def __len__(self) -> int:
        return len(self.texts)

    def tokens_of(self, rows: Ints, sentences: Ints) -> Ints:
        """Tokens in the first `sentences` (1 or more) sentences of each row, int64 [b]."""
        return self._tokens[self._first[rows] + sentences - 1]

    def words_of(self, row: int, first: int = 0, last: int | None = None) -> str:
        """The text of a passage's sentences from `first` up to, and without, `last`; None: to its end."""
        ends = self._characters[self._first[row] : self._first[row] + self.counts[row]]
        text: str = self.table[int(self.texts[row])]["text"]
        return text[ends[first - 1] if first else self._starts[row] : ends[-1 if last is None else last - 1]]


def passages(
    table: datasets.Dataset, tokenizer: PreTrainedTokenizerBase, *, room: int, longest: int, cache: Path
) -> Passages:
    """Tokenise each text whole and cut it between sentences; a second call reads the file of the first in `cache`.

    A passage has `room` tokens at most. A sentence of more than `longest` is cut between words, and its pieces count as
    sentences. The tokenizer is a fast one: it gives offsets and words.
    """
    digest = text_digest(table, "passages 2", tokenizer_digest(tokenizer), str(room), str(longest))
    number = datasets.Value("int64")
    found = tokenised(
        table.select_columns("text"),
        lambda rows, indices: _cut(rows["text"], indices, tokenizer, room, longest),
        cache / f"passages-{digest}.arrow",
        datasets.Features(
            {"text": number, "start": number, "characters": datasets.List(number), "tokens": datasets.List(number)}
        ),
        with_indices=True,
    )
    return Passages(table, found)


def _cut(
    texts: list[str], indices: list[int], tokenizer: PreTrainedTokenizerBase, room: int, longest: int
) -> dict[str, list[Any]]:
    """Rows of passages as `Passages` keeps them.

    `text` is relative to the table, `start` its first character; of the places after its sentences `characters` are
    within the text, `tokens` within the passage.
    """
    found: dict[str, list[Any]] = {"text": [], "start": [], "characters": [], "tokens": []}
    encoded = tokenizer(texts, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    for row, (index, text) in enumerate(zip(indices, texts, strict=True)):
        words = np.array([-1 if word is None else word for word in encoded.word_ids(row)], dtype=np.int64)
        stops = np.array(encoded["offset_mapping"][row], dtype=np.int64).reshape(-1, 2)[:, 1]
        sentences = np.searchsorted(sentence_starts(text), stops - 1, side="right")
        for start, inner in joined(sentence_ends(sentences, words, longest), room):
            found["text"].append(index)
            found["start"].append(stops[start - 1] if start else 0)
            found["characters"].append(stops[np.array(inner) - 1])
            found["tokens"].append([end - start for end in inner])
    return found


def sentence_starts(text: str) -> Ints:
    """Character offsets at which sentences begin, int64 [s], the first is 0.

    Abbreviations ("Mr. Smith") end a sentence too: such pieces are still consecutive, which is all that next-sentence
    prediction asks. A list of sentences is given as lines: every newline ends a sentence, so unwrap texts that were
    wrapped at a fixed width.
    """
    ends = (match.end() for match in SENTENCE_END.finditer(text))
    return np.array([0, *(end for end in ends if end < len(text))], dtype=np.int64)


def sentence_ends(sentences: Ints, words: Ints, longest: int) -> list[int]:
    """Places after the last token of each sentence, none further than `longest` from the one before.

    Sentences and words are int64 [t], those of each token. A long sentence is cut into even pieces, before the first
    token of a word if that can be.
    """
    changes = [*(np.flatnonzero(np.diff(sentences)) + 1).tolist(), len(sentences)] if len(sentences) else []
    ends, start = [], 0
    for change in changes:
        while (left := change - start) > longest:
            even = start + -(-left // -(-left // longest))
            end = even
            while end > start and words[end] == words[end - 1]:
                end -= 1
            start = end if end > start else even
            ends.append(start)
        ends.append(change)
        start = change
    return ends


def joined(ends: list[int], room: int) -> Iterator[tuple[int, list[int]]]:
    """Join consecutive sentences while they fit `room`: the first token of each passage, and its sentences' ends."""
    start, inner = 0, list[int]()
    for end in ends:
        if inner and end - start > room:
            yield start, inner
            start, inner = inner[-1], []
        inner.append(end)
    if inner:
        yield start, inner
