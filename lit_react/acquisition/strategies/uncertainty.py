"""Rules that score each row by itself. Equal scores are broken by a random permutation; O(n log n) after the scores."""

from __future__ import annotations

import numpy as np

from lit_react.acquisition.signals import PoolSignals, Rows
from lit_react.acquisition.strategies.protocol import Strategy, reads
from lit_react.acquisition.strategies.ranking import highest


def random(signals: PoolSignals, k: int, generator: np.random.Generator) -> Rows:
    """Draw uniformly without replacement: the baseline."""
    return signals.rows[generator.permutation(len(signals))[:k]]


def least_confidence(signals: PoolSignals, k: int, generator: np.random.Generator) -> Rows:
    """Lowest probability of the most probable class (Lewis and Gale 1994; Culotta and McCallum 2005)."""
    return signals.rows[highest(-signals.max_probability, k, generator)]


def margin(signals: PoolSignals, k: int, generator: np.random.Generator) -> Rows:
    """Smallest difference of the two highest class probabilities.

    Scheffer, Decomain and Wrobel 2001; "breaking ties" of Luo et al. 2005.
    """
    return signals.rows[highest(-signals.margin, k, generator)]


def entropy(signals: PoolSignals, k: int, generator: np.random.Generator) -> Rows:
    """Highest entropy of the class probabilities (Dagan and Engelson 1995; Settles 2009, section 3.1)."""
    return signals.rows[highest(signals.entropy, k, generator)]


def by_score(name: str) -> Strategy:
    """Highest score of that name in `signals.scores`, where the task has one.

    `mutual_information` is BALD (Houlsby et al. 2011; Gal, Islam and Ghahramani 2017).
    """

    @reads(name)
    def strategy(signals: PoolSignals, k: int, generator: np.random.Generator) -> Rows:
        if name not in signals.scores:
            raise ValueError(f"needs the score {name}, the task gives {sorted(signals.scores)}")
        return signals.rows[highest(signals.scores[name], k, generator)]

    return strategy
