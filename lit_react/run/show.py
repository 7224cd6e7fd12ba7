"""What a run prints and draws at its end."""

from __future__ import annotations

import logging
import math
import sys
from collections.abc import Mapping, Sequence

import pandas as pd
from rich.console import Console

from lit_react.annotation.new_classes import advice
from lit_react.core.terminal import plain
from lit_react.data.pool_data import PoolData
from lit_react.data.warnings import missing_classes, warnings_of
from lit_react.run.best_round import best_round, judged_by
from lit_react.run.folder import RunFolder
from lit_react.run.state import RunState
from lit_react.run.summary import learning_curve, rounds_table

log = logging.getLogger("lit_react")


def show_data(data: PoolData, short_fits: Sequence[str]) -> None:
    """Print what the splits are, and tell what looks wrong in them, or of fits that are shorter than is meant."""
    print(plain(f"data: {data.splits.summary}"))
    splits, task = data.splits, data.task
    for line in [*warnings_of(splits), *missing_classes(splits, task), *task.warnings(data.pool.table)]:
        log.warning("data: %s", line)
    if data.label_descriptions and not data.task.reads_names:
        log.warning("data.label_descriptions: this model (--model) does not read them")
    for line in short_fits if data.task.shares_batches else []:
        log.warning("trainer: %s", line)


def show(folder: RunFolder, state: RunState, agreement: pd.DataFrame, new_classes: Mapping[str, int]) -> None:
    """Print rounds, agreement and found classes; draw the learning curve, and say where it and the model lie."""
    console, table = Console(), rounds_table(state.rounds, title=plain(f"{folder.path}: {state.stopped}"))
    of_table = console.measure(table, options=console.options.update(width=sys.maxsize)).maximum
    console.width = max(console.width, of_table)  # a narrower table would be cut
    console.print(table)
    for each in agreement.itertuples():
        kappa = "" if math.isnan(each.kappa) else f", Cohen's kappa {each.kappa:.2f}"
        print(
            plain(
                f"agreement of {each.annotators}: the same on {100 * each.same:.0f} % of {each.texts} texts, "
                f"Krippendorff's alpha {each.alpha:.2f}{kappa}"
            )
        )
    if new_classes:
        print(plain(advice(new_classes)))
    learning_curve(state.rounds, folder.picture, title=str(folder.path))
    best, last = best_round(state.rounds), len(state.rounds) - 1
    name = judged_by(state.rounds[best])
    value, other = (100 * state.rounds[round]["metrics"].get(name, 0) for round in (best, last))
    older = f", of round {best}: {name} {value:.1f}, after the last one {other:.1f} ({folder.round(last) / 'model'})"
    print(plain(f"learning curve: {folder.picture}\nmodel: {folder.model}{older if best < last else ''}"))
    print(plain(f"run folder: {folder.path}"))
