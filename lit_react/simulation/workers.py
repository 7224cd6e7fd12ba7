"""A process per core, a thread per process."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch

from lit_react.acquisition.proposals import Batches
from lit_react.core.workers import begin_worker
from lit_react.simulation.sources import load_sources
from lit_react.simulation.tasks import Parts

Job = TypeVar("Job")
Plan = TypeVar("Plan")


@dataclass(frozen=True)
class Workplace(Generic[Plan]):
    """What a process keeps between jobs."""

    folder: Path  # of the simulation
    sources: dict[str, Parts]  # pool and test part of each set, by name
    plan: Plan  # options of the jobs
    proposals: Batches  # which batches there are to choose from

    @classmethod
    def open(cls, folder: Path, names: Sequence[str], plan: Plan, proposals: Batches) -> Workplace[Plan]:
        """Read the sources from the folder."""
        return cls(folder, load_sources(list(names), folder / "sources"), plan, proposals)


_workplace: Workplace[Any]


def in_processes(
    work: Callable[[Job, Workplace[Plan]], None],
    jobs: Sequence[Job],
    workplace: tuple[Path, Sequence[str], Plan, Batches],
    workers: int | None,
) -> Iterator[Job]:
    """Do the jobs in processes of their own; yields each when it is done.

    `work` is a function of a module; `workplace` are the arguments of `Workplace.open`, which is called once in each
    process. There is a process per core unless `workers` says otherwise.
    """
    if not jobs:
        return
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = "1"  # read when a process starts
    count = min(workers or len(os.sched_getaffinity(0)), len(jobs))
    with ProcessPoolExecutor(count, mp_context=get_context("spawn"), initializer=_begin, initargs=workplace) as pool:
        futures = {pool.submit(_do, work, job): job for job in jobs}
        try:
            for future in as_completed(futures):
                future.result()
                yield futures[future]
        except BaseException:  # Ctrl-C, or a job failed: what the others were doing is done again by the next run
            for process in list((pool._processes or {}).values()):
                process.kill()
            raise


def _begin(*workplace: Any) -> None:
    global _workplace
    begin_worker(1)
    torch.set_num_threads(1)
    _workplace = Workplace.open(*workplace)


def _do(work: Callable[[Job, Workplace[Any]], None], job: Job) -> None:
    work(job, _workplace)
