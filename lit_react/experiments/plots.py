"""The learning curve of a run."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure


def learning_curve(rounds: list[dict[str, Any]], path: Path, title: str) -> None:
    """The task's metrics over labels, validation dashed and test solid, rewards below; written to a PNG file."""
    figure = Figure(figsize=(7, 5), layout="constrained")
    curve, bars = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    labels = [entry["labeled"] for entry in rounds]
    for name, colour in zip(rounds[0]["shown"], ("tab:blue", "tab:orange", "tab:purple"), strict=False):
        for split, style in (("test", "-o"), ("val", "--")):
            key = f"{split}/{name}"
            if all(key in entry["metrics"] for entry in rounds):
                values = [100 * entry["metrics"][key] for entry in rounds]
                curve.plot(labels, values, style, color=colour, markersize=4, label=f"{split} {name.replace('_', ' ')}")
    curve.set(ylabel="percent", title=title)
    if curve.lines:
        curve.legend(loc="lower right")
    curve.grid(alpha=0.3)
    known = [(entry["labeled"], 100 * entry["reward"]) for entry in rounds if entry["reward"] is not None]
    if known:
        width = 0.4 * min((b - a for a, b in pairwise(labels) if b > a), default=1)
        colours = ["tab:green" if reward >= 0 else "tab:red" for _, reward in known]
        bars.bar(*zip(*known, strict=True), width=width, color=colours)
    bars.axhline(0, color="black", linewidth=0.8)
    bars.set(xlabel="labels in the training set", ylabel="reward (points)")
    bars.grid(alpha=0.3)
    figure.savefig(path, dpi=150)
