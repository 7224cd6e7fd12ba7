"""Whole simulated runs: what a policy reaches from start to budget, on sets that it was not trained on."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from lit_react.acquisition.agents import Agent, DoubleDQN
from lit_react.acquisition.features import draw_anchors
from lit_react.acquisition.knapsack import QueryLimits
from lit_react.acquisition.learner import Learner, Money
from lit_react.acquisition.proposals import Batches, Proposals
from lit_react.acquisition.rewards import GainReward
from lit_react.core.files import write_json
from lit_react.simulation.environment import begin
from lit_react.simulation.tasks import Parts, Task
from lit_react.simulation.workers import Workplace, in_processes


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
    done = {job for job in jobs if _is_done(_result(folder, job), plan)}
    yield from (_result(folder, job) for job in jobs if job in done)
    open_jobs = [job for job in jobs if job not in done]
    for job in in_processes(_measure, open_jobs, (folder, names, plan, proposals), plan.workers):
        yield _result(folder, job)


def load_results(paths: Sequence[Path]) -> dict[tuple[str, int], dict[str, SimulatedRun]]:
    """Runs of `policy` and `default_rule` by set and seed."""
    found = {}
    for path in paths:
        content = json.loads(path.read_text())
        runs = {which: SimulatedRun(**content[which]) for which in ("policy", "default_rule")}
        found[content["set"], content["seed"]] = runs
    return found


def _result(folder: Path, job: tuple[str, int]) -> Path:
    return folder / f"without_{job[0]}" / f"seed_{job[1]:02d}.json"


def _is_done(path: Path, plan: Evaluation) -> bool:
    """Whether the runs are there, as long and as cautious as they shall be."""
    if not path.exists():
        return False
    content = json.loads(path.read_text())
    return len(content["default_rule"]["chosen"]) == plan.rounds and content["doubt"] == plan.doubt


def _measure(job: tuple[str, int], workplace: Workplace[Evaluation]) -> None:
    name, seed = job
    task = standard_task(name, workplace.sources[name], seed)
    content: dict[str, object] = {"set": name, "seed": seed, "doubt": workplace.plan.doubt}
    alone = Batches([workplace.proposals.default_rule])
    for which, proposals in (("policy", workplace.proposals), ("default_rule", alone)):
        agent = DoubleDQN(str(workplace.folder / f"without_{name}"), doubt=workplace.plan.doubt)
        content[which] = vars(simulate_run(task, proposals, agent, rounds=workplace.plan.rounds, seed=seed))
    write_json(_result(workplace.folder, job), content)
