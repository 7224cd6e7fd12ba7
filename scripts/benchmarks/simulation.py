"""Simulated rounds per second and core, beside loops that keep nothing between rounds and rules; and all cores.

    python scripts/benchmarks/simulation.py [--classes 5 50] [--pool 2000] [--rounds 10] [--repeats 3] [--episodes 24]

A round is a fit, the signals of the pool, the features of ten proposals of 20 rows each, the proposals themselves and
the agent's decision and learning. Three ways make the same rounds, in turns, in one process, on one thread:

* ours: `simulate_run` with `QProposals`;
* anew each round: scikit-learn's `LogisticRegression(C=20)` from scratch, nothing kept from the round before;
* anew each rule: like that, and each rule and the features make the similarities that they need for themselves.

The others buy the rows that ours bought. Seconds are CPU seconds, ratios are of medians. Data are synthetic: unit
vectors of 384 in clusters near a subspace of 32 dimensions, as those of texts are.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from lit_react.acquisition.agent import Agent
from lit_react.acquisition.features import FeatureMap, History
from lit_react.acquisition.policies import Proposal, QProposals
from lit_react.acquisition.signals import PoolSignals, Rows
from lit_react.acquisition.strategies import find_strategy
from lit_react.files import write_atomically
from lit_react.simulation.collection import collect
from lit_react.simulation.comparison import Episodes
from lit_react.simulation.environment import VALIDATION_SIZE, Annotation, begin
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

    seconds: Counter[str] = field(default_factory=Counter)

    @contextmanager
    def __call__(self, phase: str) -> Iterator[None]:
        """Counts what happens inside."""
        start = time.process_time()
        yield
        self.seconds[phase] += time.process_time() - start


class Recorded(QProposals):
    """`QProposals` that keeps what was bought."""

    def __init__(self) -> None:
        super().__init__()
        self.bought: list[Rows] = []

    def remember(self, rows: Rows, names: object) -> None:
        """Keep it."""
        self.bought.append(rows)


class EachForItself(QProposals):
    """Every rule sees signals on which nothing was computed yet."""

    def proposals(self, signals: PoolSignals, k: int, generator: np.random.Generator) -> list[Proposal]:
        """As in `QProposals`."""
        picks = {name: find_strategy(name)(replace(signals), k, generator) for name in sorted(self.strategies())}
        return [Proposal(name, picks[name], prior=name == self.prior) for name in self.mixtures]


def ours(task: Task, rounds: int) -> list[Rows]:
    """What is bought in a run."""
    policy = Recorded()
    simulate_run(task, policy, Agent(), rounds=rounds, seed=0)
    return policy.bought


def ours_by_phase(task: Task, bought: list[Rows], clock: Clock) -> None:
    """The steps of `simulate_run`, timed."""
    policy, generator = QProposals(), np.random.default_rng([0, 1])
    with clock("fit"):
        now = begin(task, generator)
    decider = Decider(len(bought))
    for rows in bought:
        with clock("signals"):
            _ = now.signals
        features = now.features(len(bought), generator)
        decider.decide(policy, now.signals, features, now.history, clock, generator, task.query_size)
        with clock("fit"):
            now = now.buy(rows)


class Decider:
    """The agent's part of a round, the same in each way."""

    def __init__(self, rounds: int) -> None:
        self.agent, self.rounds = Agent(), rounds
        self.last: tuple[torch.Tensor, torch.Tensor] | None = None

    def decide(
        self,
        policy: QProposals,
        signals: PoolSignals,
        features: FeatureMap,
        history: History,
        clock: Clock,
        generator: np.random.Generator,
        k: int,
    ) -> None:
        """Proposals, features, learning and a decision, which nobody follows."""
        with clock("proposals"):
            proposals = policy.proposals(signals, k, generator)
        with clock("features"):
            state, options = torch.from_numpy(features.state()), policy.options(proposals, features, k)
        with clock("agent"):
            if self.last is not None:
                gain = history.values[-1] - history.values[-2]
                self.agent.observe(*self.last, gain, state, options)
                self.agent.learn()
            self.agent.decide(state, options, spent=(len(history.values) - 1) / self.rounds)
        self.last = (state, options.features[0])


def anew(task: Task, bought: list[Rows], policy: QProposals, clock: Clock) -> None:
    """The same rounds, nothing kept but what is labeled and what was predicted."""
    generator, history = np.random.default_rng([0, 1]), History()
    labeled = np.sort(generator.permutation(len(task.pool))[: task.initial_size])
    points, decider = task.pool.embeddings, Decider(len(bought))
    for rows in [*bought, None]:
        with clock("fit"):
            head = LogisticRegression(C=1 / task.l2, max_iter=1000).fit(points[labeled], task.pool.labels[labeled])
            right = head.predict(task.test.embeddings) == task.test.labels
        history.values.append(float(right[:VALIDATION_SIZE].mean()))
        if rows is None:
            return
        with clock("signals"):
            probabilities = np.zeros((len(points), task.num_classes), dtype=np.float32)
            probabilities[:, head.classes_] = head.predict_proba(points)
            others = np.setdiff1d(np.arange(len(points)), labeled)
            signals = PoolSignals(
                rows=others,
                probabilities=probabilities[others],
                embeddings=points[others],
                labeled_rows=labeled,
                labels=task.pool.labels[labeled],
                labeled_probabilities=probabilities[labeled],
                labeled_embeddings=points[labeled],
                head_inputs=points[others],
                mutual_information=np.zeros(len(others), dtype=np.float32),
            )
        spent = len(labeled) / (task.initial_size + task.query_size * len(bought))
        features = FeatureMap(signals, history, np.ones(len(points)), spent, generator)
        decider.decide(policy, signals, features, history, clock, generator, task.query_size)
        history.remember(signals, len(points))
        labeled = np.sort(np.concatenate([labeled, rows]))


def cpu_seconds(function: Callable[[], object]) -> float:
    start = time.process_time()
    function()
    return time.process_time() - start


def compare(options: argparse.Namespace) -> None:
    """Print rounds per second and core of each way, and where the time of ours and theirs goes."""
    print_row("classes", "way", "rounds/s per core", "ours / this one")
    print_row(*["---"] * 4)
    shares = []
    for classes in options.classes:
        task = make_task(classes, options.pool)
        _ = task.similarities
        bought = ours(task, options.rounds)
        clocks = {name: Clock() for name in ("ours", "anew each round", "anew each rule")}
        ways = {
            "ours": lambda task=task: ours(task, options.rounds),
            "anew each round": lambda t=task, b=bought, c=clocks: anew(t, b, QProposals(), c["anew each round"]),
            "anew each rule": lambda t=task, b=bought, c=clocks: anew(t, b, EachForItself(), c["anew each rule"]),
        }
        taken: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(options.repeats):
            for name, way in ways.items():
                taken[name].append(cpu_seconds(way))
            ours_by_phase(task, bought, clocks["ours"])
        median = {name: statistics.median(times) for name, times in taken.items()}
        for name in ways:
            row = (str(classes), name, f"{options.rounds / median[name]:.1f}", f"{median[name] / median['ours']:.2f}")
            print_row(*row)
        shares += [(str(classes), name, clock.seconds) for name, clock in clocks.items()]
    phases = ("fit", "signals", "features", "proposals", "agent")
    print("\nCPU milliseconds of a round, and the share of them:\n")
    print_row("classes", "way", *phases)
    print_row(*["---"] * (2 + len(phases)))
    for classes, name, seconds in shares:
        rounds, total = options.repeats * options.rounds, sum(seconds.values())
        cells = [f"{1000 * seconds[phase] / rounds:.1f} ({100 * seconds[phase] / total:.0f} %)" for phase in phases]
        print_row(classes, name, *cells)


def by_rule(options: argparse.Namespace) -> None:
    """Print what each rule costs in a round, similarities at hand."""
    print("\nCPU milliseconds of a rule in a round:\n")
    print_row("rule", *(f"{classes} classes" for classes in options.classes))
    print_row(*["---"] * (1 + len(options.classes)))
    states = []
    for classes in options.classes:
        task = make_task(classes, options.pool)
        now = begin(task, np.random.default_rng(0))
        now = now.buy(now.signals.rows[:: len(now.signals) // 100])
        for name in QProposals().mixtures:
            find_strategy(name)(now.signals, task.query_size, np.random.default_rng(0))
        states.append(now)
    for name in QProposals().mixtures:
        cells = [rule_seconds(name, state) for state in states]
        print_row(name, *(f"{1000 * seconds:.1f}" for seconds in cells))


def rule_seconds(name: str, state: Annotation, repeats: int = 5) -> float:
    """Median CPU seconds of one batch."""
    rule, k = find_strategy(name), state.task.query_size
    return statistics.median(
        cpu_seconds(lambda: rule(state.signals, k, np.random.default_rng(0))) for _ in range(repeats)
    )


def scaling(options: argparse.Namespace) -> None:
    """Print episodes per second of one worker and of all, from the first that is done to the last."""
    cores = len(os.sched_getaffinity(0))
    print(f"\nEpisodes per second (wall clock; load before: {os.getloadavg()[0]:.1f} on {cores} cores):\n")
    print_row("workers", "episodes/s", "ratio")
    print_row(*["---"] * 3)
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
            ends = [time.perf_counter() for _ in collect(folder, names, plan, QProposals(), seed=0)]
            rates.append((len(ends) - 1) / (ends[-1] - ends[0]))
        print_row(str(workers), f"{rates[-1]:.2f}", f"{rates[-1] / rates[0]:.2f}")


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
    with threadpool_limits(1):
        compare(options)
        by_rule(options)
    if options.episodes:
        scaling(options)


if __name__ == "__main__":
    main()
