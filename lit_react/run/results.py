"""`result.json`: all that tables and figures read."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lit_react import __version__
from lit_react.core.errors import UserError
from lit_react.core.files import write_json
from lit_react.run.state import RunState


def aulc(rounds: list[dict[str, Any]], metric: str) -> float | None:
    """Area under the learning curve: mean of a metric over the rounds, start point included; None if it is absent."""
    values = [round["metrics"][metric] for round in rounds if metric in round["metrics"]]
    return sum(values) / len(values) if values else None


def have_one_price(rounds: list[dict[str, Any]]) -> bool:
    """Whether labels cost the same, so that their number says what was spent."""
    prices = [entry["cost"] / (entry["labeled"] + entry["validation"]) for entry in rounds]
    return all(math.isclose(price, prices[0], rel_tol=1e-6) for price in prices)


def write_results(folder: Path, state: RunState) -> None:
    """Write `result.json`, whole, after each round."""
    metrics = sorted({name for round in state.rounds for name in round["metrics"]})
    write_json(
        folder / "result.json",
        {
            "version": __version__,
            "stopped": state.stopped,
            "aulc": {name: aulc(state.rounds, name) for name in metrics},
            "rounds": state.rounds,
        },
    )


def read_results(folder: Path) -> dict[str, Any]:
    """The content of a run's `result.json`.

    Raises:
        UserError: there is none, or it is not JSON.
    """
    path = folder / "result.json"
    try:
        return json.loads(path.read_text())
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file, expected the folder of a run") from error
    except json.JSONDecodeError as error:
        raise UserError(f"{path}: not a result file, {error}") from error


@dataclass(frozen=True)
class Cell:
    """A finished run of a grid.

    Args:
        data: name of the data set.
        strategy: what bought the labels.
        seed: of the run.
        version: of lit-react.
        rounds: see `rounds.py`.
    """

    data: str
    strategy: str
    seed: int
    version: str
    rounds: list[dict[str, Any]]

    @property
    def metric(self) -> str:
        """Name of the task's metric."""
        return self.rounds[0]["shown"][0]


@dataclass(frozen=True)
class Grid:
    """The runs of a comparison.

    Args:
        cells: the finished ones, in order of data set, strategy and seed.
        unfinished: `data/strategy/seed_XX` of those that were begun.
    """

    cells: list[Cell]
    unfinished: list[str]


def load_grid(folder: Path) -> Grid:
    """Read `folder/<data>/<strategy>/seed_XX/result.json`.

    Raises:
        UserError: no run is finished, or a result file is damaged.
    """
    cells, unfinished = [], []
    for path in sorted(folder.glob("*/*/seed_*")):
        data, strategy, name = path.parts[-3:]
        if not (match := re.fullmatch(r"seed_(\d+)", name)):
            continue
        results: dict[str, Any] = read_results(path) if (path / "result.json").exists() else {"stopped": None}
        if results["stopped"] is None:
            unfinished.append(f"{data}/{strategy}/{name}")
        else:
            cells.append(Cell(data, strategy, int(match[1]), results["version"], results["rounds"]))
    if not cells:
        begun = f"{len(unfinished)} begun, none finished" if unfinished else "none there"
        raise UserError(f"{folder}: {begun}, expected finished runs in {folder}/<data>/<strategy>/seed_XX/result.json")
    return Grid(sorted(cells, key=lambda cell: (cell.data, cell.strategy, cell.seed)), unfinished)
