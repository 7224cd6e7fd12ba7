"""What a run prints and draws at its end."""

from __future__ import annotations

import sys

from rich.console import Console

from lit_react.run.folder import RunFolder
from lit_react.run.state import RunState
from lit_react.run.summary import learning_curve, rounds_table


def show(folder: RunFolder, state: RunState) -> None:
    """Print a row a round, draw the learning curve, and say where both and the model lie."""
    console, table = Console(), rounds_table(state.rounds, title=f"{folder.path}: {state.stopped}")
    of_table = console.measure(table, options=console.options.update(width=sys.maxsize)).maximum
    console.width = max(console.width, of_table)  # a narrower table would be cut
    console.print(table)
    learning_curve(state.rounds, folder.picture, title=str(folder.path))
    print(f"learning curve: {folder.picture}\nmodel: {folder.model}\nrun folder: {folder.path}")
