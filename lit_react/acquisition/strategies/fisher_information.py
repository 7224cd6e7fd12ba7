"""Fisher information: the batch that says most about what the last layer would have to know for the whole pool."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lit_react.acquisition.signals import PoolSignals, Rows
from lit_react.acquisition.strategies.geometry import Float32s, chunks, load, sample

OVERSAMPLING = 2


def bait(
    signals: PoolSignals,
    k: int,
    generator: np.random.Generator,
    *,
    penalty: float = 1.0,
    max_factors: int = 4096,
    max_candidates: int = 20_000,
) -> Rows:
    """Greedy Fisher information of the last layer, forward and backward (BAIT; Ash et al. 2021, arXiv 2106.09675).

    Minimises tr((penalty · I + Σ_{labeled and picked} F_x)⁻¹ Σ_{unlabeled} F_x): 2k rows are added one after the other,
    each the one that lowers it most, then k are taken out again, each the one that raises it least. Information is
    summed over rows, where the authors' code weighs averages. Of equal rows the first goes first; what stays comes in
    the order of the picks.

    F_x = (diag p − p p') ⊗ h h' is that of softmax regression on the embeddings h (the inputs of a deep model's last
    layer are not kept for labeled rows), of rank C: gains and updates are exact, by the identity of Woodbury. That is
    affordable where few classes and dimensions make C² d `max_factors` or less: O((n + C d) (C d)²) once and O(n C² d +
    C³ d²) a pick, in memory of O(n (d + C²) + (C d)²). Elsewhere F_x = p̂ (1 − p̂) h h', p̂ being the probability of
    the most probable class (BAIT Binary; Huseljic et al. 2024, arXiv 2404.08981): O((n + d) d²) once and O(n d + d²) a
    pick.
    """
    k = min(k, len(signals))
    if k == 0:
        return signals.rows[:0]
    positions = sample(len(signals), max(k, max_candidates), generator)
    dimension = signals.embeddings.shape[1]
    roots = _softmax_roots if signals.num_classes**2 * dimension <= max_factors else _binary_roots
    labeled = _Factors(load(signals.labeled_embeddings), roots(signals.labeled_probabilities))
    design = _Design(_Factors(load(signals.embeddings, positions), roots(signals.probabilities[positions])))
    design.start(labeled.information(), penalty)

    picks: list[int] = []
    taken = np.zeros(len(positions), dtype=bool)
    while len(picks) < min(OVERSAMPLING * k, len(positions)):
        picks.append(int(np.where(taken, -np.inf, design.gains()).argmax()))
        taken[picks[-1]] = True
        design.change(picks[-1], 1)
    while len(picks) > k:
        design.change(picks.pop(int(design.losses(picks).argmin())), -1)
    return signals.rows[positions[picks]]


def _softmax_roots(probabilities: NDArray[np.float32]) -> Float32s:
    """float32 [n, C, C], R with R'R = diag p − p p': a row √p_y (e_y − p) for each class y."""
    errors = np.eye(probabilities.shape[1], dtype=np.float32) - probabilities[:, None, :]
    return np.sqrt(probabilities)[:, :, None] * errors


def _binary_roots(probabilities: NDArray[np.float32]) -> Float32s:
    """float32 [n, 1, 1], √(p̂ (1 − p̂)) of the most probable class."""
    surest = probabilities.max(axis=1)
    return np.sqrt(np.maximum(surest * (1 - surest), 0))[:, None, None]


class _Factors:
    """Fisher information of rows as X'X, X = R ⊗ h being [m, B d]: points h, float32 [n, d], R, float32 [n, m, B]."""

    def __init__(self, points: Float32s, roots: Float32s) -> None:
        self.points, self.roots = points, roots
        self.blocks, self.dimension = roots.shape[2], points.shape[1]

    def __len__(self) -> int:
        return len(self.points)

    def of(self, position: int) -> Float32s:
        """X of one row, float32 [m, B d]."""
        return (self.roots[position][:, :, None] * self.points[position]).reshape(self.roots.shape[1], -1)

    def information(self) -> Float32s:
        """Σ X'X, float32 [B d, B d]."""
        size = self.blocks * self.dimension
        weights = self.roots.transpose(0, 2, 1) @ self.roots
        total = np.empty((self.blocks, self.dimension, self.blocks, self.dimension), dtype=np.float32)
        for one in range(self.blocks):
            for other in range(one + 1):
                part = (self.points * weights[:, one, other, None]).T @ self.points
                total[one, :, other], total[other, :, one] = part, part
        return total.reshape(size, size)

    def forms(self, matrix: Float32s) -> Float32s:
        """X M X' of each row, float32 [n, m, m]."""
        b, d = self.blocks, self.dimension
        by_input = np.ascontiguousarray(matrix.reshape(b, d, b, d).transpose(1, 0, 2, 3)).reshape(d, -1)
        values = np.empty((len(self), b, b), dtype=np.float32)
        for part in chunks(len(self), by_input.shape[1]):
            points = self.points[part]
            values[part] = ((points @ by_input).reshape(len(points), b * b, d) @ points[:, :, None]).reshape(-1, b, b)
        return np.asarray(self.roots @ values @ self.roots.transpose(0, 2, 1), dtype=np.float32)

    def products(self, vectors: Float32s) -> Float32s:
        """X v of each row with some vectors, float32 [B d, q]: float32 [n, m, q]."""
        b, d, q = self.blocks, self.dimension, vectors.shape[1]
        by_input = vectors.reshape(b, d, q).transpose(1, 0, 2).reshape(d, b * q)
        values = (self.points @ by_input).reshape(-1, b, q)
        return np.asarray(self.roots @ values, dtype=np.float32)


class _Design:
    """What is known of the last layer, P = (penalty · I + Σ F)⁻¹, and what of it each candidate would tell."""

    def __init__(self, candidates: _Factors) -> None:
        self.candidates = candidates
        self.target: Float32s = candidates.information() / np.float32(len(candidates))

    def start(self, known: Float32s, penalty: float) -> None:
        """Begin with the information of the labeled rows, float32 [D, D]."""
        precision = known.astype(np.float64) + penalty * np.eye(len(known))
        self.covariance = np.linalg.inv(precision).astype(np.float32)
        self.spread = self.candidates.forms(self.covariance)  # X P X', float32 [n, m, m]
        outer = np.asarray(self.covariance @ self.target @ self.covariance, dtype=np.float32)
        self.reach = self.candidates.forms(outer)  # X P F P X'

    def gains(self) -> Float32s:
        """float32 [n], by how much each candidate would lower tr(P F)."""
        identity = np.eye(self.spread.shape[1], dtype=np.float32)
        return np.trace(np.linalg.solve(identity + self.spread, self.reach), axis1=1, axis2=2)

    def losses(self, picks: list[int]) -> Float32s:
        """float32 [len(picks)], by how much tr(P F) would grow without each of the picks."""
        identity = np.eye(self.spread.shape[1], dtype=np.float32)
        return np.trace(np.linalg.solve(identity - self.spread[picks], self.reach[picks]), axis1=1, axis2=2)

    def change(self, position: int, sign: int) -> None:
        """Add a candidate's information (1) or take it out again (−1): P becomes P − U K U'."""
        factor = self.candidates.of(position)
        step = self.covariance @ factor.T
        inner = np.linalg.inv(sign * np.eye(len(factor)) + factor @ step).astype(np.float32)
        ahead = self.target @ step
        along, across = self.candidates.products(step), self.candidates.products(self.covariance @ ahead)
        moved = along @ inner
        cross = moved @ across.transpose(0, 2, 1)
        self.spread -= moved @ along.transpose(0, 2, 1)
        self.reach += moved @ (step.T @ ahead) @ moved.transpose(0, 2, 1) - cross - cross.transpose(0, 2, 1)
        self.covariance -= step @ inner @ step.T
