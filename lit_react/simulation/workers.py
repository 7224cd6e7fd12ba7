"""A process per core, a thread per process."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from typing import Any, TypeVar

import torch

from lit_react.workers import begin_worker

Job = TypeVar("Job")


def in_processes(
    work: Callable[[Job], Any],
    jobs: Sequence[Job],
    prepare: Callable[..., None],
    arguments: tuple[Any, ...],
    workers: int | None,
) -> Iterator[tuple[Job, Any]]:
    """Do the jobs in processes of their own; yields each with its result, in the order of finishing.

    Args:
        work: a function of a module, called with a job.
        jobs: what to do.
        prepare: a function of a module, called once in each process.
        arguments: of `prepare`.
        workers: processes; None: one per core.
    """
    if not jobs:
        return
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = "1"  # read when a process starts
    count = min(workers or len(os.sched_getaffinity(0)), len(jobs))
    with ProcessPoolExecutor(
        count, mp_context=get_context("spawn"), initializer=_begin, initargs=(prepare, arguments)
    ) as pool:
        futures = {pool.submit(work, job): job for job in jobs}
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        except BaseException:  # Ctrl-C, or a job failed: what the others were doing is done again by the next run
            for process in list((pool._processes or {}).values()):
                process.kill()
            raise


def _begin(prepare: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    begin_worker(1)
    torch.set_num_threads(1)
    prepare(*arguments)
