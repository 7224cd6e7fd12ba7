"""Contrastive active learning: close in feature space, far in predictions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lit_react.acquisition.signals import PoolSignals, Rows
from lit_react.acquisition.strategies.geometry import chunks, load, nearest
from lit_react.acquisition.strategies.ranking import highest


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
