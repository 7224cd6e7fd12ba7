"""Where the cells of a grid are computed: in worker processes of this machine, or on a Ray cluster."""

from __future__ import annotations

import multiprocessing
import os
import sys
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Generator, Iterable
from multiprocessing import connection
from operator import length_hint
from typing import Any, TypeAlias

import torch

from lit_react.core.bounds import expect
from lit_react.core.errors import UserError
from lit_react.core.workers import begin_worker
from lit_react.experiments.jobs import Job, run_alone

Outcomes: TypeAlias = Generator[tuple[Job, str | None], None, None]
"""Jobs as they end, each with what went wrong or None; closing it ends those that run."""

DIED = "the process that ran this cell died; was it killed for memory?"


class Executor(ABC):
    """Runs jobs side by side."""

    @abstractmethod
    def run(self, jobs: Iterable[Job]) -> Outcomes:
        """Begin the jobs in their order; yield each when it has ended, with what went wrong or None."""


class LocalExecutor(Executor):
    """A process for each cell, so that its death is the end of one cell only and its memory goes back.

    Where it is safe (Linux) the processes are forked from one that has imported torch already. This is not joblib: the
    death of one of its workers fails all cells that are under way, and does not tell which of them it was.

    Args:
        workers: how many at once; None: one for each core. Cores and GPUs are shared out among them.
    """

    def __init__(self, workers: int | None = None) -> None:
        if workers is not None:
            expect("executor.workers", workers, at_least=1)
        self.workers = workers

    def run(self, jobs: Iterable[Job]) -> Outcomes:
        """A job is taken when a worker is free for it, after the outcomes before it were.

        Ctrl-C kills the processes: what they were doing is resumed by the next run of the grid.
        """
        cores = os.cpu_count() or 1
        workers = self.workers or cores
        workers = min(workers, length_hint(jobs, workers))
        context: Any = multiprocessing.get_context("forkserver" if sys.platform == "linux" else "spawn")
        context.set_forkserver_preload(["lit_react.cli.lightning_cli"])
        gpus = _visible_gpus()
        free: deque[str | None] = deque(gpus[number % len(gpus)] if gpus else None for number in range(workers))
        waiting, running = iter(jobs), dict[Any, Any]()
        try:
            while True:
                while free and (job := next(waiting, None)) is not None:
                    gpu = free.popleft()
                    share = max(1, cores // workers), gpu
                    process = context.Process(target=_run_in_worker, args=(job, dict(os.environ), *share))
                    process.start()
                    running[process.sentinel] = process, job, gpu
                if not running:
                    return
                for sentinel in connection.wait(running):
                    process, job, gpu = running.pop(sentinel)
                    process.join()
                    free.append(gpu)
                    yield job, DIED if process.exitcode else job.failure()
        finally:
            for process, *_ in running.values():
                process.kill()
                process.join()


def _visible_gpus() -> list[str]:
    """Names of the GPUs that this process may use."""
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    if given is None:
        return [str(number) for number in range(torch.cuda.device_count())]
    return [name.strip() for name in given.split(",") if name.strip()]


def _run_in_worker(job: Job, environment: dict[str, str], threads: int, gpu: str | None) -> None:
    os.environ.clear()  # of the process that it was forked from, which may be one of an earlier run
    os.environ.update(environment)
    begin_worker(threads, gpu)
    run_alone(job)


class RayExecutor(Executor):
    """Tasks of one core on a Ray cluster (`pip install -e ".[ray]"`), all of whose machines see the folders.

    Args:
        address: of the cluster, or `auto`; None: a cluster of this machine, for as long as the command runs.
    """

    def __init__(self, address: str | None = None) -> None:
        self.address = address

    def run(self, jobs: Iterable[Job]) -> Outcomes:
        """All are submitted at once; Ray begins them as cores become free."""
        try:
            import ray
        except ImportError as error:
            raise UserError('executor: Ray is not installed: expected `pip install -e ".[ray]"`') from error

        passed = ("LIT_REACT_DATA", "LIT_REACT_CACHE", "HF_HOME", "HF_HUB_OFFLINE")  # no secrets: Ray shows them
        variables = {name: os.environ[name] for name in passed if name in os.environ}
        own = not ray.is_initialized()
        if own:
            ray.init(address=self.address, runtime_env={"env_vars": variables}, log_to_driver=False)
        try:
            task = ray.remote(num_cpus=1, max_retries=0, max_calls=1)(_run_there)
            running: dict[Any, Job] = {task.remote(job, os.getcwd()): job for job in jobs}
            while running:
                for reference in ray.wait(list(running))[0]:
                    job = running.pop(reference)
                    try:
                        ray.get(reference)
                        yield job, job.failure()
                    except ray.exceptions.RayError as error:
                        yield job, f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        finally:
            if own:
                ray.shutdown()


def _run_there(job: Job, folder: str) -> None:
    """`run_alone` in the folder of the command: options name files relative to it."""
    os.chdir(folder)
    run_alone(job)
