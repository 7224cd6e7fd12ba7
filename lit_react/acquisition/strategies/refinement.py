"""Refinement: what several rules propose again and again, on ever smaller pools."""

from __future__ import annotations

from functools import partial

import numpy as np

from lit_react.acquisition.signals import PoolSignals, Rows
from lit_react.acquisition.strategies.clustering import typiclust
from lit_react.acquisition.strategies.distance import badge
from lit_react.acquisition.strategies.dropout import dropquery
from lit_react.acquisition.strategies.fisher_information import bait
from lit_react.acquisition.strategies.geometry import sample
from lit_react.acquisition.strategies.herding import max_herding, uncertainty_herding
from lit_react.acquisition.strategies.protocol import Strategy, reads_if_offered
from lit_react.acquisition.strategies.uncertainty import margin, random

PROPOSERS: tuple[Strategy, ...] = (
    random,
    margin,
    badge,
    partial(bait, max_factors=0),
    typiclust,
    dropquery,
    max_herding,
    uncertainty_herding,
)
"""The authors' rules but AlfaMix, which asks the model about mixtures of rows; BAIT in its binary form, as theirs."""


@reads_if_offered("head_inputs")
def refine(
    signals: PoolSignals,
    k: int,
    generator: np.random.Generator,
    *,
    batches: int = 100,
    depth: int = 5,
    share: float = 0.4,
    max_candidates: int = 5000,
) -> Rows:
    """Filter the pool by what several rules propose, then herd (REFINE; CVPR 2026, arXiv 2511.22344).

    In each of `depth` passes every rule of `PROPOSERS` proposes `batches` / 8 batches of k rows, each on a random part
    of what is left: that `share` of it, `max_candidates` rows at most, k at least. The union of the batches is what is
    left for the next pass; from the last one `uncertainty_herding` picks. In the authors' code the parts of the first
    pass have 5,000 rows whatever the pool has; of a pool of few thousand texts that is no part.

    Costs `batches` · `depth` selections from parts of the pool, seconds where the other rules take milliseconds.
    """
    k = min(k, len(signals))
    if k == 0:
        return signals.rows[:0]
    pool = signals
    for _ in range(depth):
        size = max(k, min(int(share * len(pool)), max_candidates))
        proposed = [
            rule(pool.at(sample(len(pool), size, generator)), k, generator)
            for rule in PROPOSERS
            for _ in range(max(1, batches // len(PROPOSERS)))
        ]
        pool = pool.at(np.searchsorted(pool.rows, np.concatenate(proposed)))
    return uncertainty_herding(pool, k, generator)
