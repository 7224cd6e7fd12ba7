"""Grids of made-up results, as a comparison writes them."""

import io
import json
import runpy
import sys
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import pytest

from lit_react.experiments.cells import load_grid
from lit_react.experiments.comparison import Comparison, compare_grid

TABLES = Path(__file__).parents[2] / "scripts" / "tables"
FOUR = {"policy": 3.0, "facility_location": 3.0, "badge": 1.0, "random": 0.0}
FLAT = {"policy": 0.5, "badge": 0.6, "random": 0.4}
LABELS = (20, 40, 60, 80, 100, 128, 160, 200, 260)


def printed(script, *words):
    """What a script of `scripts/tables` prints, or the message that it ends with."""
    out = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out):
        patch.setattr(sys, "argv", [script, *map(str, words)])
        try:
            runpy.run_path(str(TABLES / script), run_name="__main__")
        except SystemExit as stopped:
            return str(stopped.code)
    return out.getvalue()


def write_cell(
    folder, labels, accuracy, stopped="the budget is spent", metrics=("accuracy", "macro_f1", "ece"), costs=None
):
    """`result.json` of one run; accuracy as shares, one per label count; stopped None for a run that goes on.

    A label costs 1 where `costs` does not say what was spent, 100 on validation included.
    """
    others = {"macro_f1": lambda value: 0.97 * value, "ece": lambda value: 0.3 * (1 - value)}
    rounds = [
        {
            "round": number,
            "labeled": count,
            "validation": 100,
            "cost": count + 100.0 if costs is None else costs[number],
            "shown": [*metrics[:1]] or ["accuracy"],
            "metrics": {f"test/{name}": others.get(name, lambda value: value)(value) for name in metrics},
            "reward": None,
            "q": {},
            "seconds": {"fit": 1.0},
        }
        for number, (count, value) in enumerate(zip(labels, accuracy, strict=True))
    ]
    folder.mkdir(parents=True)
    results = {"version": "0.2.0", "stopped": stopped, "aulc": {}, "rounds": rounds}
    (folder / "result.json").write_text(json.dumps(results))


def write_grid(folder, effects, sets=3, seeds=3, noise=0.01, labels=LABELS, data_seed=0, spread=0.0):
    """A run per data set, strategy and seed.

    Seeds of a data set share their noise in part, as runs from the same initial labels do. `effects` are in points, by
    strategy; `spread` is the standard deviation in points of a strategy's own luck on a data set.
    """
    generator = np.random.default_rng(data_seed)
    counts = np.array(labels)
    for number in range(sets):
        top, rate = generator.uniform(0.75, 0.97), generator.uniform(0.3, 0.9)
        curve = top - (top - 0.35) * (counts / counts[0]) ** -rate
        luck = {name: generator.normal(0, spread) for name in effects}
        for seed in range(seeds):
            shared = generator.normal(0, noise, len(counts))
            for name, effect in effects.items():
                own = generator.normal(0, noise, len(counts))
                growth = (effect + luck[name]) / 100 * (1 - counts[0] / counts) ** 0.5
                accuracy = np.clip(curve + growth + shared + own, 0, 0.999)
                write_cell(folder / f"set_{number:02d}" / name / f"seed_{seed:02d}", labels, accuracy.tolist())
    return folder


FOURTEEN = {
    "policy": 3.0,
    "facility_location": 3.0,
    "badge": 2.2,
    "margin": 2.0,
    "cal": 1.6,
    "typiclust": 0.8,
    "density": 1.2,
    "prob_cover": 0.4,
    "coreset": -0.5,
    "entropy": 0.6,
    "least_confidence": 0.5,
    "bald": 0.9,
    "albl": 1.0,
    "random": 0.0,
}


def write_flat(folder, means, sets=("a",), seeds=2):
    """A grid of level curves, the value of each strategy given."""
    for data in sets:
        for name, value in means.items():
            for seed in range(seeds):
                write_cell(folder / data / name / f"seed_{seed:02d}", (100, 200), (value, value))
    return folder


def read(folder, **roles) -> Comparison:
    options = {"focus": "policy", "reference": "facility_location", "baseline": "random"} | roles
    return compare_grid(load_grid(folder).cells, **options)


def bold(table, name):
    place = table.header.index(name)
    return {row[0].text for row in table.entries() if row[place].bold}
