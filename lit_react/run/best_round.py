"""Which round's model is the run's."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from lit_react.acquisition.estimate import ERROR, ESTIMATE


def best_round(rounds: Sequence[dict[str, Any]]) -> int:
    """The newest round that is within its standard error of the best, as bought labels tell it.

    More labels make better models: a round's luck with few validation labels is no reason to go back, a fit that went
    wrong is. A round that was not judged counts as the best. One that is passed over once is never the best later.

    Args:
        rounds: see `RunState`; one or more.

    Returns:
        its position.
    """
    judged = [_judged(entry) for entry in rounds]
    best = max(value for value, _ in judged)
    return max(place for place, (value, error) in enumerate(judged) if value + error >= best)


def judged_by(entry: dict[str, Any]) -> str:
    """Name of the metric that a round is judged by: the task's on validation labels, or its estimate without them."""
    return ESTIMATE if ESTIMATE in entry["metrics"] else f"val/{entry['shown'][0]}"


def _judged(entry: dict[str, Any]) -> tuple[float, float]:
    """That metric and its standard error: at most that of a share of so many rows, one right and one wrong added."""
    metrics, name, rows = entry["metrics"], judged_by(entry), entry["validation"]
    if name not in metrics:
        return 0.0, math.inf
    share = (metrics[name] * rows + 1) / (rows + 2)
    return metrics[name], metrics[ERROR] if name == ESTIMATE else math.sqrt(max(share * (1 - share), 0) / rows)
