"""Variants made of a row's own words: some are left out, some change places."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lit_react.augmentation.texts.base import TextAugmentation, Varied, row_generator
from lit_react.core.bounds import expect

Places = NDArray[np.int64]


class Rearrangement(TextAugmentation):
    """A part whose variants have no words but the row's.

    Args:
        share: of the words that need not stay: so many change, on average.
    """

    def __init__(self, share: float = 0.1) -> None:
        expect("augmentation.texts.share", share, above=0, at_most=1)
        self.share = share

    def vary(self, words: Sequence[Sequence[str]], kept: Sequence[Sequence[bool]], seed: int) -> list[Varied]:
        """See `TextAugmentation.vary`."""
        found = []
        for row, stays in zip(words, kept, strict=True):
            free = np.flatnonzero(~np.asarray(stays, dtype=bool))
            sources = self.rearrange(len(row), free, row_generator(row, stays, seed)).tolist()
            found.append(Varied([row[source] for source in sources], sources))
        return found

    @abstractmethod
    def rearrange(self, length: int, free: Places, generator: np.random.Generator) -> Places:
        """The places of a row's words in the order of the variant, int64 [m], as the generator chooses.

        The row has `length` words; `free`, int64 [f] and ascending, are the places of those that need not stay.
        """


class WordDropout(Rearrangement):
    """Leaves words out, each with the same probability (Iyyer et al. 2015; "random deletion" of Wei & Zou 2019).

    Where all words of a row would go, one of them, drawn, does not.

    Args:
        share: the probability; Wei & Zou propose 0.1, and 0.05 for up to 2,000 labeled texts; Iyyer et al. 0.3.
    """

    def rearrange(self, length: int, free: Places, generator: np.random.Generator) -> Places:
        """All places but those left out."""
        dropped = free[generator.random(len(free)) < self.share]
        if length and len(dropped) == length:
            dropped = np.delete(dropped, generator.integers(length))
        return np.delete(np.arange(length), dropped)


class WordSwap(Rearrangement):
    """Pairs of words change places ("random swap" of Wei & Zou 2019).

    No word is in two pairs, so that the share is that of the words which move.

    Args:
        share: of the words that move; the number of pairs is rounded up or down at random.
    """

    def rearrange(self, length: int, free: Places, generator: np.random.Generator) -> Places:
        """All places, some of them exchanged."""
        pairs = min(int(self.share * len(free) / 2 + generator.random()), len(free) // 2)
        first, second = generator.permutation(free)[: 2 * pairs].reshape(2, pairs)
        order = np.arange(length)
        order[first], order[second] = second, first
        return order
