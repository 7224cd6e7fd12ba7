"""The table of a run's rounds."""

from __future__ import annotations

from typing import Any

from rich import box
from rich.table import Table

COLUMNS = (
    ("val\nacc", "val/accuracy"),
    ("val\nF1", "val/macro_f1"),
    ("test\nacc", "test/accuracy"),
    ("test\nF1", "test/macro_f1"),
)
PHASES = ("fit", "score", "select", "test")


def rounds_table(rounds: list[dict[str, Any]], title: str) -> Table:
    """One line per round: labels, cost, metrics in percent, reward in points, what was bought, seconds per phase."""
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    for name in ("round", "labels", "cost", *(name for name, _ in COLUMNS), "reward"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("next batch by", no_wrap=True)
    table.add_column("seconds:\n" + " + ".join(PHASES), justify="right", no_wrap=True)
    for entry in rounds:
        metrics, seconds = entry["metrics"], entry["seconds"]
        table.add_row(
            str(entry["round"]),
            str(entry["labeled"]),
            f"{entry['cost']:g}",
            *(f"{100 * metrics[key]:.1f}" if key in metrics else "–" for _, key in COLUMNS),
            "–" if entry["reward"] is None else f"{100 * entry['reward']:+.1f}",
            entry["q"].get("proposal", "–"),
            " + ".join(f"{seconds.get(phase, 0):.1f}" for phase in PHASES),
        )
    return table
