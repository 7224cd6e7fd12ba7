"""What V(s) is worth where no label is bought to measure it: the estimates of a way against its test metric.

    python scripts/tables/estimates.py runs/labels/default

Of all finished cells, over the rounds after the first query: how far the estimate is from the test metric, in points
(mean, spread, and the standard error that was stated); its correlation with the test metric; and that of its gains,
which are the rewards, with those of the test metric.
"""

import argparse
from itertools import pairwise
from pathlib import Path

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from lit_react.acquisition.estimate import ERROR, ESTIMATE
from lit_react.core.errors import UserError
from lit_react.experiments.cells import load_grid


def levels(way: Path) -> list[np.ndarray]:
    """Of each cell float64 [rounds, 3]: estimate, its error and the test metric, in points."""
    cells = [cell for cell in load_grid(way.parent).cells if cell.strategy == way.name]
    found = [
        [[100 * entry["metrics"][name] for name in (ESTIMATE, ERROR, f"test/{cell.metric}")] for entry in cell.rounds]
        for cell in cells
        if all(ESTIMATE in entry["metrics"] for entry in cell.rounds)
    ]
    if not found:
        raise UserError(f"{way}: no finished cells without validation labels")
    return [np.array(rounds) for rounds in found]


def table(way: Path) -> Table:
    """One line."""
    cells = levels(way)
    rounds = np.concatenate([cell[1:] for cell in cells])
    gains = np.concatenate([[after - before for before, after in pairwise(cell)] for cell in cells])
    off = rounds[:, 0] - rounds[:, 2]
    columns = {
        "cells": str(len(cells)),
        "level error": f"{off.mean():+.1f} ± {off.std(ddof=1):.1f}",
        "stated error": f"{rounds[:, 1].mean():.1f}",
        "correlation of levels": f"{np.corrcoef(rounds[:, 0], rounds[:, 2])[0, 1]:.2f}",
        "of gains": f"{np.corrcoef(gains[:, 0], gains[:, 2])[0, 1]:.2f}",
    }
    made = Table(title=str(way), box=box.SIMPLE_HEAD)
    for heading in columns:
        made.add_column(heading, justify="right")
    made.add_row(*columns.values())
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("way", type=Path, help="<grid>/<strategy>")
    options = parser.parse_args()
    try:
        Console().print(table(options.way))
    except UserError as error:
        raise SystemExit(str(error)) from error


if __name__ == "__main__":
    main()
