"""A run under `ddp` is the same program in several processes: the first one writes, all decide alike."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import lightning as L
from lightning.fabric.plugins.environments import LightningEnvironment
from lightning.fabric.utilities.rank_zero import rank_zero_only
from lightning.pytorch.strategies.launchers import _MultiProcessingLauncher
from torch import distributed

from lit_react.core.errors import UserError

BEAT, PATIENCE = 5.0, 180.0
"""Seconds: between two signs of life of the first process; without any before the others give up (a network's file
system may show a change a minute late)."""


def is_first_process() -> bool:
    """Whether this is the process that writes files; true where there is only one."""
    return getattr(rank_zero_only, "rank", 0) == 0


def check_launch(trainer: L.Trainer) -> None:
    """See that this process is alone, or that the Trainer starts the others on this machine, each from the beginning.

    Until it starts them one process alone buys and writes.

    Raises:
        UserError: another program (torchrun, SLURM, …) started several or is to, or they would share this process.
    """
    environment = trainer._accelerator_connector.cluster_environment
    if trainer.num_nodes > 1:
        raise UserError(f"trainer.num_nodes: {trainer.num_nodes}, but a run is of one machine; expected 1")
    if not isinstance(environment, LightningEnvironment) and max(environment.world_size(), trainer.num_devices) > 1:
        processes = "1 process was" if environment.world_size() == 1 else f"{environment.world_size()} processes were"
        raise UserError(
            f"trainer: {processes} started from outside ({type(environment).__name__}), expected one for one "
            "device, or one, which starts the others: python -m lit_react … --trainer.devices N --trainer.strategy ddp"
        )
    if isinstance(trainer.strategy.launcher, _MultiProcessingLauncher):
        raise UserError("trainer.strategy: spawned or forked processes cannot share a run's ledger; expected ddp")


def wait_for_all() -> None:
    """Return once every process is here; at once where there is only one, or where the others are not started yet."""
    if distributed.is_available() and distributed.is_initialized():
        distributed.barrier()


def wait_until(ready: Callable[[], bool], seconds: float = 60.0) -> None:
    """Return once something is so, or after so many seconds."""
    deadline = time.monotonic() + seconds
    while not ready() and time.monotonic() < deadline:
        time.sleep(0.02)


@contextmanager
def signs_of_life(path: Path) -> Iterator[None]:
    """Inside, a file is touched again and again, for `wait_for_first`; also where no process group is there yet."""
    path.parent.mkdir(parents=True, exist_ok=True)
    done = threading.Event()

    def beat() -> None:
        while True:
            with suppress(OSError):  # a network's file system may miss a beat
                path.touch()
            if done.wait(BEAT):
                return

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        path.unlink(missing_ok=True)


def wait_for_first(is_done: Callable[[], bool], path: Path, work: str) -> None:
    """Return once the first process has done its work.

    Args:
        is_done: whether it has.
        path: of its `signs_of_life`; only whether they go on counts, so that clocks need not agree.
        work: names it.

    Raises:
        UserError: the first process has ended without.
    """
    last, since = _touched(path), time.monotonic()
    while not is_done():
        time.sleep(min(1.0, BEAT))
        if (now := _touched(path)) != last:
            last, since = now, time.monotonic()
        elif time.monotonic() - since > PATIENCE:
            raise UserError(f"{work}: the first process has ended before it was done, see what it said")


def _touched(path: Path) -> int | None:
    return path.stat().st_mtime_ns if path.exists() else None
