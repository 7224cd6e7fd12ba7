"""Collect comparisons with all cores: an episode is a file, and a file that is there is not made again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from zlib import crc32

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save as serialised

from lit_react.acquisition.proposals import Batches
from lit_react.core.files import write_atomically
from lit_react.simulation.comparison import Comparisons, Episodes, compare
from lit_react.simulation.sources import load_sources
from lit_react.simulation.tasks import draw_task
from lit_react.simulation.workers import make_files


@dataclass(frozen=True)
class Job:
    """One episode; its random choices follow from the three."""

    seed: int
    source: str
    index: int

    def path(self, folder: Path) -> Path:
        """Where its comparisons are kept."""
        return folder / "episodes" / f"{self.source}_{self.index:04d}.safetensors"


def collect(folder: Path, names: Sequence[str], plan: Episodes, proposals: Batches, seed: int) -> Iterator[Path]:
    """Simulate the episodes that `folder` has not yet; yields the path of each, in the order of finishing.

    The folder has `sources/`, as `embedded_sources` wrote them; the files go to `episodes/`. Batches of `proposals` are
    compared; the seed is that of all episodes.
    """
    jobs = [Job(seed, name, index) for index in range(plan.per_source) for name in names]
    make = partial(_simulate, folder, tuple(names), plan, proposals)
    return make_files(make, {job: job.path(folder) for job in jobs}, Path.exists, plan.workers)


def load_comparisons(path: Path) -> tuple[tuple[str, ...], Comparisons | None]:
    """The sources of an episode, and its comparisons; None where its pool was too small to simulate."""
    with safe_open(path, framework="pt") as file:
        sources = tuple(file.metadata()["sources"].split(","))
        keys = set(file.keys())
        if "states" not in keys:
            return sources, None
        return sources, Comparisons(**{name: file.get_tensor(name) for name in keys})


def _simulate(folder: Path, names: tuple[str, ...], plan: Episodes, proposals: Batches, job: Job) -> None:
    generator = np.random.default_rng([job.seed, crc32(job.source.encode()), job.index])
    task = draw_task(load_sources(names, folder / "sources"), job.source, generator)
    found = compare(task, proposals, generator, plan)
    tensors = {"nothing": torch.zeros(0)} if found is None else {k: v.contiguous() for k, v in vars(found).items()}
    write_atomically(job.path(folder), serialised(tensors, {"sources": ",".join(task.sources)}))
