"""What a worker process does first."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading

import torch
from threadpoolctl import threadpool_limits


def own_cores() -> int:
    """Cores that this process may use; in a job of SLURM, or bound to some, fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def begin_worker(threads: int, gpu: str | None = None) -> None:
    """Take a share of the cores, leave Ctrl-C to the parent, and end with it.

    Args:
        threads: of PyTorch, and of the libraries that scikit-learn computes with.
        gpu: the one that this process sees, as `CUDA_VISIBLE_DEVICES` names it; None: all that its parent sees.
    """
    os.environ["OMP_NUM_THREADS"] = str(threads)  # of what is loaded later
    torch.set_num_threads(threads)
    threadpool_limits(threads)
    if gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
