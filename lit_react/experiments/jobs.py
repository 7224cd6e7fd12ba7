"""A cell of a grid as a job: one run of `fit` in a folder of its own, on one data set, with one strategy and seed."""

from __future__ import annotations

import json
import os
import shutil
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lit_react.core.errors import UserError
from lit_react.core.files import write_json

RECORD, LOG = "cell.json", "output.log"
OF_THE_GRID = ("rounds.budget", "rounds.stopping")
"""Options that may change while a run goes on, but not between the cells of a grid: when they end."""


@dataclass(frozen=True)
class Job:
    """A cell to be run.

    Args:
        folder: `<grid>/<data>/<strategy>/seed_XX`.
        configs: of `fit`, in their order.
        options: dotted name → value, stronger than the configs.
        asked: what configs and options ask for together, dotted name → value.
    """

    folder: Path
    configs: tuple[str, ...]
    options: dict[str, Any]
    asked: dict[str, Any]

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
        return ["fit", *words, *(f"--{name}={_word(options[name])}" for name in options)]

    def check_record(self) -> None:
        """Compare what is asked for now with what the cell has results of.

        Raises:
            UserError: something was changed that is not `FREE` (see `run_config`), or is `OF_THE_GRID`.
        """
        path = self.folder / RECORD
        if not path.exists() or not (self.folder / "result.json").exists():
            return  # `fit` itself compares whatever lies there
        from lit_react.run.run_config import FREE  # imports torch, for which a worker prepares first

        begun = json.loads(path.read_text())
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
        from lit_react.run.results import read_results  # imports torch too

        results = read_results(self.folder)
        return results if results["stopped"] is not None else None


def run_job(job: Job) -> str | None:
    """Run or resume a cell in this process; what it prints goes to its `output.log`.

    A finished cell keeps its results and not its model: a thousand models fill a disk.

    Returns:
        None, or the last line of what went wrong.
    """
    from lit_react.cli import main

    job.folder.mkdir(parents=True, exist_ok=True)
    write_json(job.folder / RECORD, job.asked)
    log = job.folder / LOG
    with _output_to(log):
        try:
            main(job.arguments())
        except SystemExit as stopped:  # `main` has printed why
            print(f"exit code {stopped.code}")
        except Exception as error:
            traceback.print_exc()
            print(f"error: {type(error).__name__}: {' '.join(str(error).split())}", file=sys.stderr)
    if not job.result():
        return _last_line(log)
    (job.folder / "model").unlink(missing_ok=True)
    for model in job.folder.glob("round_*/model"):
        shutil.rmtree(model)
    return None


@contextmanager
def _output_to(path: Path) -> Iterator[None]:
    """Inside, what this process writes to stdout and stderr is appended to a file; loggers and C code included."""
    kept = {descriptor: os.dup(descriptor) for descriptor in (1, 2)}
    _flush()
    with path.open("ab") as file:
        for descriptor in kept:
            os.dup2(file.fileno(), descriptor)
    try:
        yield
    finally:
        _flush()
        for descriptor, copy in kept.items():
            os.dup2(copy, descriptor)
            os.close(copy)


def _flush() -> None:
    sys.stdout.flush()
    sys.stderr.flush()


def _last_line(log: Path) -> str:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return next((line for line in reversed(lines) if line.startswith("error: ")), lines[-1] if lines else "no output")


def _word(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
