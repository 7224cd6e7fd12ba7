"""The learning curve of a run."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from lit_react.run.results import have_one_price


def learning_curve(rounds: list[dict[str, Any]], path: Path, title: str) -> None:
    """The task's metrics over labels or their cost, validation dashed and test solid, rewards below; a PNG file.

    Args:
        rounds: see `rounds.py`; with `cost`, `labeled` and `validation`.
        path: of the file.
        title: above the curve.
    """
    spent, unit = horizontal_axis(rounds)
    figure = Figure(figsize=(7, 5), layout="constrained")
    curve, bars = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    for name, colour in zip(rounds[0]["shown"], ("tab:blue", "tab:orange", "tab:purple"), strict=False):
        for split, style in (("test", "-o"), ("val", "--")):
            key = f"{split}/{name}"
            if all(key in entry["metrics"] for entry in rounds):
                values = [100 * entry["metrics"][key] for entry in rounds]
                curve.plot(spent, values, style, color=colour, markersize=4, label=f"{split} {name.replace('_', ' ')}")
    curve.set(ylabel="percent", title=title)
    if curve.lines:
        curve.legend(loc="lower right")
    curve.grid(alpha=0.3)
    rewards = [entry["reward"] for entry in rounds]
    known = [(x, 100 * reward) for x, reward in zip(spent, rewards, strict=True) if reward is not None]
    if known:
        width = 0.4 * min((b - a for a, b in pairwise(spent) if b > a), default=1)
        colours = ["tab:green" if reward >= 0 else "tab:red" for _, reward in known]
        bars.bar(*zip(*known, strict=True), width=width, color=colours)
    bars.axhline(0, color="black", linewidth=0.8)
    bars.set(xlabel=unit, ylabel="reward (points)")
    bars.grid(alpha=0.3)
    figure.savefig(path, dpi=150)


def horizontal_axis(rounds: list[dict[str, Any]]) -> tuple[list[float], str]:
    """What each round had, and the name of the axis: labels where they cost the same, else cost units."""
    if have_one_price(rounds):
        return [entry["labeled"] for entry in rounds], "labels bought from the pool"
    return [entry["cost"] for entry in rounds], "cost of all labels, validation included"
