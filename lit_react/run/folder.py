"""The folder of a run: where its files lie, and in which order they are written."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lit_react.core.files import put_in_place, read_lines, write_json, write_lines
from lit_react.run.best_round import best_round
from lit_react.run.results import write_results
from lit_react.run.state import RunState
from lit_react.tasks.base import TaskModule


@dataclass(frozen=True)
class RunFolder:
    """The files of one run.

    Attributes:
        path: of the folder.
        kept_models: how many of the newest models stay beside that of the best round: a reopened round of a warm run
            starts from the one before it.
    """

    path: Path
    kept_models: int = 1

    @property
    def ledger(self) -> Path:
        """What was bought."""
        return self.path / "ledger.sqlite"

    @property
    def model(self) -> Path:
        """A link to the exported model of the best round."""
        return self.path / "model"

    @property
    def picture(self) -> Path:
        """The learning curve."""
        return self.path / "learning_curve.png"

    def make(self) -> None:
        """Make the folder where there is none: what a run reads and buys is for its owner alone."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)

    def round(self, number: int) -> Path:
        """The folder of one round."""
        return self.path / f"round_{number:02d}"

    def chosen_in(self, round: int) -> list[dict[str, Any]]:
        """What a round asked for, with the signals of each row; none before the first round."""
        return read_lines(self.round(round) / "query.jsonl")

    def forget_checkpoints(self, round: int) -> None:
        """Remove what a killed fit of a round left."""
        shutil.rmtree(self.round(round) / "checkpoint", ignore_errors=True)

    def save(self, round: int, state: RunState, module: TaskModule, lines: Mapping[str, list[dict[str, Any]]]) -> None:
        """Model and reports first, then the state: a crash before it repeats the round; what follows is made again.

        `lines` are the rows of JSON lines by name, such as `query` for `query.jsonl`.
        """
        here = self.round(round)
        partial_model = here / "model.partial"
        shutil.rmtree(partial_model, ignore_errors=True)
        module.export(partial_model)
        shutil.rmtree(here / "model", ignore_errors=True)
        put_in_place(partial_model, here / "model")
        for name, rows in lines.items():
            write_lines(here / f"{name}.jsonl", rows)
        write_json(here / "test_report.json", module.test_report())
        state.save(self.path)
        self.publish(state)

    def publish(self, state: RunState) -> None:
        """What follows from the state, whatever a crash left: results, a link to the best model, no older ones."""
        last, best = len(state.rounds) - 1, best_round(state.rounds)
        write_results(self.path, state)
        link = self.path / ".model.partial"
        link.unlink(missing_ok=True)
        link.symlink_to((self.round(best) / "model").relative_to(self.path))
        os.replace(link, self.model)
        self.forget_checkpoints(last)
        for round in {*range(last + 1 - self.kept_models)} - {best}:
            shutil.rmtree(self.round(round) / "model", ignore_errors=True)
