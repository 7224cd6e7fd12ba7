"""Commands as processes of their own, which begin at once: they are forked from one that has imported the package.

Two of them that are told so are one run.
"""

import multiprocessing
import os
import runpy
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

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


Told = dict[str, Any]
"""What a launcher tells a process by environment variables."""


def by_torchrun(rank: int, port: int, *, machines: int = 1) -> Told:
    """What torchrun tells one of two processes."""
    here = 2 // machines
    local = {"LOCAL_RANK": rank % here, "LOCAL_WORLD_SIZE": here, "GROUP_RANK": rank // here}
    group = {"RANK": rank, "WORLD_SIZE": 2, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    return {**local, **group, "TORCHELASTIC_RUN_ID": "none"}


def started(words: list[str], folder: Path, tell: Callable[..., Told] = by_torchrun, **options: Any) -> list[Any]:
    """Two processes with a working folder and a file `told.txt` each, `machine_0` and `machine_1`."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    places = [folder / f"machine_{rank}" for rank in range(2)]
    for place in places:
        place.mkdir(parents=True, exist_ok=True)
    return [
        start(words, place / "told.txt", inside=place, told=tell(rank, port, **options))
        for rank, place in enumerate(places)
    ]


def codes(processes: Sequence[BaseProcess]) -> list[int | None]:
    return [ended(process, within=100) for process in processes]


def own_files(folder: Path, rank: int) -> list[str]:
    return [path.name for path in (folder / f"machine_{rank}").iterdir() if path.name != "told.txt"]


def told(folder: Path, rank: int) -> str:
    return (folder / f"machine_{rank}" / "told.txt").read_text()


def wait_for(line: str, folder: Path, processes: Sequence[BaseProcess], file: str = "told.txt") -> None:
    while not ((path := folder / "machine_0" / file).exists() and line in path.read_text()):
        assert all(process.is_alive() for process in processes), [told(folder, rank) for rank in range(2)]
        time.sleep(0.01)


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
