"""Two ways of two grids, round by round at equal cost: what `report` cannot pair, as labels are split otherwise.

    python scripts/tables/equal_cost.py runs/label_stretching/stretched runs/no_validation/fixed_steps

Pairs of data set and seed that both have; the means of the test metric, their difference and its standard error over
the pairs, how many pairs the first way wins, and the exact Wilcoxon p, for each cost alone.
"""

import argparse
from pathlib import Path

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from lit_react.core.errors import UserError
from lit_react.core.statistics import standard_error, wilcoxon
from lit_react.experiments.cells import load_grid

Curve = dict[float, float]
"""Cost → points of the test metric."""


def curves(way: Path) -> dict[tuple[str, int], Curve]:
    """Those of the finished cells of a way, `<grid>/<strategy>`, by data set and seed."""
    cells = [cell for cell in load_grid(way.parent).cells if cell.strategy == way.name]
    return {
        (cell.data, cell.seed): {entry["cost"]: 100 * entry["metrics"][f"test/{cell.metric}"] for entry in cell.rounds}
        for cell in cells
    }


def comparison(first: Path, second: Path) -> Table:
    """A line for each cost that all curves have."""
    ours, theirs = curves(first), curves(second)
    for way, found in ((first, ours), (second, theirs)):
        if not found:
            raise UserError(f"{way}: no finished cells, expected {way.parent}/<data>/{way.name}/seed_XX")
    pairs = sorted(ours.keys() & theirs.keys())
    if not pairs:
        raise UserError(f"{first} and {second} have no data set and seed in common")
    table = Table(title=f"{len(pairs)} pairs of {len({data for data, _ in pairs})} data sets", box=box.SIMPLE_HEAD)
    for heading in ("cost", first.name, second.name, "difference", "wins", "p"):
        table.add_column(heading, justify="right")
    for cost in sorted(set.intersection(*(set(of[pair]) for of in (ours, theirs) for pair in pairs))):
        a, b = (np.array([of[pair][cost] for pair in pairs]) for of in (ours, theirs))
        gain = f"{np.mean(a - b):+.1f} ± {standard_error(a - b):.1f}"
        table.add_row(
            f"{cost:g}", f"{a.mean():.1f}", f"{b.mean():.1f}", gain, str((a > b).sum()), f"{wilcoxon(a - b):.3f}"
        )
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("first", type=Path, help="<grid>/<strategy>")
    parser.add_argument("second", type=Path, help="the like")
    options = parser.parse_args()
    try:
        Console().print(comparison(options.first, options.second))
    except UserError as error:
        raise SystemExit(f"error: {error}") from error


if __name__ == "__main__":
    main()
