"""Texts without labels, cut into passages of whole sentences that fit an encoder's input."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from lit_react.core.bounds import expect
from lit_react.core.errors import UserError
from lit_react.data.encoding import text_digest, tokenised, tokenizer_digest
from lit_react.data.sources import load_texts
from lit_react.data.splits import carve, groups_of
from lit_react.pretraining.sentences import sentence_starts

Ints = NDArray[np.int64]
NONE: Ints = np.empty(0, dtype=np.int64)


@dataclass
class Texts:
    """What is read; of a source's splits only `train`, and no label.

    Args:
        source: as `data.source` of `fit`.
        text_column: column of the texts.
        local_copy: folder below `$LIT_REACT_DATA` that is read instead of the hub where it exists.
        test_size: the `data.test_size` of the fits to come, where they carve their test rows from this source: those
            rows are left out.
        validation_size: likewise `data.validation_size`.
        group_column: column of what these fits keep together when they carve: `context` for questions about contexts.
        split_seed: likewise `data.split_seed`; it draws the held-out texts too.
        held_out: so many other texts are not trained on; loss and accuracy are measured on them.
    """

    source: str = "bbc_news"
    text_column: str = "text"
    local_copy: str | None = None
    test_size: int = 0
    validation_size: int = 0
    group_column: str | None = None
    split_seed: int = 0
    held_out: int = 200

    def load(self) -> tuple[datasets.Dataset, datasets.Dataset]:
        """Texts to train on and held-out texts; one column, `text`.

        Each text is trained on once; copies of one that is left out or held out are not trained on.

        Raises:
            UserError: the source cannot be read, or is too small.
        """
        for name, least in (("test_size", 0), ("validation_size", 0), ("held_out", 1)):
            expect(f"texts.{name}", getattr(self, name), at_least=least)
        table = load_texts(
            self.source, text_column=self.text_column, group_column=self.group_column, local_copy=self.local_copy
        )
        groups = np.arange(len(table)) if self.group_column is None else groups_of(table["group"][:])
        table, generator = table.select_columns("text"), np.random.default_rng(self.split_seed)
        *left_out, rows = carve(groups, self.test_size, self.validation_size, generator)
        if len(rows) <= self.held_out:
            raise UserError(
                f"texts.held_out: {len(table)} rows of {self.source} are too few for {self.held_out} held-out ones, "
                f"test_size {self.test_size} and validation_size {self.validation_size}"
            )
        train, held_out = hold_out(table, rows, self.held_out, hidden=np.concatenate(left_out))
        return each_once(train), held_out


def hold_out(
    table: datasets.Dataset, rows: Ints, size: int, hidden: Ints = NONE
) -> tuple[datasets.Dataset, datasets.Dataset]:
    """Texts to train on, and texts to measure on; no text is among both.

    Args:
        table: has a column `text`.
        rows: int64 [n], relative to the table, in random order; the first `size` are held out.
        size: below n.
        hidden: int64, other rows whose copies are not trained on.
    """
    held_out, train = rows[:size], np.sort(rows[size:])
    texts = table.with_format("arrow")[:].column("text")
    copies = pa.compute.is_in(texts.take(train), texts.take(np.concatenate([hidden, held_out])))
    return table.select(train[~copies.to_numpy()]), table.select(np.sort(held_out))


def each_once(table: datasets.Dataset) -> datasets.Dataset:
    """The rows whose `text` no row before them has; with copies, a sentence of another text may be the next one."""
    chunks = table.with_format("arrow")[:].column("text").dictionary_encode().chunks
    numbers = np.concatenate([chunk.indices.to_numpy() for chunk in chunks]) if chunks else NONE
    return table.select(np.sort(np.unique(numbers, return_index=True)[1]))


class Passages:
    """Passages in an Arrow file, memory-mapped; a passage is a run of consecutive sentences of one text.

    Args:
        table: a row per passage: `ids` (list of int32, no special tokens), `words` (list of int32, the number of the
            word within the text that each token belongs to), `ends` (list of int32, the place after each sentence),
            `text` (int64, relative to the tokenised texts).
    """

    def __init__(self, table: datasets.Dataset) -> None:
        self.table = table.with_format("arrow")
        columns = table.data
        self.texts: Ints = np.asarray(columns.column("text"), dtype=np.int64)
        self.lengths: Ints = np.asarray(pa.compute.list_value_length(columns.column("ids")), dtype=np.int64)
        self.counts: Ints = np.asarray(pa.compute.list_value_length(columns.column("ends")), dtype=np.int64)
        self._ends: Ints = np.asarray(pa.compute.list_flatten(columns.column("ends")), dtype=np.int64)
        self._first: Ints = np.cumsum(self.counts) - self.counts

    def __len__(self) -> int:
        return len(self.texts)

    def end(self, rows: Ints, sentences: Ints) -> Ints:
        """Tokens in the first `sentences` (1 or more) sentences of each row, int64 [b]."""
        return self._ends[self._first[rows] + sentences - 1]

    def tokens(self, rows: Ints) -> list[tuple[Ints, Ints]]:
        """Ids and words of each row, int64 [length] both."""
        found = self.table[rows]
        lists = zip(found["ids"], found["words"], strict=True)
        return [(np.asarray(i.values, dtype=np.int64), np.asarray(w.values, dtype=np.int64)) for i, w in lists]


def passages(
    table: datasets.Dataset, tokenizer: PreTrainedTokenizerBase, *, room: int, longest: int, cache: Path
) -> Passages:
    """Tokenise each text whole and cut it between sentences; a second call reads the file of the first.

    Args:
        table: the texts, column `text`.
        tokenizer: a fast one (it gives offsets and words).
        room: most tokens of a passage.
        longest: most tokens of a sentence; a longer one is cut between words, and its pieces count as sentences.
        cache: folder of the Arrow files; one is named after a hash of all that decides it.
    """
    digest = text_digest(table, "passages 1", tokenizer_digest(tokenizer), str(room), str(longest))
    lists = {name: datasets.List(datasets.Value("int32")) for name in ("ids", "words", "ends")}
    found = tokenised(
        table.select_columns("text"),
        lambda rows, indices: _cut(rows["text"], indices, tokenizer, room, longest),
        cache / f"passages-{digest}.arrow",
        datasets.Features({**lists, "text": datasets.Value("int64")}),
        with_indices=True,
    )
    return Passages(found)


def _cut(
    texts: list[str], indices: list[int], tokenizer: PreTrainedTokenizerBase, room: int, longest: int
) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {"ids": [], "words": [], "ends": [], "text": []}
    encoded = tokenizer(texts, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    for row, (index, text) in enumerate(zip(indices, texts, strict=True)):
        ids = encoded["input_ids"][row]
        words = np.array([-1 if word is None else word for word in encoded.word_ids(row)], dtype=np.int64)
        last = np.array(encoded["offset_mapping"][row], dtype=np.int64).reshape(-1, 2)[:, 1] - 1
        ends = sentence_ends(np.searchsorted(sentence_starts(text), last, side="right"), words, longest)
        for start, inner in joined(ends, room):
            stop = inner[-1]
            found["ids"].append(ids[start:stop])
            found["words"].append(words[start:stop].tolist())
            found["ends"].append([end - start for end in inner])
            found["text"].append(index)
    return found


def sentence_ends(sentences: Ints, words: Ints, longest: int) -> list[int]:
    """Places after the last token of each sentence, none further than `longest` from the one before.

    Args:
        sentences: int64 [t], the sentence of each token.
        words: int64 [t], the word of each token; a long sentence is cut into even pieces, before the first token of a
            word if that can be.
        longest: most tokens of a sentence.
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
