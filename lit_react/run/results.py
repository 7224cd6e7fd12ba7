"""`result.json`: all that tables and figures read."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from lit_react.core.errors import UserError
from lit_react.core.files import write_json
from lit_react.core.version import __version__
from lit_react.run.best_round import best_round
from lit_react.run.state import RunState

OF_A_RUN = {"version", "stopped", "aulc", "rounds"}
OF_A_ROUND = {"round", "labeled", "validation", "cost", "shown", "metrics"}
"""What a result file has at least."""


def aulc(rounds: list[dict[str, Any]], metric: str) -> float | None:
    """Area under the learning curve: mean of a metric over the rounds, start point included; None if it is absent."""
    values = [round["metrics"][metric] for round in rounds if metric in round["metrics"]]
    return sum(values) / len(values) if values else None


def have_one_price(rounds: list[dict[str, Any]]) -> bool:
    """Whether labels cost the same, so that their number says what was spent."""
    bought = [(entry["cost"], entry["labeled"] + entry["validation"]) for entry in rounds]
    prices = [cost / labels for cost, labels in bought if labels]
    return all(math.isclose(price, prices[0], rel_tol=1e-6) for price in prices)


def write_results(folder: Path, state: RunState) -> None:
    """Write `result.json`, whole, after each round."""
    metrics = sorted({name for round in state.rounds for name in round["metrics"]})
    write_json(
        folder / "result.json",
        {
            "version": __version__,
            "stopped": state.stopped,
            "best_round": best_round(state.rounds),
            "aulc": {name: aulc(state.rounds, name) for name in metrics},
            "rounds": state.rounds,
        },
    )


def read_results(folder: Path) -> dict[str, Any]:
    """The content of a run's `result.json`.

    Raises:
        UserError: there is none, or it is something else.
    """
    path = folder / "result.json"
    try:
        results: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file, expected the folder of a run") from error
    except ValueError as error:
        raise UserError(f"{path}: not a result file, {error}") from error
    rounds = results.get("rounds") if isinstance(results, dict) and results.keys() >= OF_A_RUN else None
    if not rounds or not all(isinstance(entry, dict) and entry.keys() >= OF_A_ROUND for entry in rounds):
        raise UserError(f"{path}: not a result file, expected one that lit-react wrote")
    return results
