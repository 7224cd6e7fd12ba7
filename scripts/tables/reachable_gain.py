"""What share of the reachable gain a rule gets: rules on frozen embeddings, beside an oracle that may look.

    python scripts/tables/reachable_gain.py

A run begins with 20 random labels and buys 20 at a time of a pool of 1000, for a linear head on frozen embeddings. The
oracle, BoSS, takes the best of 100 batches by half of the test rows (`lit_react/simulation/oracle.py`). AULC is on the
other half, in points, with the standard error of the differences over pairs of data set and seed; a share is
(rule - random) / (BoSS - random), of means; `early` up to 60 labels, `seen` by the rows that BoSS chose by. A run is a
file below --folder; one that is there is not made again.
"""

import argparse
import json
from itertools import product
from pathlib import Path

import numpy as np
import yaml
from rich import box
from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from lit_react.acquisition.strategies.naming import find_strategy
from lit_react.core.files import write_json
from lit_react.core.statistics import standard_error
from lit_react.simulation.evaluation import standard_task
from lit_react.simulation.oracle import Choose, best_of_strategies, measured_run
from lit_react.simulation.sources import Encoder, LabeledSet, embedded_sources, load_sources

BOSS, RANDOM, HALVES = "BoSS", "random", ("seen", "unseen")
RULES = ["facility_location", "uncertainty_herding", "max_herding", "margin", "badge", "typiclust", "bait", "dropquery"]
DATA = ["trec6", "sst2", "ag_news", "financial_phrasebank"]
POOL, QUERY, ROUNDS, EARLY = 1000, 20, 9, 3
"""Pool, labels per purchase, purchases; and states (20, 40 and 60 labels) that are early."""

Cell = tuple[str, str, int]
"""Data set, rule and seed."""


def chooser(name: str) -> Choose:
    """The oracle, or a strategy by its name."""
    if name == BOSS:
        return best_of_strategies
    strategy = find_strategy(name)
    return lambda now, generator: strategy(now.signals, now.task.query_size, generator)


def measure(files: dict[Cell, Path], config: Path, folder: Path) -> None:
    """Make the files that are not there."""
    missing = {cell: path for cell, path in files.items() if not path.exists()}
    known = yaml.safe_load(config.read_text())["sources"] if missing else {}
    sources = {name: LabeledSet(**known[name]) for name in dict.fromkeys(data for data, _, _ in missing)}
    for name in embedded_sources(sources, Encoder(), folder):
        print(f"embedded: {name}")
    for (data, rule, seed), path in tqdm(missing.items()):
        task = standard_task(data, load_sources((data,), folder)[data], seed, pool_size=POOL)
        write_json(path, measured_run(task, chooser(rule), rounds=ROUNDS, seed=seed))


def table(found: dict[str, dict[str, np.ndarray]]) -> Table:
    """A line for each rule; `found` has points by rule and half of the test rows, float64 [pairs, states]."""
    made = Table(box=box.SIMPLE_HEAD)
    for heading in ("rule", "AULC", "- random", "share", "early", "seen"):
        made.add_column(heading, justify="left" if heading == "rule" else "right", no_wrap=True)
    for rule, halves in sorted(found.items(), key=lambda entry: -entry[1]["unseen"].mean()):
        gains = {half: points - found[RANDOM][half] for half, points in halves.items()}
        most = {half: points - found[RANDOM][half] for half, points in found[BOSS].items()}
        of_pairs = gains["unseen"].mean(axis=1)
        shares = [
            gains["unseen"].mean() / most["unseen"].mean(),
            gains["unseen"][:, :EARLY].mean() / most["unseen"][:, :EARLY].mean(),
            gains["seen"].mean() / most["seen"].mean(),
        ]
        gain = f"{of_pairs.mean():+.1f} ± {standard_error(of_pairs):.1f}"
        made.add_row(rule, f"{halves['unseen'].mean():.1f}", gain, *(f"{share:.2f}" for share in shares))
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, default=Path("configs/simulate.yaml"), help="has the data sets")
    parser.add_argument("--folder", type=Path, default=Path("runs/reachable_gain"))
    parser.add_argument("--data", nargs="+", default=DATA)
    parser.add_argument("--rules", nargs="+", default=[*RULES, "refine"])
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    rules = [RANDOM, *options.rules, BOSS]
    cells = list(product(options.data, rules, range(options.seeds)))
    files = {cell: options.folder / cell[0] / cell[1] / f"seed_{cell[2]:02d}.json" for cell in cells}
    measure(files, options.config, options.folder / "sources")
    runs = {cell: json.loads(path.read_text()) for cell, path in files.items()}
    found = {
        rule: {half: 100 * np.array([run[half] for cell, run in runs.items() if cell[1] == rule]) for half in HALVES}
        for rule in rules
    }
    Console().print(table(found))


if __name__ == "__main__":
    main()
