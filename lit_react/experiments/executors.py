"""Where the cells of a grid are computed: in worker processes of this machine, or on a Ray cluster."""

from __future__ import annotations

import multiprocessing
import os
from abc import ABC, abstractmethod
from collections.abc import Generator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeAlias

import torch

from lit_react.core.bounds import expect
from lit_react.core.errors import UserError
from lit_react.core.workers import begin_worker
from lit_react.experiments.jobs import Job, run_job

Outcomes: TypeAlias = Generator[tuple[Job, str | None], None, None]
"""Jobs as they end, each with what went wrong or None; closing it ends those that run."""

DIED = "the process that ran this cell died; was it killed for memory?"


CELLS = 25
"""After so many a worker makes way for a fresh one: a fine-tuned cell leaves some 90 MB that no one gives back."""


class Executor(ABC):
    """Runs jobs side by side."""

    @abstractmethod
    def run(self, jobs: list[Job]) -> Outcomes:
        """Begin the jobs in their order; yield each when it has ended, with what went wrong or None."""


class LocalExecutor(Executor):
    """Worker processes that stay: torch is imported once for each of them, not once for each cell; see `CELLS`.

    Args:
        workers: how many; None: one for each core. Cores and GPUs are shared out among them.
    """

    def __init__(self, workers: int | None = None) -> None:
        if workers is not None:
            expect("executor.workers", workers, at_least=1)
        self.workers = workers

    def run(self, jobs: list[Job]) -> Outcomes:
        """Each worker has a pool of its own, so that the death of one is the end of one cell only."""
        cores = os.cpu_count() or 1
        workers = min(self.workers or cores, len(jobs))
        waiting = iter(jobs)
        gpus = _visible_gpus()
        shares = [gpus[number % len(gpus)] if gpus else None for number in range(workers)]
        pools = [_Worker(max(1, cores // workers), gpu) for gpu in shares]
        try:
            running = {pool.begin(job): (pool, job) for pool, job in zip(pools, waiting, strict=False)}
            while running:
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    pool, job = running.pop(future)
                    outcome = pool.outcome(future)
                    if (following := next(waiting, None)) is not None:
                        running[pool.begin(following)] = pool, following
                    yield job, outcome
        except BaseException:  # Ctrl-C, or nobody wants the rest
            for pool in pools:
                pool.kill()
            raise
        for pool in pools:
            pool.pool.shutdown()


def _visible_gpus() -> list[str]:
    """Names of the GPUs that this process may use."""
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    if given is None:
        return [str(number) for number in range(torch.cuda.device_count())]
    return [name.strip() for name in given.split(",") if name.strip()]


class _Worker:
    """A process that runs one job after the other, and its successor if it dies."""

    def __init__(self, threads: int, gpu: str | None) -> None:
        self.threads, self.gpu = threads, gpu
        self.pool = self._pool()

    def _pool(self) -> ProcessPoolExecutor:
        context = multiprocessing.get_context("spawn")  # torch's threads do not survive a fork
        return ProcessPoolExecutor(
            1,
            mp_context=context,
            initializer=begin_worker,
            initargs=(self.threads, self.gpu),
            max_tasks_per_child=CELLS,
        )

    def begin(self, job: Job) -> Future[str | None]:
        return self.pool.submit(run_job, job)

    def outcome(self, future: Future[str | None]) -> str | None:
        """What `run_job` returned; a dead process is replaced."""
        try:
            return future.result()
        except BrokenProcessPool:
            self.kill()
            self.pool = self._pool()
            return DIED

    def kill(self) -> None:
        """End the process at once: what it was doing is resumed by the next run of the grid."""
        for process in list((self.pool._processes or {}).values()):  # public from Python 3.14 on: kill_workers()
            process.kill()
        self.pool.shutdown()


class RayExecutor(Executor):
    """Tasks of one core on a Ray cluster (`pip install -e ".[ray]"`), all of whose machines see the folders.

    Args:
        address: of the cluster, or `auto`; None: a cluster of this machine, for as long as the command runs.
    """

    def __init__(self, address: str | None = None) -> None:
        self.address = address

    def run(self, jobs: list[Job]) -> Outcomes:
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
            task = ray.remote(num_cpus=1, max_retries=0)(_run_there)
            running: dict[Any, Job] = {task.remote(job, os.getcwd()): job for job in jobs}
            while running:
                for reference in ray.wait(list(running))[0]:
                    yield running.pop(reference), _outcome(ray, reference)
        finally:
            if own:
                ray.shutdown()


def _run_there(job: Job, folder: str) -> str | None:
    """`run_job` in the folder of the command: options name files relative to it."""
    os.chdir(folder)
    return run_job(job)


def _outcome(ray: Any, reference: Any) -> str | None:
    try:
        result: str | None = ray.get(reference)
    except ray.exceptions.RayError as error:
        return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
    return result
