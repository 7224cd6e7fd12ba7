"""What a pretraining brought: a table and a picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from rich import box
from rich.table import Table

Measured = dict[str, float]
BINS = 100


def before_and_after(before: Measured, after: Measured, title: str) -> Table:
    """Losses in nats, accuracies in percent, on the held-out texts."""
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for column in ("held-out texts", "before", "after"):
        table.add_column(column, justify="left" if column == "held-out texts" else "right")
    names = {"mlm": "masked tokens", "pair": "next sentence"}
    for key, name in names.items():
        if f"{key}_loss" in before:
            table.add_row(f"{name}: loss", *(f"{row[f'{key}_loss']:.3f}" for row in (before, after)))
            table.add_row(f"{name}: accuracy", *(f"{100 * row[f'{key}_accuracy']:.1f} %" for row in (before, after)))
    return table


def loss_curves(losses: list[tuple[float, float]], validations: list[Measured], path: Path, title: str) -> None:
    """Losses over steps, training thin and held-out bold; of masked tokens, below it of pairs; a PNG file.

    Args:
        losses: of each step, masked tokens and pairs (nan: it had none); drawn as means over at most 100 equal parts of
            the steps.
        validations: `step`, `mlm_loss` and, with pairs, `pair_loss` and `pair_accuracy`.
        path: of the picture.
        title: above it.
    """
    pairs = [row for row in validations if "pair_loss" in row]
    figure = Figure(figsize=(7, 6 if pairs else 4), layout="constrained")
    axes = figure.subplots(2 if pairs else 1, 1, sharex=True, squeeze=False)[:, 0]
    steps = np.array_split(np.arange(1, len(losses) + 1), min(BINS, len(losses)))
    masked, paired = np.array(losses).T
    means = [np.mean(masked[part - 1]) for part in steps]
    centres = [part.mean() for part in steps]
    axes[0].plot(centres, means, color="tab:blue", alpha=0.5, label="training")
    axes[0].plot(
        [row["step"] for row in validations],
        [row["mlm_loss"] for row in validations],
        "-o",
        markersize=4,
        color="tab:blue",
        label="held-out",
    )
    axes[0].set(ylabel="masked tokens: loss (nats)", title=title)
    if pairs:
        known = [values[~np.isnan(values)] for values in (paired[part - 1] for part in steps)]
        means = [np.mean(values) if len(values) else np.nan for values in known]
        axes[1].plot(centres, means, color="tab:orange", alpha=0.5, label="training")
        axes[1].plot(
            [row["step"] for row in pairs],
            [row["pair_loss"] for row in pairs],
            "-o",
            markersize=4,
            color="tab:orange",
            label="held-out",
        )
        axes[1].axhline(np.log(2), color="black", linewidth=0.8, linestyle=":", label="guessing")
        axes[1].set(ylabel="next sentence: loss (nats)")
    for axis in axes:
        axis.grid(alpha=0.3)
        axis.legend()
    axes[-1].set(xlabel="step")
    figure.savefig(path, dpi=150)
