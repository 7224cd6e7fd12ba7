"""Which of some entries a text belongs to: by the meaning of what is known of each, and by its words (BM25)."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import CountVectorizer

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Embed = Callable[[Sequence[str]], Floats]
"""Texts [n] → embeddings of unit length, float32 [n, d]."""

WEIGHTS = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
"""Of BM25 beside the cosine, those that are tried; `USUAL` where nothing can be tried."""
USUAL = 0.1
MOST_HELD_OUT, BLOCK = 1000, 64
"""Questions, and those that are scored at once."""

_CHARACTERS = "\u3040-\u30ff\u3400-\u9fff"  # kana and Chinese characters, which no spaces part
_RUNS = re.compile(rf"[{_CHARACTERS}]+|[^\W_{_CHARACTERS}]+")


def words_of(text: str) -> list[str]:
    """Words in small letters; of Chinese and Japanese the characters and all pairs of neighbours."""
    words = []
    for run in _RUNS.findall(text.casefold()):
        pairs = [run[at : at + 2] for at in range(len(run) - 1)]
        words.extend([*run, *pairs] if re.match(f"[{_CHARACTERS}]", run) else [run])
    return words


class BM25:
    """Okapi BM25 (Robertson and Zaragoza 2009) with the idf of Lucene, which is never negative.

    Args:
        documents: one or more.
        k1: how soon a word's repetitions stop to count.
        b: how far long documents are discounted, in [0, 1].
    """

    def __init__(self, documents: Sequence[str], k1: float = 1.5, b: float = 0.75) -> None:
        self._counter = CountVectorizer(analyzer=words_of, dtype=np.float32, vocabulary=_vocabulary(documents))
        counts = self._counter.transform(documents).tocsr()
        there = np.bincount(counts.indices, minlength=counts.shape[1])
        idf = np.log(1 + (len(documents) - there + 0.5) / (there + 0.5))
        self._unknown = float(np.log(1 + (len(documents) + 0.5) / 0.5))
        lengths = np.asarray(counts.sum(axis=1)).ravel()
        discount = 1 - b + b * lengths / max(lengths.mean(), 1e-9)
        of = np.repeat(np.arange(len(documents)), np.diff(counts.indptr))
        counts.data *= idf[counts.indices] / (counts.data + k1 * discount[of])
        self._weights, self._idf = counts, idf.astype(np.float32)

    def scores(self, queries: Sequence[str]) -> Floats:
        """float32 [q, n], each divided by what a document could reach that has all words of the query: in [0, 1)."""
        asked = self._counter.transform(queries)
        lengths = np.array([len(words_of(query)) for query in queries], np.float32)
        known = np.asarray(asked.sum(axis=1)).ravel()
        most = asked @ self._idf + (lengths - known) * self._unknown
        found: Floats = (asked @ self._weights.T).toarray()
        return found / np.maximum(most, 1e-9)[:, None]


def _vocabulary(documents: Sequence[str]) -> dict[str, int]:
    words = sorted({word for document in documents for word in words_of(document)})
    return {word: number for number, word in enumerate(words or [""])}


@dataclass(frozen=True)
class Keys:
    """Texts by which entries are found: questions and answers that are written down, questions that were bought.

    Attributes:
        texts: one or more.
        owners: int64 [k], the entry of each, from 0; each entry has one key or more.
        asked: int64 [a], which are questions, to be held out.
        bought: whether all of these were bought, being enough; else those that are written down are among them.
    """

    texts: list[str]
    owners: Ints
    asked: Ints
    bought: bool


class Index:
    """Scores entries for a text: each by its best key, whose cosine plus `weight` times BM25 counts.

    The weight is the one of `WEIGHTS` by which most held-out questions find their entry: words say little where the
    encoder knows the language, and nearly all where it does not. (Fusion by reciprocal ranks is worse than the cosine
    alone wherever BM25 is.)

    Args:
        keys: of all entries.
        embed: a frozen encoder; one that has learned the bought questions would find what it knows.
    """

    def __init__(self, keys: Keys, embed: Embed) -> None:
        self.keys, self._embed = keys, embed
        self._order = np.argsort(keys.owners, kind="stable")
        self._starts = np.searchsorted(keys.owners[self._order], np.arange(keys.owners.max() + 1))
        self._embeddings, self._words = embed(keys.texts), BM25(keys.texts)
        phrases = [tuple(words_of(text)) for text in keys.texts]
        self._phrased = dict(zip(phrases, keys.owners.tolist(), strict=True))
        self._same = np.unique([" ".join(phrase) for phrase in phrases], return_inverse=True)[1]
        asked = np.random.default_rng(0).permutation(keys.asked)[:MOST_HELD_OUT]
        self._held_out = asked[np.bincount(keys.owners)[keys.owners[asked]] > 1]
        self.weight = USUAL
        if len(self._held_out):
            self.weight = max(WEIGHTS, key=lambda weight: self.held_out(weight)[1].sum())

    def scores(self, texts: Sequence[str]) -> Floats:
        """float32 [t, entries]."""
        return self._of_entries(self._embed(texts) @ self._embeddings.T + self.weight * self._words.scores(texts))

    def phrased(self, text: str) -> int | None:
        """The entry that has a text word by word as its key."""
        return self._phrased.get(tuple(words_of(text)))

    def held_out(self, weight: float | None = None) -> tuple[NDArray[np.float64], Bools]:
        """Of questions that are no keys for once the best entry's score, [h], and whether it is theirs, bool [h].

        Those whose entry has no other key are left out.
        """
        numbers = np.arange(len(self.keys.texts))

        def hidden(rows: Ints) -> Bools:
            return np.asarray(rows[:, None] == numbers)

        scores, found = self._best_without(self._held_out, hidden, self.weight if weight is None else weight)
        return scores.astype(np.float64), found == self.keys.owners[self._held_out]

    def of_others(self) -> Floats:
        """float32 [h], of questions the best score of an entry that is *not* theirs: what chance likeness comes to.

        Others' keys that are the same word by word do not count.
        """
        owners, same = self.keys.owners, self._same

        def hidden(rows: Ints) -> Bools:
            return np.asarray((owners[rows, None] == owners) | (same[rows, None] == same))

        return self._best_without(self.keys.asked[:MOST_HELD_OUT], hidden, self.weight)[0]

    def _best_without(self, rows: Ints, hidden: Callable[[Ints], Bools], weight: float) -> tuple[Floats, Ints]:
        """Of keys as questions [h] the best score and its entry, where the keys [h, k] that are hidden do not count.

        By blocks, as all scores of a thousand questions and many keys fill the memory.
        """
        best, found = np.zeros(len(rows), np.float32), np.zeros(len(rows), np.int64)
        for start in range(0, len(rows), BLOCK):
            block = rows[start : start + BLOCK]
            words = self._words.scores([self.keys.texts[row] for row in block])
            scores = self._embeddings[block] @ self._embeddings.T + weight * words
            scores = self._of_entries(np.where(hidden(block), -np.inf, scores))
            best[start : start + BLOCK], found[start : start + BLOCK] = scores.max(axis=1), scores.argmax(axis=1)
        return best, found

    def _of_entries(self, of_keys: Floats) -> Floats:
        return np.maximum.reduceat(of_keys[:, self._order], self._starts, axis=1)
