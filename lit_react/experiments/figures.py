"""Figures: curves over labels, gains on the baseline, heat maps, and the focus against the others."""

from __future__ import annotations

from functools import reduce
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from lit_react.experiments.comparison import Comparison, Difference
from lit_react.experiments.pairs import ALPHA, MARGIN
from lit_react.experiments.tables import number

GREY = "#b3b3b3"
BAND = 0.18  # opacity
PANELS = 4  # in a row


def highlights(comparison: Comparison) -> dict[str, dict[str, Any]]:
    """Line styles of the strategies that stand out, in colours that colour-blind people tell apart (Okabe and Ito)."""
    roles, means = comparison.roles, comparison.means()
    fixed = [name for name in comparison.complete(means) if name in roles.fixed and name != roles.baseline]
    best = max(fixed, key=lambda name: float(means[name].mean()), default=None)
    styles: dict[str, dict[str, Any]] = {}
    for name, colour, dashes, width in (
        (roles.focus, "#D55E00", "-", 2.2),
        (roles.reference, "#0072B2", (0, (5, 1.5)), 1.7),
        (best, "#009E73", (0, (6, 1.5, 1.5, 1.5)), 1.7),
        (roles.baseline, "#000000", (0, (1.2, 1.2)), 1.7),
    ):
        if name is not None and name not in styles:
            styles[name] = {"color": colour, "linestyle": dashes, "linewidth": width}
    return styles


def style_axes(axes: Axes, labels: list[float]) -> None:
    """Labels on a logarithmic axis, which has a place for none; ticks at some of the counts; a light grid, no frame."""
    fewest = min((count for count in labels if count > 0), default=1.0)
    axes.set_xscale("symlog", linthresh=fewest, linscale=0.5)
    ticks: list[float] = []
    for count in sorted(set(labels)):
        if not ticks or count >= 1.45 * ticks[-1]:
            ticks.append(count)
    if len(ticks) > 1 and labels[-1] != ticks[-1]:
        ticks[-1] = labels[-1]
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(ticks, [f"{count:.6g}" for count in ticks])
    axes.grid(axis="y", color="#e6e6e6", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("#888888")
    axes.tick_params(color="#888888", labelsize=8)


def learning_curves(comparison: Comparison, metric: str = "score") -> Figure:
    """A panel per data set: means over seeds, and a band of ± one standard error around those that stand out."""
    styles, sets = highlights(comparison), comparison.data
    columns = min(PANELS, len(sets))
    rows = -(-len(sets) // columns)
    size = (max(2.9 * columns, 5.5), 2.25 * rows + 0.9)
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, data in zip(panels, sets, strict=False):
        _draw_curves(axes, comparison.points[metric].loc[data].unstack("strategy"), styles)
        axes.set_title(data, fontsize=10, fontweight="bold", loc="left")
    for axes in panels[len(sets) :]:
        axes.remove()
    figure.supxlabel(f"{_unit(comparison)} (logarithmic)", fontsize=9)
    figure.supylabel(f"test {comparison.metric if metric == 'score' else 'macro-F1'}, %", fontsize=9)
    lines = {line.get_label(): line for axes in panels[: len(sets)] for line in axes.get_lines()}
    ordered = [name for name in [*styles, "other strategies"] if name in lines]
    handles = [lines[name] for name in ordered]
    figure.legend(handles, ordered, loc="outside upper center", ncols=5, frameon=False, fontsize=9, handlelength=3)
    return figure


def _unit(comparison: Comparison) -> str:
    """What the places of the curves count."""
    if not comparison.by_cost:
        return "labels bought from the pool"
    others = set(comparison.data) - set(comparison.by_cost)
    return "cost of all labels" + (f"; labels bought from the pool on {', '.join(sorted(others))}" if others else "")


def _draw_curves(axes: Axes, curves: pd.DataFrame, styles: dict[str, dict[str, Any]]) -> None:
    """Labels × strategies, over seeds: grey lines first, those that stand out above them, the focus on top."""
    by_labels = curves.groupby("labels")
    means, errors = by_labels.mean(), by_labels.sem()
    labels = means.index.to_numpy()
    marker = "o" if len(labels) == 1 else ""
    others = [name for name in curves if name not in styles]
    for name in others:
        label = "other strategies"
        axes.plot(labels, means[name], color=GREY, linewidth=0.8, marker=marker, markersize=3, label=label)
    for order, (name, style) in enumerate(reversed(styles.items()), start=3):
        if name in curves:
            axes.plot(labels, means[name], marker=marker, markersize=4, zorder=order, label=name, **style)
            low, high = means[name] - errors[name], means[name] + errors[name]
            axes.fill_between(labels, low, high, color=style["color"], alpha=BAND, linewidth=0, zorder=order - 1)
    style_axes(axes, labels.tolist())


def gains(comparison: Comparison) -> pd.DataFrame | None:
    """Accuracy − that of the baseline, (data, labels) × strategies, at the label counts that all data sets have.

    None without a baseline that has all data sets, with fewer than two such counts, or with sets compared by cost.
    """
    complete = comparison.complete(comparison.means())
    if comparison.by_cost or comparison.roles.baseline not in complete:
        return None
    common = comparison.paired(comparison.scores()).index
    curves = comparison.points["score"].unstack("strategy")[complete]
    keep = pd.MultiIndex.from_arrays([curves.index.get_level_values(name) for name in ("data", "seed")]).isin(common)
    means = curves[keep].groupby(["data", "labels"]).mean()
    shared = reduce(np.intersect1d, [part.index.unique("labels") for _, part in means.groupby("data")])
    if len(shared) < 2:
        return None
    chosen = means[means.index.get_level_values("labels").isin(shared)]
    return chosen.sub(chosen[comparison.roles.baseline], axis=0)


def spread_out(values: np.ndarray, gap: float) -> np.ndarray:
    """Nearby places at least `gap` apart and in the same order, on average where they were."""
    order = np.argsort(values, kind="stable")
    placed = values[order].astype(float)
    for place in range(1, len(placed)):
        placed[place] = max(placed[place], placed[place - 1] + gap)
    result = np.empty_like(placed)
    result[order] = placed + (values[order] - placed).mean()
    return result


def gain_curves(comparison: Comparison, gained: pd.DataFrame) -> Figure:
    """What each strategy gains on the baseline, mean over data sets, named at its end."""
    styles = highlights(comparison)
    by_labels = gained.groupby("labels")
    means, errors = by_labels.mean(), by_labels.sem()
    labels = means.index.to_numpy()
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    for name in sorted(means, key=lambda name: name in styles):
        style = styles.get(name, {"color": GREY, "linewidth": 1.0})
        axes.plot(labels, means[name], zorder=4 if name in styles else 2, **style)
    focus = comparison.roles.focus
    if focus in means:
        low, high = means[focus] - errors[focus], means[focus] + errors[focus]
        axes.fill_between(labels, low, high, color=styles[focus]["color"], alpha=BAND, linewidth=0)
    style_axes(axes, labels.tolist())
    low, high = axes.get_ylim()
    axes.set_ylim(low, high)
    ends = means.iloc[-1].to_numpy()
    for name, end, place in zip(means, ends, spread_out(ends, 0.042 * (high - low)), strict=True):
        axes.annotate(
            name,
            (labels[-1], end),
            (labels[-1] * (labels[-1] / labels[0]) ** 0.035, place),
            color=styles.get(name, {"color": "#666666"})["color"],
            fontsize=9,
            fontweight="bold" if name in styles else "normal",
            verticalalignment="center",
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": "#cccccc", "linewidth": 0.6, "shrinkA": 1, "relpos": (0, 0.5)},
        )
    axes.set_xlabel("labels bought from the pool (logarithmic)")
    axes.set_ylabel(f"test {comparison.metric} − {comparison.roles.baseline}, points")
    return figure


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
