"""Herding: facility location with a Gaussian kernel, as its authors set it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from lit_react.acquisition.signals import PoolSignals, Rows
from lit_react.acquisition.strategies.facility_location import Kernel, cover
from lit_react.acquisition.strategies.geometry import Float32s, chunks, load, squared_distances

SAME_TEXT = 0.05
"""Labeled rows that are nearer to each other say nothing of how dense the labels are."""


def uncertainty_herding(
    signals: PoolSignals,
    k: int,
    generator: np.random.Generator,
    *,
    radius: float | None = None,
    temperature: float = 1.0,
    max_candidates: int = 20_000,
) -> Rows:
    """Greedy uncertainty coverage (UHerding; Bae, Oliveira and Sutherland 2025, arXiv 2412.20644).

    Maximises Σ_i u_i · max_{j labeled or picked} k(i, j) with k(x, x') = exp(−‖x − x'‖² / radius²) and u = 1 − margin
    of the probabilities at that temperature, p^(1/T) normalised. The greedy part, its cost and the thinning of large
    pools are those of `facility_location`.

    Unless a radius is given, it is the smallest distance between two labeled rows, as the authors set it, so that a
    pick stands for less the more is labeled; pairs below `SAME_TEXT` are left out, and without any other the radius is
    1. The authors choose the temperature by the calibration of a model fitted on four fifths of the labels; a rule that
    fits nothing takes it as given. A margin that the task gives is taken as it is, at any temperature.
    """
    _check("radius", 1.0 if radius is None else radius)
    _check("temperature", temperature)
    if radius is None:
        radius = _smallest_distance(load(signals.labeled_embeddings))
    uncertainty = np.clip(1 - _at_temperature(signals, temperature).margin, 0, 1).astype(np.float32)
    return cover(signals, k, generator, uncertainty, gaussian(radius), max_candidates)


def max_herding(
    signals: PoolSignals, k: int, generator: np.random.Generator, *, radius: float = 1.0, max_candidates: int = 20_000
) -> Rows:
    """Greedy generalised coverage (MaxHerding; Bae, Noh and Sutherland 2024, arXiv 2407.12212).

    That is `coverage` with the kernel exp(−‖x − x'‖² / radius²): `uncertainty_herding` with all rows alike.
    """
    _check("radius", radius)
    return cover(signals, k, generator, np.ones(len(signals), dtype=np.float32), gaussian(radius), max_candidates)


def gaussian(radius: float) -> Kernel:
    """exp(−‖x − x'‖² / radius²) of unit vectors, whose squared distance is 2 − 2 cos."""
    scale = 2 / radius**2

    def kernel(cosines: Float32s, out: Float32s | None = None) -> Float32s:
        block = np.minimum(cosines, 1, out=out)
        block -= 1
        block *= scale
        return np.exp(block, out=block)

    return kernel


def _check(option: str, value: float) -> None:
    if not value > 0:
        raise ValueError(f"{option}: expected a positive number, got {value}")


def _smallest_distance(labeled: Float32s) -> float:
    """Between two rows of float32 [l, d] that are not one and the same text; 1 where there are no two."""
    smallest = np.inf
    for part in chunks(len(labeled), len(labeled)):
        squares = squared_distances(labeled[part], labeled)
        smallest = min(smallest, float(squares[squares >= SAME_TEXT**2].min(initial=np.inf)))
    return smallest**0.5 if np.isfinite(smallest) else 1.0


def _at_temperature(signals: PoolSignals, temperature: float) -> PoolSignals:
    """The same signals with logits divided by the temperature."""
    if temperature == 1:
        return signals
    logits = np.log(np.clip(signals.probabilities, 1e-12, None)) / np.float32(temperature)
    probabilities = np.exp(logits - logits.max(axis=1, keepdims=True))
    return replace(signals, probabilities=probabilities / probabilities.sum(axis=1, keepdims=True))
