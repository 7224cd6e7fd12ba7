"""Which round's model is the run's."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any


def best_round(rounds: Sequence[dict[str, Any]]) -> int:
    """The newest round that is within its standard error of the best on validation labels; the last one without them.

    More labels make better models: a round's luck with few validation labels is no reason to go back, a fit that went
    wrong is. An estimate from bought labels has no say: that of an early round believes an overconfident model. One
    that is passed over once is never the best later.

    Args:
        rounds: see `RunState`; one or more.

    Returns:
        its position.
    """
    judged = [_judged(entry) for entry in rounds]
    best = max(value for value, _ in judged)
    return max(place for place, (value, error) in enumerate(judged) if value + error >= best)


def judged_by(entry: dict[str, Any]) -> str:
    """Name of the metric that a round is judged by."""
    return f"val/{entry['shown'][0]}"


def _judged(entry: dict[str, Any]) -> tuple[float, float]:
    """That metric and its standard error: at most that of a share of so many rows, one right and one wrong added."""
    metrics, name, rows = entry["metrics"], judged_by(entry), entry["validation"]
    if name not in metrics:
        return 0.0, math.inf
    share = (metrics[name] * rows + 1) / (rows + 2)
    return metrics[name], math.sqrt(max(share * (1 - share), 0) / rows)
