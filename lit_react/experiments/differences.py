"""Figures of differences: a heat map of strategies on data sets, one of all pairs, and the focus against the others."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lit_react.experiments.comparison import Comparison, Difference
from lit_react.experiments.pairs import ALPHA, MARGIN
from lit_react.experiments.tables import number

COLOURS = "RdBu"  # red below zero, blue above: told apart by colour-blind people


def heat_map(values: pd.DataFrame, marks: pd.DataFrame, focus: str, label: str) -> Figure:
    """Numbers in points on colours that are white at zero, each with its mark behind it; NaN is left empty.

    The names of the focus are bold; `label` is that of the colour bar.
    """
    rows, columns = values.shape
    figure = Figure(figsize=(0.55 * columns + 2.6, max(0.34 * rows + 1.6, 3.2)), layout="constrained")
    axes = figure.subplots()
    finite = np.abs(values.to_numpy()[np.isfinite(values.to_numpy())])
    limit = max(float(np.quantile(finite, 0.98)) if len(finite) else 1.0, 0.1)  # one outlier shall not bleach the rest
    image = axes.imshow(values.to_numpy(), cmap=COLOURS, vmin=-limit, vmax=limit, aspect="auto")
    for row in range(rows):
        for column in range(columns):
            value = values.iat[row, column]
            if np.isfinite(value):
                text = number(value, signed=True).text + marks.iat[row, column]
                colour = "white" if abs(value) > 0.62 * limit else "#222222"
                axes.text(column, row, text, ha="center", va="center", fontsize=8, color=colour)
    axes.set_xticks(range(columns), values.columns, rotation=40, ha="right", rotation_mode="anchor", fontsize=9)
    axes.set_yticks(range(rows), values.index, fontsize=9)
    for tick in (*axes.get_xticklabels(), *axes.get_yticklabels()):
        tick.set_fontweight("bold" if tick.get_text() == focus else "normal")
    axes.set_xticks(np.arange(columns + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(rows + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=1.5)
    axes.tick_params(which="both", length=0)
    axes.spines[:].set_visible(False)
    bar = figure.colorbar(image, ax=axes, label=label, fraction=0.04, pad=0.02, extend="both")
    bar.outline.set_visible(False)
    return figure


def sets_heat_map(comparison: Comparison) -> Figure:
    """Area under the curve on each data set, relative to the baseline there, or to the mean of all without one."""
    means = comparison.means()[comparison.strategies]
    baseline = comparison.roles.baseline
    level = means.mean(axis=1) if baseline is None else means[baseline]
    values = means.sub(level, axis=0).T
    name = "the mean of all" if baseline is None else baseline
    marks = pd.DataFrame("", index=values.index, columns=values.columns)
    return heat_map(values, marks, comparison.roles.focus, f"AULC − {name}, points")


def pairs_heat_map(comparison: Comparison, differences: list[Difference]) -> Figure:
    """Mean difference row − column; a star where it is significant."""
    names = comparison.strategies
    values = pd.DataFrame(np.nan, index=names, columns=names)
    marks = pd.DataFrame("", index=names, columns=names)
    for pair in [*differences, *(pair.reversed() for pair in differences)]:
        values.loc[pair.first, pair.second] = pair.mean
        marks.loc[pair.first, pair.second] = "*" if pair.adjusted < ALPHA else ""
    return heat_map(values, marks, comparison.roles.focus, "AULC, row − column, points")


def focus_intervals(comparison: Comparison, against: list[Difference]) -> Figure:
    """Focus − other with both intervals, the strongest of the others on top."""
    figure = Figure(figsize=(7.5, 0.34 * len(against) + 1.5), layout="constrained")
    axes: Axes = figure.subplots()
    axes.axvspan(-MARGIN, MARGIN, color="#eeeeee", zorder=0, label=f"within ±{MARGIN} points")
    axes.axvline(0, color="#555555", linewidth=1, zorder=1)
    places = np.arange(len(against))[::-1]
    for place, pair in zip(places, against, strict=True):
        axes.plot(pair.clustered, [place] * 2, color="#56B4E9", linewidth=2, solid_capstyle="butt", zorder=2)
        axes.plot(pair.paired, [place] * 2, color="#0072B2", linewidth=5, solid_capstyle="butt", zorder=3)
        face = "#D55E00" if pair.adjusted < ALPHA else "white"
        axes.plot(pair.mean, place, "o", color="#D55E00", markerfacecolor=face, markersize=7, zorder=4)
    axes.plot([], [], color="#0072B2", linewidth=5, label="95 %, these data sets (pairs)")
    axes.plot([], [], color="#56B4E9", linewidth=2, label="95 %, data sets like these (clustered)")
    axes.plot([], [], "o", color="#D55E00", label=f"mean; filled: Holm p < {ALPHA}")
    axes.set_yticks(places, [pair.second for pair in against], fontsize=9)
    axes.set_ylim(-0.7, len(against) - 0.3)
    axes.set_xlabel(f"AULC of {comparison.roles.focus} − the other strategy, points")
    axes.grid(axis="x", color="#e6e6e6", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    figure.legend(loc="outside upper center", ncols=2, frameon=False, fontsize=8)
    return figure
