"""Next-sentence prediction: which pairs are true."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from lit_react.pretraining.masking import IGNORED
from lit_react.pretraining.passages import Passages

Ints = NDArray[np.int64]
NEXT, RANDOM = 0, 1
"""Labels of next-sentence prediction, as transformers counts them."""
NEIGHBOURS = 64
"""A random B is drawn from so many passages with a shorter tail, and so many with a longer one."""
ATTEMPTS = 32
"""Draws until one fits."""


@dataclass(frozen=True)
class Pairs:
    """An epoch's sentence pairs: A is the head of a passage, B the tail of the same passage or of another text's."""

    heads: Ints  # int64 [n], sentences of A; 0 for a passage of one sentence, which is all tail
    partners: Ints  # int64 [n], the passage whose tail is B, relative to the passages; its own where B is the next
    # int64 [n], `NEXT`, `RANDOM`, or `IGNORED` for a passage of one sentence: it has no pair and serves masked language
    # modelling alone
    labels: Ints

    @classmethod
    def draw(cls, passages: Passages, room: int, generator: np.random.Generator) -> Self:
        """Split each passage between two sentences; half of them get another tail, of another text and about as long.

        Whole tails of passages that have a head are exchanged, and the length is alike, so that neither a cut sentence
        nor the length nor the way that texts begin tells which pairs are true. A and B have `room` tokens together at
        most. A pair stays true where no other tail is found (a corpus of one text).
        """
        rows = np.arange(len(passages))
        pairs = np.flatnonzero(passages.counts > 1)
        heads, tokens = np.zeros_like(rows), np.zeros_like(rows)
        heads[pairs] = 1 + np.floor(generator.random(len(pairs)) * (passages.counts[pairs] - 1)).astype(np.int64)
        tokens[pairs] = passages.tokens_of(pairs, heads[pairs])
        tails = passages.lengths - tokens
        order = pairs[np.argsort(tails[pairs] + generator.random(len(pairs)))]  # ties in random order
        rank = np.zeros_like(rows)
        rank[order] = np.arange(len(order))
        partners = rows.copy()
        open_ = generator.permutation(pairs)[: len(pairs) // 2]
        for _ in range(ATTEMPTS):
            offsets = generator.integers(-NEIGHBOURS, NEIGHBOURS + 1, size=len(open_))
            found = order[np.clip(rank[open_] + offsets, 0, len(order) - 1)]
            fits = (passages.texts[found] != passages.texts[open_]) & (tokens[open_] + tails[found] <= room)
            partners[open_[fits]] = found[fits]
            open_ = open_[~fits]
        labels = np.where(partners == rows, NEXT, RANDOM)
        return cls(heads, partners, np.where(passages.counts > 1, labels, IGNORED))
