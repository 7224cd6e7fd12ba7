"""A run under `ddp` is the same program in several processes: the first one writes, all decide alike."""

from __future__ import annotations

from lightning.fabric.utilities.rank_zero import rank_zero_only
from torch import distributed


def is_first_process() -> bool:
    """Whether this is the process that writes files; true where there is only one."""
    return getattr(rank_zero_only, "rank", 0) == 0


def wait_for_all() -> None:
    """Return once every process is here; at once where there is only one, or where the others are not started yet."""
    if distributed.is_available() and distributed.is_initialized():
        distributed.barrier()
