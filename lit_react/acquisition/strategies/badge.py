"""BADGE: k-means++ on gradient embeddings, which are never built."""

from __future__ import annotations

import numpy as np

from lit_react.acquisition.signals import PoolSignals, Rows
from lit_react.acquisition.strategies.geometry import load, sample
from lit_react.acquisition.strategies.protocol import reads_if_offered


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
