"""An oracle that may look: what a rule could reach that knew, before it buys a batch, what the batch will bring."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from lit_react.acquisition.signals import Rows
from lit_react.acquisition.strategies.facility_location import facility_location
from lit_react.acquisition.strategies.geometry import sample
from lit_react.acquisition.strategies.refinement import PROPOSERS
from lit_react.simulation.environment import Annotation, begin
from lit_react.simulation.tasks import Embedded, Task

Choose = Callable[[Annotation, np.random.Generator], Rows]
"""From the state of a simulated run to the pool rows that are bought next, int64 [k]."""


def best_of_strategies(now: Annotation, generator: np.random.Generator, *, batches: int = 100) -> Rows:
    """The one of many batches after which *test* accuracy is highest (BoSS; Huseljic et al. 2026, arXiv 2603.13109).

    The rules of `refine` and the default rule propose in turns, each from a random part of the unlabeled rows, of a
    random size from four queries on; each batch is bought and learned, and the first of the best is taken. It reads
    test labels, so no run may choose by it: it says how much there is to gain.
    """
    signals, k, rules = now.signals, now.task.query_size, (*PROPOSERS, facility_location)
    best, reached = signals.rows[:0], -1.0
    for number in range(batches):
        size = int(generator.integers(min(4 * k, len(signals)), len(signals), endpoint=True))
        rows = rules[number % len(rules)](signals.at(sample(len(signals), size, generator)), k, generator)
        if (found := accuracy(now.buy(rows), now.task.test)) > reached:
            best, reached = rows, found
    return best


def accuracy(state: Annotation, rows: Embedded) -> float:
    """Share of some rows that the head of a state predicts right."""
    return float((state.head.probabilities(rows.embeddings).argmax(1) == rows.labels).mean())


def measured_run(task: Task, choose: Choose, *, rounds: int, seed: int) -> dict[str, list[float]]:
    """A simulated run, judged before the first purchase and after each; runs of one seed start from the same labels.

    Returns:
        accuracy on two halves of the test rows: `seen`, which are all that `choose` may look at, and `unseen`, on which
        an oracle has no luck that it chose itself.
    """
    seen, unseen = (task.test.take(np.arange(first, len(task.test), 2)) for first in (0, 1))
    generator = np.random.default_rng([seed, 1])
    states = [begin(replace(task, test=seen), generator)]
    for _ in range(rounds):
        states.append(states[-1].buy(choose(states[-1], generator)))
    return {
        "seen": [accuracy(state, seen) for state in states],
        "unseen": [accuracy(state, unseen) for state in states],
    }
