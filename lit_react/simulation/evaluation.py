"""Whole simulated runs: what a policy reaches from start to budget, on sets that it was not trained on."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from lit_react.acquisition.agents import Agent, DoubleDQN
from lit_react.acquisition.features import draw_anchors
from lit_react.acquisition.knapsack import QueryLimits
from lit_react.acquisition.learner import Learner, Money
from lit_react.acquisition.proposals import Batches, Proposals
from lit_react.acquisition.rewards import GainReward
from lit_react.core.files import write_json
from lit_react.simulation.environment import begin
from lit_react.simulation.sources import load_sources
from lit_react.simulation.tasks import Parts, Task
from lit_react.simulation.workers import make_files

WHICH = ("policy", "default_rule")
"""Who runs on each set."""


@dataclass(frozen=True)
class Evaluation:
    """How a policy is measured: standard runs on each set by the policy that was trained without it.

    Args:
        seeds: runs per set.
        rounds: purchases of a run.
        doubt: standard deviations of the ensemble that an advantage must exceed; fewer than in `fit`, for the network's
            own choices are to be seen.
        workers: processes; None: one per core.
    """

    seeds: int = 10
    rounds: int = 10
    doubt: float = 3.0
    workers: int | None = None


@dataclass
class SimulatedRun:
    """A run's course."""

    accuracies: list[float] = field(default_factory=list)  # on the test set, before the first purchase and after each
    chosen: list[str] = field(default_factory=list)  # name of the proposal that was taken each time

    @property
    def aulc(self) -> float:
        """Mean accuracy over the rounds, start point included."""
        return float(np.mean(self.accuracies))


def standard_task(name: str, parts: Parts, seed: int, pool_size: int = 2000) -> Task:
    """A set's own labels, 20 at the start and 20 per round, from a pool drawn by the seed."""
    pool, test = parts
    rows = np.random.default_rng([seed, 0]).permutation(len(pool))[:pool_size]
    test = test.take(np.random.default_rng([seed, 2]).permutation(len(test)))  # files may be sorted by class
    classes = int(max(pool.labels.max(), test.labels.max())) + 1
    return Task(pool.take(np.sort(rows)), test, classes, sources=(name,))


def simulate_run(task: Task, proposals: Proposals, agent: Agent, *, rounds: int, seed: int) -> SimulatedRun:
    """One run: the learner's steps, each fit a head's, each answer at once; the agent learns on.

    The seed is that of initial labels, ties and draws; runs of one seed start from the same labels.
    """
    generator, run = np.random.default_rng([seed, 1]), SimulatedRun()
    learner = Learner(proposals, agent, GainReward(), [QueryLimits(task.query_size, None)])
    agent.begin(proposals, seed)
    now, costs = begin(task, generator), np.ones(len(task.pool))
    for round in range(rounds):
        run.accuracies.append(now.accuracy)
        step = learner.step(
            now.history.values[-1],
            partial(getattr, now, "signals"),
            now.signals.rows,
            costs,
            Money(spent=round / rounds),
            generator,
            draw_anchors(len(now.signals), generator),
        )
        run.chosen.append(step.queries[0].policy)
        now = now.buy(np.asarray([query.row for query in step.queries]))
    run.accuracies.append(now.accuracy)
    return run


def evaluate(folder: Path, names: Sequence[str], plan: Evaluation, proposals: Batches) -> Iterator[Path]:
    """Run the policy `without_NAME` and the default rule alone on each set; yields files as they are there."""
    jobs = [(name, seed) for seed in range(plan.seeds) for name in names]
    make = partial(_measure, folder, tuple(names), plan, proposals)
    return make_files(make, {job: _result(folder, job) for job in jobs}, partial(_is_done, plan), plan.workers)


def load_results(paths: Sequence[Path]) -> pd.DataFrame:
    """A row per set and seed: `set`, and the AULC in points of `policy` and `default_rule`."""
    contents = [json.loads(path.read_text()) for path in paths]
    areas = [{which: 100 * SimulatedRun(**content[which]).aulc for which in WHICH} for content in contents]
    return pd.DataFrame(areas).assign(set=[content["set"] for content in contents])


def _result(folder: Path, job: tuple[str, int]) -> Path:
    return folder / f"without_{job[0]}" / f"seed_{job[1]:02d}.json"


def _is_done(plan: Evaluation, path: Path) -> bool:
    """Whether the runs are there, as long and as cautious as they shall be."""
    if not path.exists():
        return False
    content = json.loads(path.read_text())
    return len(content["default_rule"]["chosen"]) == plan.rounds and content["doubt"] == plan.doubt


def _measure(folder: Path, names: tuple[str, ...], plan: Evaluation, proposals: Batches, job: tuple[str, int]) -> None:
    name, seed = job
    task = standard_task(name, load_sources(names, folder / "sources")[name], seed)
    content: dict[str, object] = {"set": name, "seed": seed, "doubt": plan.doubt}
    for which, chosen in zip(WHICH, (proposals, Batches([proposals.default_rule])), strict=True):
        agent = DoubleDQN(str(folder / f"without_{name}"), doubt=plan.doubt)
        content[which] = vars(simulate_run(task, chosen, agent, rounds=plan.rounds, seed=seed))
    write_json(_result(folder, job), content)
