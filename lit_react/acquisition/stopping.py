"""When to stop buying."""

from __future__ import annotations

from dataclasses import dataclass

from lit_react.core.bounds import expect


@dataclass
class Stopping:
    """Reasons to stop before the budget is spent; each is off where it is None.

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

    def by_metric(self, values: list[float]) -> str | None:
        """The reason to stop after these rounds' metrics, or None."""
        if self.max_rounds is not None and len(values) >= self.max_rounds:
            return f"{len(values)} rounds are done"
        if self.target is not None and values[-1] >= self.target:
            return f"the metric {values[-1]:.4f} reached the target {self.target}"
        n = self.plateau_rounds
        if n is not None and len(values) > n and max(values[-n:]) <= max(values[:-n]) + self.plateau_delta:
            return f"the metric did not rise by more than {self.plateau_delta} in {n} rounds"
        return None

    def by_uncertainty(self, uncertainty: float) -> str | None:
        """The reason to stop at this mean normalised entropy of the pool, or None."""
        if self.min_uncertainty is not None and uncertainty < self.min_uncertainty:
            return f"the pool's uncertainty {uncertainty:.4f} fell below {self.min_uncertainty}"
        return None
