"""When negative texts become more frequent among a topic's texts: CUSUM (Page 1954) on the log-likelihood ratio.

No library is used: those that are kept (`river.drift.PageHinkley`, `ruptures`) weigh all values alike and take a
threshold as a bare number; here hours have few texts, and the threshold follows from the false alerts that are wanted.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

ODDS = 2.0
"""Times the odds of the quiet beginning that a surge is tuned to; others are found as well, a little later."""

PATHS = 1000
"""Quiet stretches that are drawn to set a threshold."""

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Detector:
    """What is usual of a topic, and when it is not.

    Attributes:
        share: of negative texts in the quiet beginning, in (0, 1).
        threshold: of the sum of log-likelihood ratios, in nats.
    """

    share: float
    threshold: float

    def step(self, sum_before: float, texts: int, negative: int) -> float:
        """The sum after one more period; a period without texts leaves it as it was."""
        return min(float(_after(sum_before, texts, negative, self.share)), self.threshold)

    @classmethod
    def of_quiet(
        cls, texts: Counts, negative: Counts, periods: int, false_alerts: float, generator: np.random.Generator
    ) -> Detector:
        """By the counts of a quiet beginning.

        The threshold is the least at which `false_alerts` are expected in so many quiet periods, by a bootstrap that
        draws both what is taken for usual and what comes then: a short beginning has a higher threshold.

        Args:
            texts: int64 [n], of each period.
            negative: int64 [n], of those.
            periods: that a drawn stretch has.
            false_alerts: wanted in a stretch; above 0.
            generator: of the draws.
        """
        size = (len(texts), PATHS)
        drawn = generator.integers(len(texts), size=size)
        shares = usual_share(texts[drawn].sum(axis=0), negative[drawn].sum(axis=0))
        sums, highest = np.zeros(PATHS), np.zeros(PATHS)
        for _ in range(periods):
            hours = generator.integers(len(texts), size=PATHS)
            sums = _after(sums, texts[hours], negative[hours], shares)
            highest = np.maximum(highest, sums)
        # Rare alerts come as in Poisson's law.
        level = float(np.quantile(highest, np.exp(-false_alerts), method="higher"))
        return cls(float(usual_share(texts.sum(), negative.sum())), float(np.nextafter(level, np.inf)))


def usual_share(texts: Counts | int, negative: Counts | int) -> Floats:
    """Of negative texts; half a text of each kind is added, so that none is impossible."""
    return np.asarray((negative + 0.5) / (np.asarray(texts) + 1.0), dtype=np.float64)


def _after(sums: Floats | float, texts: Counts | int, negative: Counts | int, share: Floats | float) -> Floats:
    surging = ODDS * share / (1 - share + ODDS * share)
    gain = negative * np.log(surging / share) + (texts - negative) * np.log((1 - surging) / (1 - share))
    return np.maximum(sums + gain, 0.0)
