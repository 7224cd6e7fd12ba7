"""What a launcher tells each process that it starts, by environment variables; nothing is imported for it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any


def _told(*names: str) -> int:
    return next((int(os.environ[name]) for name in names if name in os.environ), 0)


def local_rank() -> int:
    """Which process of its machine this is; 0 where there is one."""
    return _told("LOCAL_RANK", "SLURM_LOCALID")


def machine() -> int:
    """Which machine this is, of those that a run has; 0 where there is one."""
    return _told("GROUP_RANK", "NODE_RANK", "SLURM_NODEID")


def started() -> tuple[int, int] | None:
    """How many processes torchrun or srun has started on this machine, and on all; None where neither has."""
    told = os.environ
    if "RANK" in told and "WORLD_SIZE" in told:
        return int(told.get("LOCAL_WORLD_SIZE", told["WORLD_SIZE"])), int(told["WORLD_SIZE"])
    if "SLURM_NTASKS" in told and told.get("SLURM_JOB_NAME") not in ("bash", "interactive"):
        return int(told.get("SLURM_NTASKS_PER_NODE", told["SLURM_NTASKS"])), int(told["SLURM_NTASKS"])
    return None


def as_launched(options: Mapping[str, Any]) -> dict[str, Any]:
    """The Trainer's `devices` and `num_nodes` as its processes were started, where its options leave both open."""
    here, every = started() or (0, 0)
    said = options.get("devices", "auto") not in ("auto", None) or (options.get("num_nodes") or 1) != 1
    return {} if said or not here else {"devices": here, "num_nodes": max(every // here, 1)}
