"""What a run is between two rounds, in one file."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from lit_react.core.errors import UserError
from lit_react.core.files import write_atomically

STATE = "state.pt"
"""The file, in the folder of the run."""


@dataclass
class RunState:
    """What a run is after a whole number of rounds.

    Attributes:
        rounds: one dictionary per finished round, see `ActiveLearning`; plain numbers and strings.
        acquisition: the callback's state.
        stopped: why the run ended, None while it goes on.
        before_last: of a run that ended, the callback's state before its last round.
        limits: the budget and the stopping rules that the last round knew.
        tested_on: digest of the test rows; None where there are none.
        run: names the ledger whose labels the rounds learned; None before the first.
    """

    rounds: list[dict[str, Any]] = field(default_factory=list)
    acquisition: dict[str, Any] | None = None
    stopped: str | None = None
    before_last: dict[str, Any] | None = None
    limits: dict[str, Any] = field(default_factory=dict)
    tested_on: str | None = None
    run: str | None = None

    def advance(self, acquisition: dict[str, Any], stopped: str | None, limits: dict[str, Any]) -> None:
        """The callback's state after one more round, and why the run ends here if it does."""
        self.before_last = self.acquisition if stopped else None
        self.acquisition, self.stopped, self.limits = acquisition, stopped, limits

    def reopen(self, limits: dict[str, Any]) -> None:
        """Under other limits, forget the last round of a run that ended: it is fitted again, and then may buy."""
        if self.stopped and self.limits != limits:
            self.rounds.pop()
            self.acquisition, self.stopped, self.before_last = self.before_last, None, None

    def test_on(self, rows: str | None) -> None:
        """Every round is tested on the same rows.

        Args:
            rows: digest of the test rows; None where there are none.

        Raises:
            UserError: a round was tested on others.
        """
        if self.rounds and rows != self.tested_on:
            raise UserError(
                "data.test: texts, labels or order of the test rows are others than in the rounds before; "
                "restore them, or choose another --rounds.folder, for one curve is of one test"
            )
        self.tested_on = rows

    def save(self, folder: Path) -> None:
        """Write `state.pt` atomically."""
        buffer = io.BytesIO()
        torch.save(vars(self), buffer)
        write_atomically(folder / STATE, buffer.getvalue())

    @classmethod
    def load(cls, folder: Path) -> RunState:
        """The state of the run in this folder; a new one where there is none.

        Raises:
            UserError: the file is damaged.
        """
        path = folder / STATE
        if not path.exists():
            return cls()
        try:
            return cls(**torch.load(path, weights_only=True))
        except Exception as error:
            raise UserError(
                f"{path}: damaged state file ({type(error).__name__}); move it away to begin the rounds again: "
                "labels in ledger.sqlite are kept and not bought twice"
            ) from error
