"""A question and its context as the model reads them: in windows, where the context is longer than the model takes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from lit_react.annotation.answers import Label
from lit_react.data.encoding import REACH, Batch, Encode, TokenTable, tokenize

SPARE = 8
"""Tokens of a window that are left for special ones (two to four) and for a question cut within a character."""

UNKNOWN = -100
"""Position of an answer that nobody knows; the loss leaves it out."""


class WindowTable:
    """Windows over question and context of each row, in an Arrow file, memory-mapped.

    `tokens` are those of all windows of a row, one after the other; columns `input_ids`, `window` (number of the window
    in the row), `start` and `end` (character offsets in the context; -1: no token of the context), and what else the
    model reads. `contexts` has the column `context` of the split; a window shares `stride` tokens with the next.
    """

    def __init__(self, tokens: TokenTable, contexts: datasets.Dataset, stride: int) -> None:
        self.tokens, self.contexts, self.stride = tokens, contexts, stride
        self.lengths = tokens.lengths

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def context_lengths(self) -> NDArray[np.int64]:
        """int64 [n], tokens of each row's context, each counted once."""
        lengths = np.empty(len(self), dtype=np.int64)
        for first in range(0, len(self), 10_000):
            rows = np.arange(first, min(first + 10_000, len(self)))
            columns, row = self._columns(rows)
            counts = np.bincount(row[columns["start"] >= 0], minlength=len(rows))
            lengths[rows] = counts - self.stride * columns["window"][np.cumsum(self.lengths[rows]) - 1]
        return lengths

    def batch(self, rows: Sequence[int] | NDArray[np.int64], labels: Sequence[Label] | None = None) -> Batch:
        """All windows of these rows.

        `row` int64 [b]; `windows` int64 [b, k], the windows of each row, -1 after the last; and of w windows with up to
        t tokens: `input_ids`, `attention_mask`, `start`, `end` and what else the model reads, int64 [w, t]. With labels
        also `first` and `last`, int64 [w], the answer's tokens (0, the first token, in a window without the whole
        answer; UNKNOWN where nobody knows), and two lists of length b: `contexts`, and `answers`, all texts that
        answer.
        """
        rows = np.asarray(rows, dtype=np.int64)
        columns, row = self._columns(rows)
        window = columns.pop("window")
        begins = np.flatnonzero((np.diff(row, prepend=-1) != 0) | (np.diff(window, prepend=-1) != 0))
        lengths = np.diff(begins, append=len(row))
        mask = np.arange(int(lengths.max(initial=1))) < lengths[:, None]
        arrays = {"row": rows, "windows": _by_row(row[begins], len(rows)), "attention_mask": mask.astype(np.int64)}
        fill = {"input_ids": self.tokens.pad_id, "token_type_ids": 0}
        for name, values in columns.items():
            arrays[name] = np.full(mask.shape, fill.get(name, -1), dtype=np.int64)
            arrays[name][mask] = values
        if labels is not None:
            arrays |= _targets(arrays["start"], arrays["end"], [labels[index] for index in row[begins]])
        batch: Batch = {name: torch.from_numpy(values) for name, values in arrays.items()}
        if labels is not None:
            batch["contexts"] = self.contexts[rows]["context"]
            batch["answers"] = [label.get("answers") or [label["text"]] for label in labels]
        return batch

    def _columns(self, rows: NDArray[np.int64]) -> tuple[dict[str, NDArray[np.int32]], NDArray[np.int64]]:
        """Each column's values of all tokens of these rows, int32 [tokens], and the position of each token's row."""
        lists = self.tokens.tokens[rows]
        columns = {name: lists.column(name).combine_chunks().flatten().to_numpy() for name in lists.column_names}
        return columns, np.repeat(np.arange(len(rows)), self.lengths[rows])


def _by_row(row: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """int64 [b, k], the positions of each of 0 … count - 1 in `row`, which is ascending; -1 after the last."""
    counts = np.bincount(row, minlength=count)
    filled = np.arange(int(counts.max(initial=1))) < counts[:, None]
    table = np.full(filled.shape, -1, dtype=np.int64)
    table[filled] = np.arange(len(row))
    return table


def _targets(start: NDArray[np.int64], end: NDArray[np.int64], labels: list[Label]) -> dict[str, NDArray[np.int64]]:
    """The answer's first and last token in each window, see `WindowTable.batch`."""
    known = np.asarray([label["start"] is not None for label in labels])
    begin = np.asarray([label["start"] or 0 for label in labels], dtype=np.int64)[:, None]
    stop = begin + np.asarray([len(label["text"]) for label in labels], dtype=np.int64)[:, None]
    context = start >= 0
    inside = context & (end > begin) & (start < stop)
    at_least = np.where(context, start, np.iinfo(np.int64).max).min(1) <= begin[:, 0]
    whole = inside.any(1) & at_least & (end.max(1) >= stop[:, 0])
    first, last = inside.argmax(1), inside.shape[1] - 1 - inside[:, ::-1].argmax(1)
    return {
        "first": np.where(known, np.where(whole, first, 0), UNKNOWN),
        "last": np.where(known, np.where(whole, last, 0), UNKNOWN),
    }


def cut_into_windows(
    table: datasets.Dataset,
    tokenizer: PreTrainedTokenizerBase,
    *,
    max_length: int,
    max_question_length: int,
    stride: int,
    cache: Path,
) -> WindowTable:
    """Tokenise the questions (`text`) and contexts of a split once, by a fast tokenizer, see `tokenize`.

    Lengths are in tokens: a window has `max_length`, special ones included, which is more than `max_question_length +
    stride + SPARE`; questions are cut at `max_question_length`; neighbouring windows share `stride` of the context.
    """
    segments = "token_type_ids" in tokenizer.model_input_names
    tokens = tokenize(
        table,
        tokenizer,
        max_length=max_length,
        cache=cache,
        columns=("text", "context"),
        encode=_encode(tokenizer, max_length, max_question_length, stride),
        extra=("window", "start", "end", *(["token_type_ids"] if segments else [])),
        settings=(str(max_question_length), str(stride)),
    )
    return WindowTable(tokens, table.select_columns(["context"]), stride)


def _encode(tokenizer: PreTrainedTokenizerBase, max_length: int, max_question_length: int, stride: int) -> Encode:
    def encode(rows: dict[str, list[Any]]) -> dict[str, list[list[int]]]:
        encoded = tokenizer(
            _cut(tokenizer, rows["text"], max_question_length),
            rows["context"],
            truncation="only_second",
            max_length=max_length,
            stride=stride,
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
            return_attention_mask=False,
        )
        names = [name for name in ("input_ids", "token_type_ids") if name in encoded]
        columns: dict[str, list[list[int]]] = {
            name: [[] for _ in rows["text"]] for name in (*names, "window", "start", "end")
        }
        number = 0
        for index, row in enumerate(encoded["overflow_to_sample_mapping"]):
            number = number + 1 if columns["window"][row] else 0
            for name in names:
                columns[name][row] += encoded[name][index]
            columns["window"][row] += [number] * len(encoded["input_ids"][index])
            for (start, end), part in zip(encoded["offset_mapping"][index], encoded.sequence_ids(index), strict=True):
                columns["start"][row].append(start if part == 1 else -1)
                columns["end"][row].append(end if part == 1 else -1)
        return columns

    return encode


def _cut(tokenizer: PreTrainedTokenizerBase, questions: list[str], max_length: int) -> list[str]:
    """The questions, each up to the end of its `max_length`-th token."""
    questions = [question.lstrip()[: REACH * max_length] for question in questions]
    encoded = tokenizer(
        questions,
        add_special_tokens=False,
        truncation=True,
        max_length=max_length,
        return_offsets_mapping=True,
    )
    ends = [max((end for _, end in offsets), default=0) for offsets in encoded["offset_mapping"]]
    return [
        question[:end] if len(offsets) == max_length else question
        for question, offsets, end in zip(questions, encoded["offset_mapping"], ends, strict=True)
    ]
