"""When generated labels count, and how much: not before the bought ones were learned, not where they are the worse."""

from __future__ import annotations

import copy
from typing import Literal

from lit_react.core.bounds import expect


class Trust:
    """The factor of the loss on generated labels.

    A generator that knows less than the model would pull it down. So generated labels wait until the model has learned
    what the bought ones teach, and count as far as their generator does better than the model on the validation rows,
    whose labels were bought too: trust is 0 where its accuracy is 5 points lower, 1 where it is 5 points higher, linear
    between, and measured anew at each validation.

    Args:
        mode: `validated`, as said above; `always`: 1 from `start` on.
        start: share of the steps before generated labels count.
        ramp: share of the steps in which they come to count in full.
        margin: the difference in accuracy at which trust is 0 or 1.

    Attributes:
        generator_accuracy: that of the generated labels of the validation rows; None: there are none yet.
    """

    def __init__(
        self,
        mode: Literal["validated", "always"] = "validated",
        start: float = 0.4,
        ramp: float = 0.2,
        margin: float = 0.05,
    ) -> None:
        expect("augmentation.trust.start", start, at_least=0, below=1)
        expect("augmentation.trust.ramp", ramp, at_least=0)
        expect("augmentation.trust.margin", margin, above=0)
        self.mode, self.start, self.ramp, self.margin = mode, start, ramp, margin
        self.generator_accuracy: float | None = None
        self._model_accuracy: float | None = None
        self._progress = 0.0
        self._is_generated = self._is_final = False

    def move(self, progress: float) -> None:
        """So large a share of the fit's steps is done."""
        self._progress = progress

    def generated(self, accuracy: float | None) -> None:
        """There are generated labels now; of those of the validation rows this share is right, None: there are none."""
        self._is_generated = True
        if accuracy is not None:
            self.generator_accuracy = accuracy

    def validated(self, accuracy: float) -> None:
        """The model was validated."""
        self._model_accuracy = accuracy

    def for_refit(self) -> Trust:
        """The trust of a fit that has no validation rows: what was measured stays."""
        taken = copy.copy(self)
        taken._progress, taken._is_generated, taken._is_final = 0.0, False, True
        return taken

    @property
    def is_lost(self) -> bool:
        """Whether labels need not be generated: no validation will come that could raise a trust of 0."""
        return self._is_final and self._measured == 0

    @property
    def value(self) -> float:
        """Trust in the generator, in [0, 1]; 0 before there are generated labels."""
        return self._measured if self._is_generated else 0.0

    @property
    def _measured(self) -> float:
        if self.mode == "always":
            return 1.0
        if self.generator_accuracy is None or self._model_accuracy is None:
            return 0.0
        return min(max((self.generator_accuracy - self._model_accuracy) / (2 * self.margin) + 0.5, 0.0), 1.0)

    @property
    def factor(self) -> float:
        """How much generated labels count at present."""
        if self._progress < self.start:
            return 0.0
        return self.value * (min(1.0, (self._progress - self.start) / self.ramp) if self.ramp else 1.0)
