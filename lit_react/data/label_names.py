"""The names of classes, read as text."""

from __future__ import annotations

import re
from collections.abc import Sequence

TEMPLATES = ("{}", "This text is about {}.", "This example is {}.")
"""What a name is put into; the embeddings of all are averaged."""


def say_something(names: Sequence[str]) -> bool:
    """Whether names of classes are words: most have two letters or more, and not all the same, as `LABEL_3` has."""
    letters = [re.sub(r"[\W\d_]+", "", name).casefold() for name in names]
    return 2 * sum(len(word) > 1 for word in letters) > len(names) and len(set(letters)) > 1


def readable(name: str) -> str:
    """`AddToPlaylist`, `card_arrival` and `Cause-Effect(e1,e2)` as people would say them."""
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)
    return " ".join(re.sub(r"[\W_]+", " ", apart).lower().split()) or name
