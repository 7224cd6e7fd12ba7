"""What an acquisition strategy is, and how it says what it reads."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Protocol, TypeVar

import numpy as np

from lit_react.acquisition.signals import PoolSignals, Rows

F = TypeVar("F", bound=Callable[..., Any])


class Strategy(Protocol):
    """A fixed rule that proposes which rows to label next: a pure function of its three arguments.

    What it reads beyond the signals that are always there, it says in attributes, see `reads` and `reads_if_offered`.
    """

    def __call__(self, signals: PoolSignals, k: int, generator: np.random.Generator) -> Rows:
        """Propose a batch from what one pass over the pool told; the generator is the only source of randomness.

        Returns int64 [min(k, n)], unlabeled rows relative to the pool, unique, best first.
        """
        ...


def reads(*names: str) -> Callable[[F], F]:
    """Decorate a strategy that reads these signals: a task that does not offer them is refused.

    The names are `head_inputs` or those of `PoolSignals.scores`; they become the attribute `reads`.
    """
    return _with_attribute("reads", names)


def reads_if_offered(*names: str) -> Callable[[F], F]:
    """Decorate a strategy that reads these signals where the task offers them, and does without elsewhere."""
    return _with_attribute("reads_if_offered", names)


def signals_read(strategy: Strategy, attribute: str = "reads") -> frozenset[str]:
    """The names in one of the two attributes of a strategy, or of the function that a `partial` sets options of."""
    return frozenset(getattr(strategy.func if isinstance(strategy, partial) else strategy, attribute, ()))


def _with_attribute(attribute: str, names: tuple[str, ...]) -> Callable[[F], F]:
    def decorate(function: F) -> F:
        setattr(function, attribute, frozenset(names))
        return function

    return decorate
