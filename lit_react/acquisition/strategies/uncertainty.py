"""Rules that score each row by itself. Equal scores are broken by a random permutation; O(n log n) after the scores."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lit_react.acquisition.signals import PoolSignals, Rows
from lit_react.acquisition.strategies.geometry import chunks, load, nearest, sample
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


def density_weighted_margin(
    signals: PoolSignals,
    k: int,
    generator: np.random.Generator,
    *,
    exponent: float = 1.0,
    neighbors: int = 20,
    max_candidates: int = 20_000,
    max_anchors: int = 20_000,
) -> Rows:
    """Highest (1 − margin) · densityᵉ: information density (Settles and Craven 2008, equation 13).

    The density is the mean similarity max(cos, 0) to the nearest `neighbors` among `max_anchors` unlabeled rows, where
    the paper averages over the whole pool; the exponent e = 0 is margin sampling. Only the `max_candidates` rows with
    the smallest margins are scored: O(candidates · anchors · d).
    """
    candidates = highest(-signals.margin, max(k, max_candidates), generator)
    anchors = sample(len(signals), max_anchors, generator)
    own = np.full(len(signals), -1, dtype=np.int64)
    own[anchors] = np.arange(len(anchors))
    count = max(0, min(neighbors, len(anchors) - 1))
    points = load(signals.embeddings, candidates)
    similarities, _ = nearest(points, load(signals.embeddings, anchors), count, own=own[candidates])
    density = np.maximum(similarities, 0).mean(axis=1) if count else np.ones(len(candidates))
    scores = (1 - signals.margin[candidates]) * density**exponent
    return signals.rows[candidates[highest(scores, k, generator)]]


def cal(signals: PoolSignals, k: int, generator: np.random.Generator, *, neighbors: int = 10) -> Rows:
    """Rows whose labeled neighbours are predicted differently (CAL; Margatina et al. 2021, algorithm 1).

    The score is the mean of KL(p(y|x_l) ‖ p(y|x)) over the nearest labeled x_l by inner product. It is linear in log
    p(y|x), so it takes one matrix product and one gather: O(n l d) time, exact at any pool size. Without labeled rows
    the picks are random.
    """
    labeled = signals.labeled_probabilities
    count = min(neighbors, len(labeled))
    scores = np.zeros(len(signals), dtype=np.float32)
    if count:
        _, positions = nearest(signals.embeddings, load(signals.labeled_embeddings), count)
        negative_entropies = (labeled * _log(labeled)).sum(axis=1)
        for part in chunks(len(signals), count * signals.num_classes):
            expected = labeled[positions[part]].mean(axis=1)
            cross_entropies = -(expected * _log(signals.probabilities[part])).sum(axis=1)
            scores[part] = negative_entropies[positions[part]].mean(axis=1) + cross_entropies
    return signals.rows[highest(scores, k, generator)]


def _log(probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.log(np.clip(probabilities, 1e-12, None))
