"""The kind of part that varies texts, and what it gives."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


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
