"""The learning curves of a grid in one shape: test metrics of all cells of a data set at the same places."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import pandas as pd

from lit_react.core.errors import UserError
from lit_react.experiments.cells import Cell
from lit_react.run.results import have_one_price

OTHER_METRICS = ("macro_f1", "ece")
"""Compared beside each task's own metric, where all cells have them."""

Places = tuple[float, ...]
"""Where the points of a curve lie, in order: label counts, or what was spent."""


@dataclass(frozen=True)
class Points:
    """The points of all curves."""

    # test metrics in points, a row per data set, strategy, seed and place; the place is called `labels`. It is the
    # number of labels from the pool, or on the sets `by_cost` what all labels cost, validation included
    frame: pd.DataFrame
    read_off: int  # cells of the other sets whose label counts are not those of most of the set
    by_cost: list[str]  # data sets whose labels do not cost the same: as many of them are not as much money there


def tidy_points(cells: list[Cell]) -> Points:
    """The curves of all cells, each read off where its data set is compared.

    Where labels cost the same, that is at the label counts that most cells of the set have; elsewhere see
    `equal_costs`. A cell with other places is read off linearly between its rounds, and with its first value before
    them and its last value after them. A `UserError` names a cell that has no test result.
    """
    frames, read_off, by_cost = [], 0, []
    for data in sorted({cell.data for cell in cells}):
        here = [cell for cell in cells if cell.data == data]
        if have_one_price([round for cell in here for round in cell.rounds]):
            curves = [tuple(round["labeled"] for round in cell.rounds) for cell in here]
            places = most_common(curves)
            read_off += sum(curve != places for curve in curves)
        else:
            curves = [tuple(round["cost"] for round in cell.rounds) for cell in here]
            places = equal_costs(curves)
            by_cost.append(data)
        frames += [_read_off(cell, curve, places) for cell, curve in zip(here, curves, strict=True)]
    frame = pd.concat(frames).set_index(["data", "strategy", "seed", "labels"]).sort_index()
    return Points(frame, read_off, by_cost)


def most_common(curves: list[Places]) -> Places:
    """The places that most curves have; of those that equally many have, the most and highest."""
    return max(Counter(curves).items(), key=lambda item: (item[1], len(item[0]), item[0]))[0]


def equal_costs(curves: list[Places]) -> Places:
    """Places in cost units where the curves of a data set are compared.

    Those of all curves where they are the same. Purchases by length cost each run something else, so elsewhere: from
    the dearest first round to the median of the last ones, equally far apart, as many as most curves have rounds.
    """
    if len(set(curves)) == 1:
        return curves[0]
    first, last = max(curve[0] for curve in curves), float(np.median([curve[-1] for curve in curves]))
    rounds = Counter(map(len, curves)).most_common(1)[0][0]
    return tuple(np.unique(np.linspace(first, max(first, last), rounds)).tolist())


def _read_off(cell: Cell, curve: Places, places: Places) -> pd.DataFrame:
    columns: dict[str, object] = {"labels": places}
    metrics = {"score": cell.metric} | {name: name for name in OTHER_METRICS if name != cell.metric}
    for name, metric in ((name, f"test/{metric}") for name, metric in metrics.items()):
        if all(metric in round["metrics"] for round in cell.rounds):
            values = [100 * round["metrics"][metric] for round in cell.rounds]
            columns[name] = values if curve == places else np.interp(places, curve, values)
        elif name == "score":
            raise UserError(f"{cell.name}: a round without {metric}, expected runs with a test split")
    return pd.DataFrame(columns).assign(data=cell.data, strategy=cell.strategy, seed=cell.seed)
