"""Dropout on frozen features: rows whose prediction hangs on few of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lit_react.acquisition.signals import PoolSignals, Rows
from lit_react.acquisition.strategies.clustering import k_means
from lit_react.acquisition.strategies.geometry import Float32s, chunks, load, sample
from lit_react.acquisition.strategies.protocol import reads_if_offered
from lit_react.acquisition.strategies.ranking import highest

RIDGE = 1e-3
"""Penalty of the fit that recovers the last layer, as a share of the inputs' mean variance."""


@reads_if_offered("head_inputs")
def dropquery(
    signals: PoolSignals,
    k: int,
    generator: np.random.Generator,
    *,
    masks: int = 3,
    rate: float = 0.75,
    max_candidates: int = 20_000,
) -> Rows:
    """Rows that dropout makes the head predict otherwise, spread by k-means (DropQuery; Gupte et al. 2024).

    Candidates are the rows whose prediction changes under more than half of the masks ("Revisiting Active Learning in
    the Era of Vision Foundation Models", arXiv 2401.14555); they form k clusters, and the row nearest to each centre is
    picked, as in `k_means`. Where there are fewer than k candidates the rows whose prediction changed most often are
    picked, equal ones in random order.

    The last linear layer reads `head_inputs`, or `embeddings` where that is None, and centred log-probabilities are
    linear in what it reads: so ridge regression finds it from the pool alone, with or without labels, up to rounding;
    of a model whose class probabilities come about otherwise it finds the nearest linear head. O(n d² + n d C masks)
    and Lloyd's O(candidates · k d) per iteration.
    """
    k = min(k, len(signals))
    if k == 0:
        return signals.rows[:0]
    pool = signals.at(sample(len(signals), max(k, max_candidates), generator))
    inputs = load(pool.embeddings if pool.head_inputs is None else pool.head_inputs)
    weight, bias = last_layer(inputs, pool.probabilities)
    changes = np.zeros(len(pool), dtype=np.float32)
    predictions = (inputs @ weight + bias).argmax(axis=1)
    for _ in range(masks):
        for part in chunks(len(pool), inputs.shape[1]):
            stay = generator.random(inputs[part].shape, dtype=np.float32) >= rate
            dropped = inputs[part] * stay / np.float32(1 - rate)
            changes[part] += (dropped @ weight + bias).argmax(axis=1) != predictions[part]
    candidates = changes > masks / 2
    if candidates.sum() < k:
        return pool.rows[highest(changes, k, generator)]
    return k_means(pool.select(candidates), k, generator)


def last_layer(inputs: Float32s, probabilities: NDArray[np.float32]) -> tuple[Float32s, Float32s]:
    """The linear head that turns the inputs, float32 [n, d], into these probabilities, float32 [n, C].

    Gives float32 [d, C], weights, and float32 [C], biases; both up to what adds the same to all classes.
    """
    logits = np.log(np.clip(probabilities, 1e-12, None))
    logits -= logits.mean(axis=1, keepdims=True)
    centre, level = inputs.mean(axis=0), logits.mean(axis=0)
    deviations = inputs - centre
    gram = (deviations.T @ deviations).astype(np.float64)
    gram[np.diag_indices_from(gram)] += RIDGE * np.trace(gram) / len(gram) + 1e-9
    weight = np.linalg.solve(gram, deviations.T @ (logits - level)).astype(np.float32)
    return weight, level - centre @ weight
