"""Where the cells of a grid are computed: in processes of this machine, on a Ray cluster, or by SLURM."""

from __future__ import annotations

import multiprocessing
import os
import sys
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Generator, Iterable
from importlib import import_module
from multiprocessing import connection
from operator import length_hint
from pathlib import Path
from typing import Any, Literal, TypeAlias

import torch

from lit_react.core.bounds import expect
from lit_react.core.errors import UserError
from lit_react.core.workers import begin_worker, own_cores
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
        cores = own_cores()
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


def passed_on() -> dict[str, str]:
    """Variables of this process that its tasks on a cluster get; no secrets, for Ray shows them."""
    names = ("LIT_REACT_DATA", "LIT_REACT_CACHE", "HF_HOME", "HF_HUB_OFFLINE")
    return {name: os.environ[name] for name in names if name in os.environ}


class RayExecutor(Executor):
    """Tasks on a Ray cluster (`pip install -e ".[ray]"`), all of whose machines see the folders.

    A cell that is lost with its machine or its process goes on elsewhere, three times at most.

    Args:
        address: of the cluster, or `auto`; None: a cluster of this machine, for as long as the command runs.
        cpus: cores of a cell.
        gpus: GPUs of a cell; 0.5 for two cells on one.
    """

    def __init__(self, address: str | None = None, cpus: int = 1, gpus: float = 0) -> None:
        expect("executor.cpus", cpus, at_least=1)
        expect("executor.gpus", gpus, at_least=0)
        self.address, self.cpus, self.gpus = address, cpus, gpus

    def run(self, jobs: Iterable[Job]) -> Outcomes:
        """All are submitted at once; Ray begins them as cores become free."""
        ray = _installed("ray", "ray")
        own = not ray.is_initialized()
        if own:
            try:
                ray.init(self.address or "local", runtime_env={"env_vars": passed_on()}, log_to_driver=False)
            except (ConnectionError, RuntimeError, ValueError) as error:
                raise UserError(f"executor.address: Ray: {' '.join(str(error).split())}") from error
        try:
            options = {"num_cpus": self.cpus, "num_gpus": self.gpus, "max_retries": 3, "max_calls": 1}
            task = ray.remote(**options)(_run_in)
            running: dict[Any, Job] = {task.remote(os.getcwd(), job): job for job in jobs}
            while running:
                for reference in ray.wait(list(running))[0]:
                    job = running.pop(reference)
                    try:
                        ray.get(reference)
                        yield job, job.failure()
                    except ray.exceptions.RayError as error:
                        yield job, _line(error)
        finally:
            if own:
                ray.shutdown()


class SubmititExecutor(Executor):
    """Jobs of a SLURM cluster (`pip install -e ".[slurm]"`), all of whose machines see the folders.

    The jobs are one array. One that is preempted, or that comes to its end of time, is queued again and goes on.

    Args:
        folder: where submitit keeps its jobs, and what they print beside the output of the cells.
        cluster: `slurm`; `local`: processes of this machine, all at once, to try the same without SLURM.
        parameters: of submitit's `AutoExecutor.update_parameters`: `timeout_min`, `cpus_per_task`, `gpus_per_node`,
            `slurm_partition`, `slurm_account`, `slurm_array_parallelism`, …
    """

    def __init__(
        self,
        folder: Path = Path(".submitit"),
        cluster: Literal["slurm", "local"] = "slurm",
        parameters: dict[str, Any] | None = None,
    ) -> None:
        self.folder, self.cluster = folder, cluster
        self.parameters = {"name": "lit_react", "timeout_min": 240, "cpus_per_task": 1} | (parameters or {})

    def run(self, jobs: Iterable[Job]) -> Outcomes:
        """All are submitted at once, and cancelled where the command is stopped."""
        submitit, todo = _submitit(), list(jobs)
        try:
            executor = submitit.AutoExecutor(self.folder, cluster=self.cluster)
            executor.update_parameters(**self.parameters)
            submitted = executor.map_array(_Cell(), [os.getcwd()] * len(todo), todo)
        except (RuntimeError, NameError, TypeError, ValueError) as error:
            raise UserError(f"executor: submitit: {' '.join(str(error).split())}") from error
        running = dict(zip(submitted, todo, strict=True))
        try:
            for ended in submitit.helpers.as_completed(list(running), poll_frequency=1):
                job, lost = running.pop(ended), ended.exception()
                yield job, ended.result() if lost is None else _line(lost)
        finally:
            for waiting in running:
                waiting.cancel()


class _Cell:
    """What a job of submitit calls, and how it is called once more when the job is queued again."""

    def __call__(self, folder: str, job: Job) -> str | None:
        """A process of its own computes the cell; what tells of the job's end reaches this one, which ends both."""
        os.chdir(folder)
        [(_, wrong)] = LocalExecutor(workers=1).run([job])
        return wrong

    def checkpoint(self, folder: str, job: Job) -> Any:
        """The same call: what the cell has done is on the disk."""
        return _submitit().helpers.DelayedSubmission(self, folder, job)


def _run_in(folder: str, job: Job) -> None:
    """`run_alone` in the folder of the command: options name files relative to it."""
    os.chdir(folder)
    run_alone(job)


def _installed(name: str, extra: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        raise UserError(f'executor: {name} is not installed: expected `pip install -e ".[{extra}]"`') from error


def _submitit() -> Any:
    """The package; unless it is told not to, it configures logging as it is imported, which closes others' handlers."""
    asked = {name: os.environ[name] for name in ("SUBMITIT_LOG_LEVEL",) if name in os.environ}
    os.environ["SUBMITIT_LOG_LEVEL"] = "NOCONFIG"
    try:
        return _installed("submitit", "slurm")
    finally:
        del os.environ["SUBMITIT_LOG_LEVEL"]  # its jobs log
        os.environ.update(asked)


def _line(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
