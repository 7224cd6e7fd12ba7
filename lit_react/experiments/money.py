"""The score over money, and what a baseline costs for the same score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from math import isinf
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.figure import Figure

from lit_react.acquisition.estimate import ERROR, ESTIMATE
from lit_react.core import statistics
from lit_react.core.errors import UserError
from lit_react.experiments import figures
from lit_react.experiments.annotators import Answers, annotators_table, read_answers
from lit_react.experiments.cells import CEILING, Cell
from lit_react.experiments.comparison import SEED, Comparison
from lit_react.experiments.efficiency import amount
from lit_react.experiments.pages import Block, Picture
from lit_react.experiments.tables import Entry, Table, number
from lit_react.run.results import read_results

DRAWS = 2000
"""Resamples of seeds."""


# ---- one run ------------------------------------------------------------------------------------------------------


@rc_context({"text.parse_math": False})  # a name may have dollars
def run_blocks(folder: Path) -> list[Block]:
    """Of one run: its annotators, its score over money, and why nothing is said of a random one."""
    annotators = annotators_table([read_answers(folder / "ledger.sqlite")])
    rounds = read_results(folder)["rounds"] if (folder / "result.json").exists() else []
    return [
        annotators or "All labels came with the data: no annotator was paid.",
        *(_spent_blocks(rounds) if rounds else ["No round has ended yet."]),
        "What random labels would have cost for the same score cannot be told from one run: compare this strategy with "
        "random over a few seeds (python -m lit_react compare); the report of that folder estimates it.",
    ]


def _spent_blocks(rounds: Sequence[dict[str, Any]]) -> list[Block]:
    name = rounds[0]["shown"][0]
    keys = (f"test/{name}", f"val/{name}", ESTIMATE)
    key = next((key for key in keys if all(key in entry["metrics"] for entry in rounds)), None)
    if key is None:
        return [f"No curve: not all rounds have one of {', '.join(keys)}."]
    called = {keys[0]: f"test {name}", keys[1]: f"validation {name}", ESTIMATE: f"{name}, estimated from bought labels"}
    scores = [100 * entry["metrics"][key] for entry in rounds]
    errors = [100 * entry["metrics"].get(ERROR, np.nan) if key == ESTIMATE else np.nan for entry in rounds]
    spent = [entry["cost"] for entry in rounds]
    gains = [
        np.nan,
        *(
            (b - a) / (d - c) if d > c else np.nan
            for (a, b), (c, d) in zip(pairwise(scores), pairwise(spent), strict=True)
        ),
    ]
    frame = pd.DataFrame(
        {
            "labels": [str(entry["labeled"]) for entry in rounds],
            "cost": [f"{cost:.6g}" for cost in spent],
            f"{called[key]}, %": [number(score, spread=error) for score, error in zip(scores, errors, strict=True)],
            "points per cost unit": [number(gain, digits=2, signed=True) for gain in gains],
        },
        index=pd.Index([str(entry["round"]) for entry in rounds], name="round"),
    )
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    axes.errorbar(spent, scores, None if np.isnan(errors).all() else errors, marker="o", color="#D55E00", capsize=2)
    axes.set(xlabel="cost of all labels, validation included", ylabel=f"{called[key]}, %")
    if max(scores) <= 100:
        axes.set_ylim(top=min(axes.get_ylim()[1], 102))
    axes.grid(color="#e6e6e6", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    caption = f"{called[key]} over money"
    note = "Cost: of all labels so far, those of validation included. Points per cost unit: since the round before."
    return [Picture("money", f"{caption[0].upper()}{caption[1:]}", figure), Table("money-rounds", caption, frame, note)]


# ---- a grid -------------------------------------------------------------------------------------------------------


@rc_context({"text.parse_math": False})
def grid_blocks(folder: Path, cells: Sequence[Cell], comparison: Comparison) -> list[Block]:
    """Of a grid: its annotators, the score over money, and what the baseline costs; none without annotators."""
    runs, unread = list[Answers](), list[str]()
    for cell in cells:
        try:
            if (ledger := folder / cell.name / "ledger.sqlite").is_file():
                runs.append(read_answers(ledger))
        except UserError as error:
            unread.append(str(error))
    annotators = annotators_table(runs)
    if annotators is None:
        return []
    curves = curves_over_cost([cell for cell in cells if cell.strategy != CEILING and cell.data in comparison.data])
    by_cost = replace(comparison, points=curves, by_cost=comparison.data)
    caption = f"Test {comparison.metric} over money. Mean over seeds; bands are ± one standard error over seeds."
    baseline = comparison.roles.baseline
    missing = (
        "What random labels cost for the same score is not estimated: the grid has no finished run of `--baseline`."
    )
    return [
        annotators,
        *([f"Ledgers that cannot be read: {len(unread)}, the first: {unread[0]}"] if unread else []),
        Picture("money", caption, figures.learning_curves(by_cost)),
        *([baseline_table(curves, baseline, comparison)] if baseline else [missing]),
    ]


def curves_over_cost(cells: Sequence[Cell]) -> pd.DataFrame:
    """Test scores in points, a row per data set, strategy, seed and place, which is called `labels`: cost units.

    The places of a data set are all costs at which one of its runs was tested, from the dearest first round on, and for
    each strategy up to its dearest last one. Between its rounds a run is read off linearly, after them it keeps its
    last score.
    """
    frame = pd.DataFrame(
        [
            (cell.data, cell.strategy, cell.seed, entry["cost"], 100 * entry["metrics"][f"test/{cell.metric}"])
            for cell in cells
            for entry in cell.rounds
        ],
        columns=["data", "strategy", "seed", "labels", "score"],
    )
    parts = []
    for _, of_set in frame.groupby("data"):
        first = of_set.groupby(["strategy", "seed"])["labels"].min().max()
        places = np.unique(of_set["labels"][of_set["labels"] >= first])
        for (data, strategy), own in of_set.groupby(["data", "strategy"]):
            here = places[places <= own["labels"].max()]
            for seed, run in own.groupby("seed"):
                scores = np.interp(here, run["labels"], run["score"])
                parts.append(
                    pd.DataFrame({"labels": here, "score": scores}).assign(data=data, strategy=strategy, seed=seed)
                )
    return pd.concat(parts).set_index(["data", "strategy", "seed", "labels"]).sort_index()


def baseline_table(curves: pd.DataFrame, baseline: str, comparison: Comparison) -> Table:
    """What each other strategy and the baseline cost for the best score that both reach, on each data set."""
    rows, names = [], []
    for data in comparison.data:
        seeds = {
            str(name): part["score"].droplevel(["data", "strategy"]).unstack("labels")
            for name, part in curves.loc[[data]].groupby("strategy")
        }
        for name in [name for name in comparison.strategies if name in seeds and name != baseline]:
            if baseline in seeds and (row := _at_the_same_score(seeds[name], seeds[baseline], baseline)) is not None:
                names.append(name)
                rows.append({"data": data, **row})
    return Table(
        name="money-baseline",
        caption=f"What {baseline} costs for the same test {comparison.metric}",
        frame=pd.DataFrame(rows, index=pd.Index(names, name="strategy")),
        note="Cost units, validation labels included, to the best score that both reach: the lower of their mean last "
        "scores. Estimated: read off the mean curves over the seeds that both have, linear between rounds, where they "
        "first reach it. Brackets: 95 % bootstrap over these seeds, "
        f"{DRAWS} draws; of few seeds it is too narrow, a rough guide. Last column: what {baseline} costs "
        "for the last score of the strategy; “>”: not reached with so much. No cost is below that of the first rounds.",
    )


def _at_the_same_score(own: pd.DataFrame, other: pd.DataFrame, called: str) -> dict[str, Entry] | None:
    """A row of `baseline_table` from the curves of two, seeds × places; None without a common seed."""
    common = own.index.intersection(other.index)
    if common.empty:
        return None
    places, others = own.columns.to_numpy(dtype=float), other.columns.to_numpy(dtype=float)
    scores, against = own.loc[common].to_numpy(), other.loc[common].to_numpy()

    def costs(drawn: np.ndarray) -> tuple[float, float, float, float]:
        mine, theirs = scores[drawn].mean(axis=0), against[drawn].mean(axis=0)
        both = min(mine[-1], theirs[-1])
        here, there = (statistics.labels_to_reach(x, y, both) for x, y in ((places, mine), (others, theirs)))
        return here, there, there / here if here else np.nan, statistics.labels_to_reach(others, theirs, mine[-1])

    found = costs(np.arange(len(common)))
    drawn = np.random.default_rng(SEED).integers(len(common), size=(DRAWS, len(common)))
    draws = np.array([costs(each) for each in drawn]) if len(common) > 1 else np.full((1, 4), np.nan)
    low = np.quantile(draws, 0.025, axis=0, method="lower")  # between two draws there may be no number
    high = np.quantile(draws, 0.975, axis=0, method="higher")

    def show(column: int) -> Entry:
        values = (found[column], low[column], high[column])
        middle, *ends = (f"> {amount(others[-1])}" if isinf(value) else amount(value) for value in values)
        return Entry(middle, "" if len(common) == 1 else f"({ends[0]} … {ends[1]})")

    return {
        "score, %": number(min(scores[:, -1].mean(), against[:, -1].mean())),
        "cost": show(0),
        f"cost of {called}": show(1),
        "times as much": show(2),
        "last score, %": number(scores[:, -1].mean()),
        f"{called} for that": show(3),
    }
