"""Files that are made by a process per core, a thread per process."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

from lit_react.core.workers import begin_worker

Job = TypeVar("Job")


def make_files(
    make: Callable[[Job], None], files: Mapping[Job, Path], done: Callable[[Path], bool], workers: int | None
) -> Iterator[Path]:
    """Make the files that are not done yet; yields each path when its file is there.

    `make` writes the file of a job, in a process of its own: it is pickled. There are as many processes as `workers`
    says; None: one per core.
    """
    missing = {job: path for job, path in files.items() if not done(path)}
    yield from (path for job, path in files.items() if job not in missing)
    if not missing:
        return
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = "1"  # read when a process starts
    count = min(workers or len(os.sched_getaffinity(0)), len(missing))
    context = get_context("spawn")
    with ProcessPoolExecutor(count, mp_context=context, initializer=begin_worker, initargs=(1,)) as pool:
        futures = {pool.submit(make, job): path for job, path in missing.items()}
        try:
            for future in as_completed(futures):
                future.result()
                yield futures[future]
        except BaseException:  # Ctrl-C, or a job failed: what the others were doing is done again by the next run
            for process in list((pool._processes or {}).values()):
                process.kill()
            raise
