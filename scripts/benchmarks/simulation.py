"""Simulated rounds per second and core, beside loops that keep nothing between rounds and rules; and all cores.

    python scripts/benchmarks/simulation.py [--classes 5 50] [--pool 2000] [--rounds 10] [--repeats 3] [--episodes 24]

Two kinds of work, as `simulate` does them. A *run* is what a policy is measured by: each round a fit, the signals of
the pool, ten proposals of 20 rows, their features, the agent's learning and decision. An *episode* is what it learns
from: ten rounds, in some of which all ten proposals are bought and followed for three rounds. Three ways do them in
turns, in one process, on one thread:

* ours: as in `lit_react.simulation`;
* anew each round: scikit-learn's `LogisticRegression(C=20)` from scratch, nothing kept from the round before;
* anew each pick: like that, each rule and the features make the similarities that they need for themselves, and
  facility location and transductive design are greedy as their papers print them, all gains computed again after each
  pick. That they pick the same rows as ours is checked first.

In a run all of them buy the rows that ours bought. Seconds are CPU seconds, ratios are of medians. Data are synthetic:
unit vectors of 384 in clusters near a subspace of 32 dimensions, as those of texts are.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import tempfile
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
from naive_simulation import AsPrinted, begin_anew, check_picks
from safetensors.torch import save
from threadpoolctl import threadpool_limits

from lit_react.acquisition.agents import Decision, DoubleDQN, Situation
from lit_react.acquisition.proposals import Batches
from lit_react.acquisition.signals import Rows
from lit_react.core.files import write_atomically
from lit_react.simulation import comparison
from lit_react.simulation.collection import collect
from lit_react.simulation.comparison import Episodes
from lit_react.simulation.environment import Annotation, begin
from lit_react.simulation.evaluation import simulate_run
from lit_react.simulation.tasks import Embedded, Task

DIMENSION, LATENT = 384, 32


def embedded(rows: int, classes: int, seed: int) -> Embedded:
    """Clusters of unit vectors, several to a class."""
    fixed = np.random.default_rng(classes)
    basis = fixed.standard_normal((LATENT, DIMENSION))
    centres = fixed.standard_normal((3 * classes, LATENT))
    rng = np.random.default_rng([classes, seed])
    cluster = rng.integers(3 * classes, size=rows)
    latent = centres[cluster] + rng.standard_normal((rows, LATENT))
    points = latent @ basis + 2 * rng.standard_normal((rows, DIMENSION))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    return Embedded(points.astype(np.float32), cluster % classes)


def make_task(classes: int, pool: int, seed: int = 0) -> Task:
    return Task(embedded(pool, classes, 2 * seed), embedded(1500, classes, 2 * seed + 1), classes)


@dataclass
class Clock:
    """CPU seconds by phase."""

    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    @contextmanager
    def __call__(self, phase: str) -> Iterator[None]:
        """Counts what happens inside."""
        start = time.process_time()
        yield
        self.seconds[phase] += time.process_time() - start


class Recorded(DoubleDQN):
    """`DoubleDQN` that keeps what it decided."""

    def __init__(self) -> None:
        super().__init__()
        self.bought: list[Rows] = []

    def decide(self, situation: Situation) -> Decision:
        """Decide, and keep it."""
        decision = super().decide(situation)
        self.bought.append(decision.rows)
        return decision


@dataclass(frozen=True)
class Way:
    """How the work is done."""

    begin: Callable[[Task, np.random.Generator], Annotation]
    proposals: Batches


WAYS = {
    "ours": Way(begin, Batches()),
    "anew each round": Way(begin_anew, Batches()),
    "anew each pick": Way(begin_anew, AsPrinted()),
}


def run(way: Way, task: Task, bought: list[Rows], clock: Clock) -> None:
    """The steps of `simulate_run`, timed; what is bought is given."""
    generator, agent, last = np.random.default_rng([0, 1]), DoubleDQN(), None
    with clock("fit"):
        now = way.begin(task, generator)
    for round, rows in enumerate(bought):
        with clock("signals"):
            signals = now.signals
        features = now.features(len(bought), generator)
        with clock("proposals"):
            proposals = way.proposals.propose(signals, task.query_size, generator)
        with clock("features"):
            state, options = (
                torch.from_numpy(features.state()),
                way.proposals.options(proposals, features, task.query_size),
            )
        with clock("agent"):
            if last is not None:
                agent.record(*last, now.history.values[-1] - now.history.values[-2], state, options)
                agent.learn()
            agent.draw(state, options, spent=round / len(bought))
        last = (state, options.features[0])
        with clock("fit"):
            now = now.buy(rows)


def episode(way: Way, task: Task, plan: Episodes) -> None:
    """`compare`, begun in this way."""
    with patch.object(comparison, "begin", way.begin):
        comparison.compare(task, way.proposals, np.random.default_rng(0), plan)


def cpu_seconds(function: Callable[[], object]) -> float:
    start = time.process_time()
    function()
    return time.process_time() - start


def compare(options: argparse.Namespace) -> None:
    """Print rounds per second and core of each way, and where the time of a run's round goes."""
    for classes in options.classes:
        check_picks(make_task(classes, options.pool))
    print_row("work", "classes", "way", "per second and core", "this / ours (CPU time)")
    print_row(*["---"] * 5)
    shares = []
    for classes in options.classes:
        task = make_task(classes, options.pool)
        recorded = Recorded()
        simulate_run(task, Batches(), recorded, rounds=options.rounds, seed=0)
        clocks, runs, episodes = {name: Clock() for name in WAYS}, defaultdict(list), defaultdict(list)
        plan = Episodes(rounds=options.rounds)
        for _ in range(options.repeats):
            for name, way in WAYS.items():
                runs[name].append(cpu_seconds(partial(run, way, task, recorded.bought, clocks[name])))
                episodes[name].append(cpu_seconds(partial(episode, way, task, plan)))
        for work, taken, count in (("round of a run", runs, options.rounds), ("episode", episodes, 1)):
            median = {name: statistics.median(times) for name, times in taken.items()}
            for name, took in median.items():
                print_row(work, str(classes), name, f"{count / took:.2f}", f"{took / median['ours']:.2f}")
        shares += [(str(classes), name, clock.seconds) for name, clock in clocks.items()]
    phases = ("fit", "signals", "features", "proposals", "agent")
    print("\nCPU milliseconds of a run's round, and their share:\n")
    print_row("classes", "way", *phases)
    print_row(*["---"] * (2 + len(phases)))
    for classes, name, seconds in shares:
        rounds, total = options.repeats * options.rounds, sum(seconds.values())
        cells = [f"{1000 * seconds[phase] / rounds:.1f} ({100 * seconds[phase] / total:.0f} %)" for phase in phases]
        print_row(classes, name, *cells)


def scaling(options: argparse.Namespace) -> None:
    """Print episodes per second of one worker and of all, from the first that is done to the last.

    On a machine that does other work the CPU seconds say more: where they stay the same, workers do not hinder each
    other. They hold the start of the processes, some seconds each.
    """
    cores = len(os.sched_getaffinity(0))
    print(f"\nEpisodes per second (wall clock; load before: {os.getloadavg()[0]:.1f} on {cores} cores):\n")
    print_row("workers", "episodes/s", "ratio", "CPU s per episode")
    print_row(*["---"] * 4)
    rates: list[float] = []
    for workers in (1, cores):
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            names = [f"classes_{classes}" for classes in options.classes]
            for classes, name in zip(options.classes, names, strict=True):
                pool, test = embedded(options.pool, classes, 0), embedded(1500, classes, 1)
                tensors = {
                    "pool": torch.from_numpy(pool.embeddings),
                    "pool_labels": torch.from_numpy(pool.labels),
                    "test": torch.from_numpy(test.embeddings),
                    "test_labels": torch.from_numpy(test.labels),
                }
                write_atomically(folder / "sources" / f"{name}.safetensors", save(tensors))
            plan = Episodes(per_source=options.episodes // len(names), rounds=options.rounds, workers=workers)
            before = children_seconds()
            ends = [time.perf_counter() for _ in collect(folder, names, plan, Batches(), seed=0)]
            rates.append((len(ends) - 1) / (ends[-1] - ends[0]))
        each = (children_seconds() - before) / len(ends)
        print_row(str(workers), f"{rates[-1]:.2f}", f"{rates[-1] / rates[0]:.2f}", f"{each:.1f}")


def children_seconds() -> float:
    """CPU seconds of the processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def print_row(*cells: str) -> None:
    print("| " + " | ".join(cells) + " |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--classes", type=int, nargs="+", default=[5, 50])
    parser.add_argument("--pool", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--episodes", type=int, default=24, help="of the scaling; 0: leave it out")
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", message="The number of unique classes is greater than 50%")
    with threadpool_limits(1):
        compare(options)
    if options.episodes:
        scaling(options)


if __name__ == "__main__":
    main()
