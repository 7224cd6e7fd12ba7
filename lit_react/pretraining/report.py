"""What a pretraining brought: a table and a picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.figure import Figure
from rich import box
from rich.table import Table

Measured = dict[str, float]
PARTS = {"mlm": "masked tokens", "pair": "next sentence"}
BINS = 100
"""The training losses are drawn as means over so many equal parts of the steps."""


def before_and_after(before: Measured, after: Measured, title: str) -> Table:
    """Losses in nats, accuracies in percent, on the held-out texts."""
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for column in ("held-out texts", "before", "after"):
        table.add_column(column, justify="left" if column == "held-out texts" else "right")
    for key, name in PARTS.items():
        if f"{key}_loss" in before:
            table.add_row(f"{name}: loss", *(f"{row[f'{key}_loss']:.3f}" for row in (before, after)))
            table.add_row(f"{name}: accuracy", *(f"{100 * row[f'{key}_accuracy']:.1f} %" for row in (before, after)))
    return table


@rc_context({"text.parse_math": False})  # a name may have dollars
def loss_curves(losses: list[tuple[float, float]], validations: list[Measured], path: Path, title: str) -> None:
    """Losses over steps, training thin and held-out bold; of masked tokens, below it of pairs; a PNG file.

    There is a loss of masked tokens and one of pairs (nan: it had none) for each step; `mlm_loss` and, with pairs,
    `pair_loss` for each `step` with a validation.
    """
    held_out = pd.DataFrame(validations).set_index("step").filter(like="_loss")
    training = pd.DataFrame(losses, columns=["mlm_loss", "pair_loss"]).rename_axis("step").reset_index()
    training = training.groupby(np.arange(len(losses)) * min(BINS, len(losses)) // len(losses)).mean()
    figure = Figure(figsize=(7, 3.5 * len(held_out.columns)), layout="constrained")
    panels = figure.subplots(len(held_out.columns), 1, sharex=True, squeeze=False)[:, 0]
    for axes, column, colour in zip(panels, held_out, ("tab:blue", "tab:orange"), strict=False):
        axes.plot(training["step"] + 1, training[column], color=colour, alpha=0.5, label="training")
        axes.plot(held_out.index, held_out[column], "-o", markersize=4, color=colour, label="held-out")
        if column == "pair_loss":
            axes.axhline(np.log(2), color="black", linewidth=0.8, linestyle=":", label="guessing")
        axes.set(ylabel=f"{PARTS[column.removesuffix('_loss')]}: loss (nats)")
        axes.grid(alpha=0.3)
        axes.legend()
    panels[0].set(title=title)
    panels[-1].set(xlabel="step")
    figure.savefig(path, dpi=150)
