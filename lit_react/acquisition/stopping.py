"""When to stop buying."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lit_react.core.bounds import expect


@dataclass(frozen=True)
class Progress:
    """What a run has come to after a fit."""

    values: Sequence[float]  # the validation metric of each round, this one last
    labels: int  # labeled rows of the pool
    cost: float  # of all labels so far, in cost units
    # mean normalised entropy of the unlabeled rows, in [0, 1]; to call it takes a pass over the pool, which a query
    # needs anyway
    uncertainty: Callable[[], float]
    # of rows that were bought, in their order: whether the fit before had predicted their label; none where V(s) was
    # measured on validation rows
    right: Sequence[bool] = ()


class StoppingRule(ABC):
    """Reasons to stop before the budget is spent."""

    @abstractmethod
    def __call__(self, progress: Progress) -> str | None:
        """The reason to stop buying after this round, or None."""


@dataclass
class Stopping(StoppingRule):
    """The built-in reasons; each is off where it is None.

    Args:
        max_rounds: fits, the one on the initial labels included.
        target: stop once the validation metric is this or more, in 0 … 1.
        plateau_rounds: stop when the best metric of the last so many rounds does not exceed the best before them …
        plateau_delta: … by more than this.
        min_uncertainty: stop when the pool's mean normalised entropy falls below this share.
    """

    max_rounds: int | None = None
    target: float | None = None
    plateau_rounds: int | None = None
    plateau_delta: float = 0.0
    min_uncertainty: float | None = None

    def __post_init__(self) -> None:
        for name, least, most in (
            ("max_rounds", 1, None),
            ("target", 0, 1),
            ("plateau_rounds", 1, None),
            ("min_uncertainty", 0, 1),
        ):
            if (value := getattr(self, name)) is not None:
                expect(f"rounds.stopping.{name}", value, at_least=least, at_most=most)

    def __call__(self, progress: Progress) -> str | None:
        """The first reason that holds; the pool is looked at last."""
        values, n = progress.values, self.plateau_rounds
        if self.max_rounds is not None and len(values) >= self.max_rounds:
            return f"{len(values)} rounds are done"
        if self.target is not None and values[-1] >= self.target:
            return f"the metric {values[-1]:.4f} reached the target {self.target}"
        if n is not None and len(values) > n and max(values[-n:]) <= max(values[:-n]) + self.plateau_delta:
            return f"the metric did not rise by more than {self.plateau_delta} in {n} rounds"
        if self.min_uncertainty is not None and (uncertainty := progress.uncertainty()) < self.min_uncertainty:
            return f"the pool's uncertainty {uncertainty:.4f} fell below {self.min_uncertainty}"
        return None
