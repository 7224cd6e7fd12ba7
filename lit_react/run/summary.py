"""What a run ends with: a table of its rounds and its learning curve."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import rich.table
from matplotlib import rc_context
from matplotlib.figure import Figure
from rich import box
from rich.text import Text

from lit_react.acquisition.estimate import ERROR, ESTIMATE
from lit_react.run.results import have_one_price

SHORT = {"accuracy": "acc", "macro_f1": "F1", "micro_f1": "micro F1", "f1": "F1", "exact_match": "EM", "bleu": "BLEU"}
"""Headings of metrics that are known by shorter names."""
PHASES = ("fit", "score", "select", "refit", "test")


def rounds_table(rounds: list[dict[str, Any]], title: str) -> rich.table.Table:
    """One line per round: labels, cost, metrics in percent, reward in points, what was bought, seconds per phase.

    Where labels were generated: how many, percent of them that are right where that is known, trust in them. Where the
    model was fitted again: of which fit the metrics are.
    """
    refitted = any("refit" in entry["seconds"] for entry in rounds)
    tested = any(name.startswith("test/") for entry in rounds for name in entry["metrics"])
    caption = "val: of the fit; test: of the refit, which learned the validation labels too"
    table = rich.table.Table(
        title=Text(title),
        title_justify="left",
        caption=caption if refitted and tested else None,
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1),
        pad_edge=False,
    )
    shown = rounds[0]["shown"] if rounds else []
    columns = {f"{split}/{name}": f"{split}\n{SHORT.get(name, name)}" for split in ("val", "test") for name in shown}
    if any(ESTIMATE in entry["metrics"] for entry in rounds):
        columns = {ESTIMATE: "estimated\n± error"} | {k: v for k, v in columns.items() if not k.startswith("val/")}
    made = {entry["round"]: _generated(entry.get("augmentation", {})) for entry in rounds}
    generated = ["generated:\nright, trust"] if any(made.values()) else []
    for name in ("round", "labels", "cost", *generated, *columns.values(), "reward"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("next batch by", no_wrap=True)
    phases = [phase for phase in PHASES if refitted or phase != "refit"]
    table.add_column("seconds:\n" + " + ".join(phases), justify="right", no_wrap=True)
    for entry in rounds:
        metrics, seconds = entry["metrics"], entry["seconds"]
        table.add_row(
            str(entry["round"]),
            str(entry["labeled"]),
            f"{entry['cost']:g}",
            *([made[entry["round"]] or "–"] if generated else []),
            *(_percent(metrics, key) for key in columns),
            "–" if entry["reward"] is None else f"{100 * entry['reward']:+.1f}",
            entry["q"].get("proposal", "–"),
            " + ".join(f"{seconds.get(phase, 0):.1f}" for phase in phases),
        )
    return table


def _percent(metrics: dict[str, float], name: str) -> str:
    """A metric in percent, an estimate with its standard error."""
    if name not in metrics:
        return "–"
    error = f" ± {100 * metrics[ERROR]:.0f}" if name == ESTIMATE else ""
    return f"{100 * metrics[name]:.1f}{error}"


def _generated(measured: dict[str, float]) -> str:
    """What `Augmentation.report` says of generated labels; nothing where there are none."""
    if "generated" not in measured:
        return ""
    right = f"{100 * measured['generated_accuracy']:.0f} %" if "generated_accuracy" in measured else "–"
    return f"{measured['generated']:.0f}: {right}, {measured['trust']:.1f}"


@rc_context({"text.parse_math": False})  # a name may have dollars
def learning_curve(rounds: list[dict[str, Any]], path: Path, title: str) -> None:
    """The task's metrics over labels or their cost, validation dashed and test solid, rewards below; a PNG file.

    Args:
        rounds: see `ActiveLearning`; with `cost`, `labeled` and `validation`.
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
    estimated = [entry["metrics"] for entry in rounds if ESTIMATE in entry["metrics"]]
    if len(estimated) == len(rounds):
        values, errors = ([100 * metrics[name] for metrics in estimated] for name in (ESTIMATE, ERROR))
        look: dict[str, Any] = {"fmt": "--", "color": "tab:gray", "capsize": 2}
        shares = [errors, [min(error, 100 - value) for value, error in zip(values, errors, strict=True)]]
        curve.errorbar(spent, values, shares, label="estimated from bought labels", **look)
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
