"""Commands as processes of their own, which begin at once: they are forked from one that has imported the package."""

import multiprocessing
import os
import runpy
import signal
import sys
from collections.abc import Mapping
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from pathlib import Path

import torch

CONTEXT: ForkServerContext = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["lit_react.cli.lightning_cli"])  # as `compare` does, whose cells share the server


def start(
    arguments: list[str],
    errors: Path | None = None,
    *,
    inside: Path | None = None,
    told: Mapping[str, object] | None = None,
) -> BaseProcess:
    """`python -m lit_react` with these arguments, on one thread, in a session of its own.

    What it prints goes nowhere, but for what goes to the file `errors` if there is one. It runs `inside` a folder, and
    is `told` something by environment variables.
    """
    environment = {**os.environ, **{name: str(value) for name, value in (told or {}).items()}}
    given = (arguments, environment, str(errors or os.devnull), str(inside or Path.cwd()))
    process = CONTEXT.Process(target=_run, args=given)
    process.start()
    return process


def ended(process: BaseProcess, within: float | None = None) -> int | None:
    """The exit code, minus the signal's number where one has ended it; None: it goes on after so many seconds."""
    process.join(within)
    return process.exitcode


def _run(arguments: list[str], environment: dict[str, str], errors: str, folder: str) -> None:
    os.setsid()
    os.chdir(folder)
    for number, path in ((1, os.devnull), (2, errors)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND), number)
    os.environ.clear()  # of the process that it was forked from
    os.environ.update(environment)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job ignores it
    torch.set_num_threads(1)
    sys.argv[1:] = arguments
    runpy.run_module("lit_react", run_name="__main__", alter_sys=True)
