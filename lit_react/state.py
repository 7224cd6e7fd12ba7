"""What a run is between two rounds, in one file."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from lit_react.errors import UserError
from lit_react.files import write_atomically


@dataclass
class RunState:
    """What a run is after a whole number of rounds.

    Attributes:
        rounds: one dictionary per finished round, see `rounds.py`; plain numbers and strings.
        acquisition: the callback's state.
        stopped: why the run ended, None while it goes on.
        before_last: of a run that ended, the callback's state before its last round.
    """

    rounds: list[dict[str, Any]] = field(default_factory=list)
    acquisition: dict[str, Any] | None = None
    stopped: str | None = None
    before_last: dict[str, Any] | None = None

    def advance(self, acquisition: dict[str, Any], stopped: str | None) -> None:
        """The callback's state after one more round, and why the run ends here if it does."""
        self.before_last = self.acquisition if stopped else None
        self.acquisition, self.stopped = acquisition, stopped

    def reopen(self) -> None:
        """Of a run that ended, forget the last round: it is fitted again, and then buys."""
        if self.stopped:
            self.rounds.pop()
            self.acquisition, self.stopped, self.before_last = self.before_last, None, None

    def save(self, folder: Path) -> None:
        """Write `state.pt` atomically."""
        buffer = io.BytesIO()
        torch.save(vars(self), buffer)
        write_atomically(folder / "state.pt", buffer.getvalue())

    @classmethod
    def load(cls, folder: Path) -> RunState:
        """The state of the run in this folder; a new one where there is none.

        Raises:
            UserError: the file is damaged.
        """
        path = folder / "state.pt"
        if not path.exists():
            return cls()
        try:
            return cls(**torch.load(path, weights_only=True))
        except Exception as error:
            raise UserError(
                f"{path}: damaged state file ({type(error).__name__}); move it away to begin the rounds again: "
                "labels in ledger.sqlite are kept and not bought twice"
            ) from error
