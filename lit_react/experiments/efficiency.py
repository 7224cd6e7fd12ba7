"""How many labels each strategy needs for a score."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd

from lit_react.core import statistics
from lit_react.experiments.cells import CEILING
from lit_react.experiments.comparison import Comparison
from lit_react.experiments.standings import mean_curves, of_strategies
from lit_react.experiments.tables import Entry, Table, bold_best, number

TARGET = 0.95
"""Share of the reference score that label efficiency asks for."""


def targets(comparison: Comparison) -> pd.Series:
    """Per data set, the score in points to be reached; NaN where there is nothing to derive it from."""
    found = dict.fromkeys(comparison.data, np.nan)
    for data in comparison.data:
        if data in comparison.ceilings:
            found[data] = TARGET * comparison.ceilings[data]
        elif comparison.roles.baseline in (curves := mean_curves(comparison, data)):
            found[data] = TARGET * curves[comparison.roles.baseline].iloc[-1]
    return pd.Series(found)


def labels_needed(comparison: Comparison, wanted: pd.Series) -> pd.DataFrame:
    """Strategies × data sets: labels to the target, infinity if it is not reached, NaN without a curve."""
    needed = {}
    for data, target in wanted.items():
        curves = mean_curves(comparison, str(data)).dropna(axis=1)
        labels = curves.index.to_numpy(dtype=float)
        needed[data] = {name: statistics.labels_to_reach(labels, curves[name].to_numpy(), target) for name in curves}
    return pd.DataFrame(needed, index=comparison.strategies)


def efficiency_table(comparison: Comparison) -> Table | None:
    """Labels to the target, strategies × data sets; None without a reference."""
    wanted, baseline = targets(comparison).dropna(), comparison.roles.baseline
    if wanted.empty:
        return None
    needed = labels_needed(comparison, wanted)
    columns = {data: _counts(needed[data], comparison.points.loc[data].index.unique("labels")) for data in needed}
    counted = needed.drop(columns=comparison.by_cost, errors="ignore")  # costs have validation labels in them
    relative = ""
    if baseline and len(counted.columns):
        reached = counted.loc[:, np.isfinite(counted.loc[baseline])]
        ratios = (reached / reached.loc[baseline]).median(axis=1).replace(np.inf, np.nan)
        columns[f"/ {baseline}"] = bold_best(ratios, partial(number, digits=2), lowest=True)
        relative = (
            f" Last column: labels relative to those of {baseline}, median over data sets; “–” if mostly not reached."
        )
    goal = pd.DataFrame(wanted.rename("target, %")).T.astype(object)
    return Table(
        name="efficiency",
        caption=f"Labels needed for {100 * TARGET:.0f} % of a reference {comparison.metric}",
        frame=pd.concat([goal, of_strategies(comparison, columns)])[[*columns]].rename_axis("strategy"),
        note=f"Reference: {_reference(comparison, wanted)}. Read off the mean curve over seeds, linear between rounds, "
        f"where it first reaches the target. “> n”: not reached with n labels; “≤ n”: reached in the first round."
        + relative,
        focus=comparison.roles.focus,
    )


def _counts(counts: pd.Series, labels: pd.Index) -> pd.Series:
    """Of one data set: the labels that each strategy needs, as they are shown."""
    best = amount(counts.min()) if counts.notna().sum() > 1 and np.isfinite(counts.min()) else None

    def show(count: float) -> Entry:
        if not np.isfinite(count):
            return Entry("–" if np.isnan(count) else f"> {amount(labels.max())}")
        text = amount(count)
        return Entry(f"≤ {text}" if count == labels.min() else text, bold=text == best)

    return pd.Series({name: show(count) for name, count in counts.items()}, dtype=object)


def amount(value: float) -> str:
    """Labels; or cost units, which may be small."""
    return f"{value:.0f}" if value >= 10 else f"{value:.3g}"


def _reference(comparison: Comparison, wanted: pd.Series) -> str:
    baseline, by_full = comparison.roles.baseline, [data for data in wanted.index if data in comparison.ceilings]
    parts = [f"the {comparison.metric} with all labels ({', '.join(by_full)})"] if by_full else []
    if len(by_full) < len(wanted):
        parts.append(f"the {comparison.metric} of {baseline} after its last round, as {CEILING} was not run")
    return "; elsewhere ".join(parts)
