"""Long work says how long it will take, also where nobody sees a bar."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm.auto import tqdm

from lit_react.core.processes import is_first_process

log = logging.getLogger("lit_react")

T = TypeVar("T")

TOLD_AFTER = 4.0
"""Seconds after which an estimate is made."""

WORTH_TELLING = 5.0
"""Seconds of work left that are worth a line."""


class Estimate:
    """Says once in the log how long the rest of some work will take, where that is long; the first part is no measure.

    Args:
        what: is going on.
        total: parts of the work, all about as long; infinite where nobody knows.
    """

    def __init__(self, what: str, total: float) -> None:
        self._what, self._total, self._began, self._told = what, total, time.monotonic(), not is_first_process()
        self._first: tuple[int, float] | None = None

    def after(self, done: int) -> None:
        """So many parts are done."""
        now = time.monotonic()
        parts, began = self._first = self._first or (done, now)
        if self._told or now - self._began < TOLD_AFTER or done == parts:
            return
        self._told = True
        left = (now - began) / (done - parts) * (self._total - done)
        if WORTH_TELLING <= left < math.inf:
            log.info("%s: about %s left", self._what, f"{left / 60:.0f} min" if left > 90 else f"{left:.0f} s")


def followed(parts: Iterable[T], what: str, total: int, *, bar: bool) -> Iterator[T]:
    """The parts of some work, `total` of them, under a progress bar, or else with an `Estimate`."""
    if bar:
        yield from tqdm(parts, desc=what, total=total, leave=False)
        return
    estimate = Estimate(what, total)
    for done, part in enumerate(parts, start=1):
        yield part
        estimate.after(done)
