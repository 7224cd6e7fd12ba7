"""Rules that pick one row after the other, far from those picked before."""

from __future__ import annotations

import numpy as np

from lit_react.acquisition.signals import PoolSignals, Rows
from lit_react.acquisition.strategies.geometry import chunks, load, sample, squared_distances
from lit_react.acquisition.strategies.protocol import reads_if_offered


def k_center(signals: PoolSignals, k: int, generator: np.random.Generator, *, max_candidates: int = 100_000) -> Rows:
    """Repeatedly the row farthest from everything labeled or picked (Sener and Savarese 2018, algorithm 1).

    Distances to the nearest centre are kept and updated with each pick: O(N (l + k) d). Of equally far rows the lowest
    goes first; without labeled rows the first pick is drawn uniformly. Rows come in the order of the picks.
    """
    k = min(k, len(signals))
    positions = sample(len(signals), max(k, max_candidates), generator)
    points = load(signals.embeddings, positions)
    centres = load(signals.labeled_embeddings)
    distances = np.full(len(points), np.inf, dtype=np.float32)
    if len(centres):
        for part in chunks(len(points), len(centres)):
            distances[part] = squared_distances(points[part], centres).min(axis=1)
    first = None if len(centres) or not k else generator.integers(len(points))
    picks = np.empty(k, dtype=np.int64)
    norms = np.einsum("ij,ij->i", points, points)
    for i in range(k):
        picks[i] = pick = distances.argmax() if i or first is None else first
        np.minimum(distances, np.maximum(norms + norms[pick] - 2 * (points @ points[pick]), 0), out=distances)
        distances[pick] = -1
    return signals.rows[positions[picks]]


@reads_if_offered("head_inputs")
def badge(signals: PoolSignals, k: int, generator: np.random.Generator, *, max_candidates: int = 100_000) -> Rows:
    """Diverse and uncertain by hallucinated gradients (Ash et al. 2020, algorithm 1).

    The last layer's gradient for the predicted label is the outer product g = a ⊗ h, with a = p − onehot(argmax p) and
    h the layer's input (`head_inputs`, or `embeddings` where that is None), so ⟨g_i, g_j⟩ = ⟨a_i, a_j⟩⟨h_i, h_j⟩ and a
    pick costs O(N (C + h)) in time and memory where the outer products would cost O(N C h). As in the authors' code the
    first pick has the largest gradient (lowest position of equal ones) and each further one is drawn with a probability
    proportional to its squared distance from the nearest pick; where all are zero, the rest is drawn uniformly. Rows
    come in the order of the draws.
    """
    k = min(k, len(signals))
    positions = sample(len(signals), max(k, max_candidates), generator)
    inputs = load(signals.embeddings if signals.head_inputs is None else signals.head_inputs, positions)
    errors = signals.probabilities[positions]
    errors[np.arange(len(errors)), signals.predictions[positions]] -= 1
    norms = np.einsum("ij,ij->i", errors, errors) * np.einsum("ij,ij->i", inputs, inputs)

    distances = np.full(len(positions), np.inf)
    left = np.ones(len(positions), dtype=bool)
    picks: list[int] = []
    while len(picks) < k:
        if not picks:
            pick = int(norms.argmax())
        elif (total := distances.sum()) > 0:
            pick = int(generator.choice(len(distances), p=distances / total))
        else:
            picks.extend(generator.permutation(np.flatnonzero(left))[: k - len(picks)].tolist())
            break
        picks.append(pick)
        left[pick] = False
        with np.errstate(invalid="ignore"):  # some BLAS kernels set the flag for lanes that they do not use
            products = (errors @ errors[pick]) * (inputs @ inputs[pick])
        np.minimum(distances, np.maximum(norms + norms[pick] - 2 * products, 0), out=distances)
        distances[pick] = 0
    return signals.rows[positions[picks]]
