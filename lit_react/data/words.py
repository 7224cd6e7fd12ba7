"""Texts as words: those of plain texts; sentences that come as words, with the token that stands for each word."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow.compute as pc
import torch
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from lit_react.annotation.answers import Label
from lit_react.data.encoding import REACH, Batch, Encode, TokenTable, tokenize

UNSPACED = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
"""Han and kana: what is written without spaces, a character of which BERT takes for a word."""

CHARACTER = re.compile(f"[{UNSPACED}]")
UNIT = re.compile(rf"(?:[{UNSPACED}]|[^\s{UNSPACED}]+)\s*")


class WordTable:
    """Token ids of sentences, and which token stands for which word: the first of its pieces.

    `word_ids` of the tokens is the word whose first piece a token is, else -1: a word that was cut off, or that the
    tokenizer leaves nothing of, has none. `num_words` int64 [n] counts cut-off words too.
    """

    def __init__(self, tokens: TokenTable, num_words: NDArray[np.int64]) -> None:
        self.tokens, self.num_words = tokens, num_words
        self.lengths = tokens.lengths

    def __len__(self) -> int:
        return len(self.tokens)

    def batch(self, rows: Sequence[int] | NDArray[np.int64], labels: Sequence[Label] | None = None) -> Batch:
        """As `TokenTable`, with `word_ids` int64 [b, t] and `num_words` int64 [b].

        Labels are lists, a tag id for each word; in the batch int64 [b, w], w the most words of a row, -1 after an
        end.
        """
        batch = self.tokens.batch(rows)
        num_words = self.num_words[np.asarray(rows, dtype=np.int64)]
        batch["num_words"] = torch.from_numpy(num_words)
        if labels is not None:
            mask = np.arange(int(num_words.max(initial=1))) < num_words[:, None]
            tags = np.full(mask.shape, -1, dtype=np.int64)
            tags[mask] = np.concatenate([np.asarray(label, dtype=np.int64) for label in labels])
            batch["labels"] = torch.from_numpy(tags)
        return batch


def tokenize_words(
    table: datasets.Dataset, tokenizer: PreTrainedTokenizerBase, *, max_length: int, cache: Path
) -> WordTable:
    """Tokenise the `tokens` (lists of words) of a split once, by a fast tokenizer, see `tokenize`.

    A slow one does not know the words of its tokens. What lies behind `max_length` tokens is cut off.
    """
    encode = first_pieces(tokenizer, max_length)
    tokens = tokenize(
        table, tokenizer, max_length=max_length, cache=cache, columns=("tokens",), encode=encode, extra=("word_ids",)
    )
    lengths = pc.list_value_length(table.select_columns(["tokens"]).with_format("arrow")[:]["tokens"])
    return WordTable(tokens, np.asarray(lengths, dtype=np.int64))


def first_pieces(tokenizer: PreTrainedTokenizerBase, max_length: int) -> Encode:
    """Encodes the column `tokens`, and notes in `word_ids` the word whose first piece a token is, else -1."""

    def encode(rows: dict[str, list[Any]]) -> dict[str, list[list[int]]]:
        words = [[word[: REACH * max_length] for word in row[: REACH * max_length]] for row in rows["tokens"]]
        encoded = tokenizer(words, is_split_into_words=True, truncation=True, max_length=max_length)
        ids = encoded["input_ids"]
        return {"input_ids": ids, "word_ids": [_firsts(encoded.word_ids(row)) for row in range(len(ids))]}

    return encode


def _firsts(words: list[int | None]) -> list[int]:
    return [
        -1 if word is None or word == before else word for before, word in zip([None, *words[:-1]], words, strict=True)
    ]


def split_words(text: str) -> tuple[list[str], str]:
    """The words of a text, and what they are joined with; `separator.join(words)` is the text without blanks around it.

    Where each Han or kana character is a word, and so is what stands between two of them (`iPhone`, `，`) up to a
    space: if at least half of these words are Han or kana, that is what they are, with no separator; a space belongs
    to the word before it. Any other text is split at white space, each run of which comes back as one space; so is
    Thai, whose words this does not find.
    """
    words = UNIT.findall(text.strip())
    if 2 * sum(CHARACTER.match(word) is not None for word in words) < len(words):
        return text.split(), " "
    return words, ""
