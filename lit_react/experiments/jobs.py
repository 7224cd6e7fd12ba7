"""A cell of a grid as a job: one run of `fit` in a folder of its own, on one data set, with one strategy and seed."""

from __future__ import annotations

import json
import os
import shutil
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lit_react.cli import main
from lit_react.core.errors import UserError
from lit_react.core.files import write_json
from lit_react.run.record import FREE
from lit_react.run.results import read_results

PRECISIONS = ("trainer.precision", "pretraining.training.precision")
RECORD, LOG = "cell.json", "output.log"
OF_THE_GRID = ("rounds.budget", "rounds.stopping")
"""Options that may change while a run goes on, but not between the cells of a grid: when they end."""


@dataclass(frozen=True)
class Job:
    """A cell to be run."""

    folder: Path  # `<grid>/<data>/<strategy>/seed_XX`
    configs: tuple[str, ...]  # of `fit`, in their order
    options: dict[str, Any]  # dotted name → value, stronger than the configs
    asked: dict[str, Any]  # what configs and options ask for together, dotted name → value

    @property
    def name(self) -> str:
        """`<data>/<strategy>/seed_XX`."""
        return "/".join(self.folder.parts[-3:])

    def arguments(self) -> list[str]:
        """The command line; nothing goes to W&B unless a config or an option wants it, and a cell is one process."""
        words = [word for config in self.configs for word in ("--config", config)]
        options = self.options | {"rounds.folder": str(self.folder)}
        if "wandb.mode" not in self.asked:
            options["wandb.mode"] = "disabled"
        if self.asked.get("trainer.devices", "auto") == "auto":
            options["trainer.devices"] = 1
        given = {name: value if isinstance(value, str) else json.dumps(value) for name, value in options.items()}
        return ["fit", *words, *(f"--{name}={value}" for name, value in given.items())]

    def check_record(self) -> None:
        """Raise a `UserError` where the cell has results of other options than those asked for now.

        Only those may differ that are `FREE` and not `OF_THE_GRID`.
        """
        path = self.folder / RECORD
        if not path.exists() or not (self.folder / "result.json").exists():
            return  # `fit` itself compares whatever lies there
        begun = _named_as_now(json.loads(path.read_text()))
        for name in PRECISIONS:
            if self.asked.get(name) is None:  # left to the machine, be it that of the record or this one
                begun.pop(name, None)
        for name in sorted(begun.keys() | self.asked.keys()):
            if begun.get(name) != self.asked.get(name) and (not name.startswith(FREE) or name.startswith(OF_THE_GRID)):
                raise UserError(
                    f"{self.folder}: this cell was run with {name} = {begun.get(name)!r}, "
                    f"now it is {self.asked.get(name)!r}; restore it, or choose another folder"
                )

    def result(self) -> dict[str, Any] | None:
        """The content of `result.json` if the cell is finished, else None."""
        if not (self.folder / RECORD).exists() or not (self.folder / "result.json").exists():
            return None
        results = read_results(self.folder)
        return results if results["stopped"] is not None else None

    def failure(self) -> str | None:
        """None if the cell is finished, else the last line of its output that says what went wrong."""
        if self.result() is not None:
            return None
        log = self.folder / LOG
        lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()] if log.exists() else []
        errors = [line for line in lines if line.startswith("error: ")]
        return (errors or lines or ["no output"])[-1]


def run_alone(job: Job) -> None:
    """Run or resume a cell in this process, which is for it alone: all it prints goes to the cell's `output.log`.

    A finished cell keeps its results and not its model: a thousand models fill a disk.
    """
    job.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_json(job.folder / RECORD, job.asked)
    with (job.folder / LOG).open("ab") as file:
        for descriptor in (1, 2):  # loggers and C code included
            os.dup2(file.fileno(), descriptor)
    try:
        main(job.arguments())
    except SystemExit as stopped:  # `main` has printed why
        print(f"exit code {stopped.code}", flush=True)
    except Exception as error:
        traceback.print_exc()
        print(f"error: {type(error).__name__}: {' '.join(str(error).split())}", file=sys.stderr)
    if job.result():
        (job.folder / "model").unlink(missing_ok=True)
        for model in job.folder.glob("round_*/model"):
            shutil.rmtree(model)


def _named_as_now(record: dict[str, Any]) -> dict[str, Any]:
    """A record by today's names: in the archives of docs/results a fixed rule is a policy of its own."""
    policy, rule = (record.pop(f"acquisition.policy{part}", None) for part in ("", ".strategy"))
    return record | ({"acquisition.proposals.strategies": [rule]} if policy == "Fixed" else {})
