"""The cells of a grid: what its runs have measured, read from their `result.json`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from lit_react.core.errors import UserError
from lit_react.run.results import read_results

CEILING = "full"
"""The strategy that buys the whole pool: a reference for the others, none of them."""


@dataclass(frozen=True)
class Cell:
    """A finished run of a grid."""

    data: str  # name of the data set
    strategy: str  # what bought the labels
    seed: int  # of the run
    version: str  # of lit-react
    rounds: list[dict[str, Any]]  # as `result.json` has them

    @property
    def name(self) -> str:
        """`<data>/<strategy>/seed_XX`."""
        return cell_name(self.data, self.strategy, self.seed)

    @property
    def metric(self) -> str:
        """Name of the task's metric."""
        return self.rounds[0]["shown"][0]


@dataclass(frozen=True)
class Grid:
    """The runs of a comparison."""

    cells: list[Cell]  # the finished ones, in order of data set, strategy and seed
    unfinished: list[str]  # names of those that were begun

    @property
    def missing(self) -> list[str]:
        """Names of the runs that the grid would have if each strategy had each data set and each seed."""
        done = {cell.name for cell in self.cells}
        others = [cell for cell in self.cells if cell.strategy != CEILING]
        places = product({c.data for c in others}, {c.strategy for c in others}, {c.seed for c in others})
        return sorted({cell_name(*place) for place in places} - done | set(self.unfinished))


def cell_name(data: str, strategy: str, seed: int) -> str:
    """`<data>/<strategy>/seed_XX`: where a cell lies in the folder of its grid."""
    return f"{data}/{strategy}/seed_{seed:02d}"


def load_grid(folder: Path) -> Grid:
    """Read `folder/<data>/<strategy>/seed_XX/result.json`; a `UserError` where none is finished or one is damaged."""
    cells, unfinished = [], []
    for path in folder.glob("*/*/seed_*"):
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
    return Grid(sorted(cells, key=lambda cell: (cell.data, cell.strategy, cell.seed)), sorted(unfinished))
