"""The names of classes, read as text."""

from __future__ import annotations

import re
from collections.abc import Sequence

TEMPLATES = ("{}", "This text is about {}.", "This example is {}.")
"""What a name is put into; the embeddings of all are averaged."""


def say_something(names: Sequence[str]) -> bool:
    """Whether names of classes are words: most of them have two letters or more, and are not `LABEL_3`."""
    words = [name for name in names if re.search(r"[^\W\d_]{2}", name) and not re.fullmatch(r"(?i)label_?\d+", name)]
    return 2 * len(words) > len(names)


def readable(name: str) -> str:
    """`AddToPlaylist`, `card_arrival` and `Cause-Effect(e1,e2)` as people would say them."""
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)
    return " ".join(re.sub(r"[\W_]+", " ", apart).lower().split()) or name
