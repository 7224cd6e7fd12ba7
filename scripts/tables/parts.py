"""What each way of a grid has more than one of them, at each number of labels, and how good its generated labels are.

    python scripts/tables/parts.py runs/stretching_parts [--baseline plain] [--seeds 0] [--data trec6 sst2]

Two Markdown tables. Of the test metric, in points: the mean over data sets of a way's difference to the baseline, a
seed's mean within a set first, ± standard error over the sets (two or more of them). Of generated labels, in percent
and over the same runs: how many of those with a weight are right, of all, of the model's own on the validation rows,
and the mean trust.
Ways that lack one of the runs, or have other numbers of labels, are left out and named.
"""

import argparse
from collections.abc import Sequence
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd

from lit_react.experiments.cells import Cell, load_grid
from lit_react.experiments.points import tidy_points

GENERATED = {"that count": "generated_accuracy", "of all": "generated_accuracy_all", "trust": "trust"}


def label_counts(cell: Cell) -> list[int]:
    """Of the rounds, without those for validation."""
    return [entry["labeled"] for entry in cell.rounds]


def difference_lines(ways: dict[str, list[Cell]], baseline: str) -> list[str]:
    """The baseline's means, then a way a line, the largest gain first."""
    points = tidy_points([cell for cells in ways.values() for cell in cells]).frame["score"]
    per_set = points.groupby(["data", "labels", "strategy"]).mean().unstack("strategy")
    gains = per_set.sub(per_set[baseline], axis=0).drop(columns=baseline).groupby("labels")
    means, errors = gains.mean(), gains.sem()
    itself = per_set[baseline].groupby("labels").mean()
    lines = [f"| `{baseline}` itself | " + " | ".join(f"{mean:.1f}" for mean in itself) + " |"]
    for way in means.mean().sort_values(ascending=False, kind="stable").index:
        pairs = zip(means[way], errors[way], strict=True)
        columns = (f"{mean:+.1f} ± {error:.1f}".replace("-", "−") for mean, error in pairs)
        lines.append(f"| `{way}` | " + " | ".join(columns) + " |")
    return lines


def generated_lines(ways: dict[str, list[Cell]]) -> list[str]:
    """Four lines for each way that generates labels; means over the fits in which a share is known."""
    lines = []
    for way, cells in ways.items():
        rows = []
        for cell, entry in ((run, entry) for run in cells for entry in run.rounds):
            shares = {name: entry.get("augmentation", {}).get(key, np.nan) for name, key in GENERATED.items()}
            own = entry["metrics"].get(f"val/{cell.metric}", np.nan)
            rows.append({"labels": entry["labeled"], **shares, "the model's own": own})
        means = 100 * pd.DataFrame(rows).groupby("labels").mean()
        if means["trust"].notna().any():
            shown = means.map(lambda share: "–" if np.isnan(share) else f"{share:.0f}")
            lines += [f"| `{way}`: {name} | " + " | ".join(shown[name]) + " |" for name in shown]
    return lines


def print_table(title: str, labels: Sequence[int], lines: Sequence[str]) -> None:
    """As Markdown."""
    print(f"| {title} | " + " | ".join(f"{count} labels" for count in labels) + " |")
    print("|" + "---|" * (len(labels) + 1))
    print(*lines, "", sep="\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("grid", type=Path, help="folder of a comparison")
    parser.add_argument("--baseline", default="plain")
    parser.add_argument("--seeds", type=int, nargs="+", help="only these; by default those of the baseline")
    parser.add_argument("--data", nargs="+", help="only these sets; by default those of the baseline")
    options = parser.parse_args()
    cells = {(cell.strategy, cell.data, cell.seed): cell for cell in load_grid(options.grid).cells}
    of_baseline = [key for key in cells if key[0] == options.baseline]
    sets = options.data or sorted({data for _, data, _ in of_baseline})
    seeds = options.seeds or sorted({seed for _, _, seed in of_baseline})
    if len(sets) < 2:
        raise SystemExit(f"error: {options.grid}: one data set has no error, expected two or more")
    keys = list(product(sets, seeds))
    if not keys or not all((options.baseline, *key) in cells for key in keys):
        raise SystemExit(f"error: {options.grid}: {options.baseline} lacks runs of {sets} with seeds {seeds}")
    labels = label_counts(cells[options.baseline, *keys[0]])
    names = sorted({strategy for strategy, _, _ in cells})
    runs = {way: [cells[way, *key] for key in keys if (way, *key) in cells] for way in names}
    whole = (way for way in names if len(runs[way]) == len(keys) and all(label_counts(c) == labels for c in runs[way]))
    ways = {way: runs[way] for way in whole}
    print(f"{len(sets)} data sets ({', '.join(sets)}), seeds {', '.join(map(str, seeds))}")
    print_table(f"difference to `{options.baseline}`", labels, difference_lines(ways, options.baseline))
    if lines := generated_lines(ways):
        print_table("generated labels", labels, lines)
    if lacking := [way for way in names if way not in ways]:
        print(f"left out, for they lack runs or have other labels: {', '.join(lacking)}")


if __name__ == "__main__":
    main()
