"""A run in several processes, of one machine or of many: the first one reads and writes the run's files, all fit.

torchrun, srun or the like start them, or the first one of each machine does by Lightning's launcher. They are counted
over all machines, and they are a group before anything is bought.
"""

from __future__ import annotations

import atexit
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import lightning as L
from lightning.fabric.plugins.environments import LightningEnvironment, SLURMEnvironment
from lightning.fabric.utilities.rank_zero import rank_zero_only
from lightning.pytorch.strategies.launchers import _MultiProcessingLauncher, _SubprocessScriptLauncher
from torch import distributed

from lit_react.core.errors import EndedByFirst, LabelsPending, UserError
from lit_react.core.launch import as_launched, local_rank, machine, started

T = TypeVar("T")

log = logging.getLogger("lit_react")

AS_LONG_AS_PEOPLE_TAKE = timedelta(days=365)
"""How long the others wait for what the first process is doing."""

GRACE = 20.0
"""Seconds that a process has to end by itself, once another one that it depends on is gone."""

PART = 2**26
"""Bytes of a file that are sent at once."""

LOST = "another process of this run has ended, see what it said: the same command goes on"

UNTIL_THE_END = ExitStack()
"""Closed when this process ends: for copies that are read again and again."""
atexit.register(UNTIL_THE_END.close)

_circles: dict[Any, tuple[Any, list[int]]] = {}
"""Of each process group: one beside it in which the first process speaks (gloo, on any device), and the machines."""


def is_first_process() -> bool:
    """Whether this is the process that reads and writes files; true where there is only one."""
    return getattr(rank_zero_only, "rank", 0) == 0


# ---- the group ----------------------------------------------------------------------------------------------


def join(trainer: L.Trainer) -> None:
    """Make a group of the processes of a Trainer, which starts those that nobody has started; one alone needs none.

    Under srun, the signal that tells of a job's end (`SLURMEnvironment`) has the job queued again.

    Raises:
        UserError: the processes that were started are others than the Trainer wants, or they would be forked.
    """
    _check(trainer)
    if trainer.world_size == 1 or distributed.is_initialized():
        return
    environment, launcher = trainer._accelerator_connector.cluster_environment, trainer.strategy.launcher
    if isinstance(launcher, _SubprocessScriptLauncher) and not environment.creates_processes_externally:
        launcher._call_children_scripts()
        atexit.register(launcher.kill, signal.SIGTERM)
        _end_after(lambda: any(child.poll() for child in launcher.procs))
    elif isinstance(environment, LightningEnvironment) and started() is None:
        parent = os.getppid()
        _end_after(lambda: os.getppid() != parent)
    trainer.strategy.setup_environment()
    if isinstance(environment, SLURMEnvironment) and environment.auto_requeue and environment.requeue_signal:
        signal.signal(environment.requeue_signal, _queue_again if is_first_process() else signal.SIG_IGN)


def as_joined() -> dict[str, Any]:
    """A Trainer's `devices` and `num_nodes`: those of the group, else as a launcher has started, else one device."""
    if (circle := _circle()) is None:
        return {"devices": 1, "num_nodes": 1} | as_launched({})
    machines = len(set(circle[1]))
    return {"devices": len(circle[1]) // machines, "num_nodes": machines}


def _check(trainer: L.Trainer) -> None:
    environment = trainer._accelerator_connector.cluster_environment
    if isinstance(trainer.strategy.launcher, _MultiProcessingLauncher):
        raise UserError("trainer.strategy: spawned or forked processes cannot share a run's ledger; expected ddp")
    outside = not isinstance(environment, LightningEnvironment)
    wanted = trainer.num_devices * trainer.num_nodes
    every = environment.world_size() if outside else (started() or (0, wanted))[1]
    if every != wanted:
        processes = "1 process was" if every == 1 else f"{every} processes were"
        raise UserError(
            f"trainer: {processes} started from outside ({type(environment).__name__}), but trainer.devices x "
            f"num_nodes = {wanted}: leave both out, the launcher has said it"
        )
    if not outside and trainer.num_nodes > 1 and "MASTER_ADDR" not in os.environ:
        raise UserError(
            f"trainer.num_nodes: {trainer.num_nodes}, but nothing says where the first machine is: expected "
            "MASTER_ADDR, MASTER_PORT and, on each machine, its NODE_RANK in the environment"
        )
    try:
        environment.validate_settings(num_devices=trainer.num_devices, num_nodes=trainer.num_nodes)
    except ValueError as error:
        raise UserError(f"trainer: {error}") from error


def _end_after(gone: Callable[[], object]) -> None:
    """End this process some time after another one is gone; what waits for that one says so before."""

    def look() -> None:
        while not gone():
            time.sleep(1.0)
        time.sleep(GRACE)
        print(f"error: {LOST}", file=sys.stderr, flush=True)
        os._exit(1)

    threading.Thread(target=look, daemon=True).start()


def _queue_again(number: int, _: object) -> None:
    """Have SLURM end this job and start it once more; what is bought is on the disk already."""
    array, job = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_JOB_ID", "")
    job = f"{array}_{os.environ['SLURM_ARRAY_TASK_ID']}" if array else job
    done = subprocess.run(["scontrol", "requeue", job], check=False)
    log.info("SLURM: job %s is %s", job, "not queued again" if done.returncode else "queued again, and goes on then")


def said_of_the_group(error: BaseException) -> str | None:
    """One line where the other processes cannot be reached, empty in most of them; None for any other error."""
    found: BaseException | None = error
    while found is not None:
        if isinstance(found, RuntimeError) and (
            isinstance(found, distributed.DistError) or any(name in str(found) for name in ("gloo", "NCCL"))
        ):
            if not distributed.is_initialized():
                return f"trainer: the processes of this run did not meet: {found}"
            return LOST if distributed.get_rank() <= 1 else ""  # the first one, or the next where it is gone
        found = found.__cause__ or found.__context__
    return None


def first_to_say(line: str) -> bool:
    """Whether no other process of this machine has said a line; what only one has met is said by that one."""
    if distributed.is_available() and distributed.is_initialized():
        with suppress(RuntimeError):  # the first process is gone, and has said something
            store = distributed.distributed_c10d._get_default_store()
            return bool(store.add(f"{machine()}: {line}", 1) == 1)
    return local_rank() == 0


# ---- what the first one tells -------------------------------------------------------------------------------


def from_first(make: Callable[[], T]) -> T:
    """What the first process makes, in each of them; the others wait for it, however long it takes.

    All processes call this in the same order. What is made can be pickled.

    Raises:
        LabelsPending: the first one did.
        EndedByFirst: in the others, where the first one raised something else.
    """
    if (circle := _circle()) is None:
        return make()
    told: list[Any] = [None, None]
    failed: Exception | None = None
    if is_first_process():
        try:
            told[0] = make()
        except Exception as error:
            failed, told[1] = error, error if isinstance(error, LabelsPending) else EndedByFirst(str(error))
    distributed.broadcast_object_list(told, src=0, group=circle[0])
    if failed is not None or told[1] is not None:
        raise failed or told[1]
    return told[0]


def of_all(value: T) -> list[T]:
    """What each process has, by rank, in all of them; they call this in the same order."""
    if (circle := _circle()) is None:
        return [value]
    values: list[Any] = [None] * len(circle[1])
    distributed.all_gather_object(values, value, group=circle[0])
    return values


def once_a_machine(make: Callable[[], T]) -> T:
    """What each process needs and its machine keeps on the disk: one of a machine makes it, then the others find it.

    All processes call this in the same order.
    """
    try:
        if local_rank() == 0:
            return make()
    finally:
        of_all(None)
    return make()


@contextmanager
def files_of_first(folder: Path, pattern: str = "*") -> Iterator[Path]:
    """A folder of the first process on this machine: itself on the first machine, a passing copy on others.

    The copy has the files below the folder whose names fit the pattern.
    """
    circle = _circle()
    if circle is None or not any(circle[1]):
        yield folder
        return
    paths = from_first(lambda: [each for each in folder.rglob(pattern) if each.is_file()])
    with TemporaryDirectory(prefix="lit_react-") as passing:
        place = folder if machine() == 0 else Path(passing)
        for path in paths:
            _receive(path, place / path.relative_to(folder))
        yield place


def _receive(path: Path, place: Path) -> None:
    with ExitStack() as files:
        source = files.enter_context(path.open("rb")) if is_first_process() else None
        copy = None
        if machine():
            place.parent.mkdir(parents=True, exist_ok=True)
            copy = files.enter_context(place.open("wb"))
        while part := from_first(lambda: source.read(PART) if source else b""):
            if copy is not None:
                copy.write(part)


def _circle() -> tuple[Any, list[int]] | None:
    if not (distributed.is_available() and distributed.is_initialized()):
        return None
    world = distributed.group.WORLD
    if world not in _circles:
        circle = distributed.new_group(backend="gloo", timeout=AS_LONG_AS_PEOPLE_TAKE)
        machines = [0] * distributed.get_world_size()
        distributed.all_gather_object(machines, machine(), group=circle)
        _circles.clear()
        _circles[world] = circle, machines
    return _circles[world]
