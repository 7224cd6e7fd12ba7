"""Compare batches from the same state: each is bought in turn, and the rule goes on from there for a few rounds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lit_react.acquisition.agents.double_dqn import POINTS
from lit_react.acquisition.proposals import Batches
from lit_react.simulation.environment import Annotation, begin
from lit_react.simulation.tasks import Task


@dataclass
class Episodes:
    """What is simulated.

    Args:
        per_source: episodes whose main source a set is.
        rounds: purchases of an episode.
        compared: share of the states in which all options are compared; in the others the default rule buys.
        horizon: rounds after a choice of which the rewards are kept.
        workers: processes; None: one per core.
    """

    per_source: int = 24
    rounds: int = 10
    compared: float = 0.4
    horizon: int = 3
    workers: int | None = None


@dataclass(frozen=True)
class Comparisons:
    """States of one episode, and what each option brought there."""

    states: Tensor  # float32 [t, S]
    options: Tensor  # float32 [t, a, k, F], sample features of each option
    # float32 [t, a, H], gain of the task's value in each of the H rounds after taking the option, in points; the
    # default rule buys in all of them but the first
    rewards: Tensor
    # int64 [t], the option with which the episode went on; −1 where that was the best by what it brought, which no run
    # could have chosen
    taken: Tensor


def compare(task: Task, proposals: Batches, generator: np.random.Generator, plan: Episodes) -> Comparisons | None:
    """One simulated episode; None where the pool is too small for it.

    Every option of a state starts from the same head, pool and test set, so what differs between them is what they
    bought. From a compared state the episode goes on with the default rule's batch, the best or a random one, a third
    each: states that a run of the trained policy meets, and others. The generator draws initial labels, ties and the
    way on.
    """
    k = task.query_size
    if len(task.pool) < task.initial_size + (plan.rounds + plan.horizon + 1) * k:
        return None
    now, states, options, rewards, taken = begin(task, generator), [], [], [], []
    last_chance = generator.integers(plan.rounds)
    for round in range(plan.rounds):
        if generator.random() >= plan.compared and round != last_chance:
            now = now.buy(proposals.default_batch(now.signals, k, generator))
            continue
        features = now.features(plan.rounds, generator)
        batches = proposals.propose(now.signals, k, generator)
        after = [now.buy(proposal.rows) for proposal in batches]
        states.append(torch.from_numpy(features.state()))
        options.append(proposals.options(batches, features, k).features)
        values = np.array([_follow(proposals, state, k, generator, plan.horizon) for state in after])
        gains = np.diff(values, axis=1, prepend=now.value)
        rewards.append(torch.from_numpy(gains.astype(np.float32)) * POINTS)
        default = next(index for index, proposal in enumerate(batches) if proposal.by_default)
        ways = (default, int(values.mean(axis=1).argmax()), int(generator.integers(len(after))))
        way = generator.integers(3)
        taken.append(-1 if way == 1 else ways[way])
        now = after[ways[way]]
    return Comparisons(torch.stack(states), torch.stack(options), torch.stack(rewards), torch.tensor(taken))


def _follow(proposals: Batches, state: Annotation, k: int, generator: np.random.Generator, horizon: int) -> list[float]:
    """The value of a state and of those to which the default rule leads."""
    values = [state.value]
    while len(values) < horizon:
        state = state.buy(proposals.default_batch(state.signals, k, generator))
        values.append(state.value)
    return values
