"""Probability coverage: balls around the batch that hold as much of the pool as can be."""

from __future__ import annotations

import numpy as np

from lit_react.acquisition.signals import PoolSignals, Rows
from lit_react.acquisition.strategies.clustering import cluster
from lit_react.acquisition.strategies.geometry import Float32s, chunks, load, sample, squared_distances


def prob_cover(
    signals: PoolSignals,
    k: int,
    generator: np.random.Generator,
    *,
    purity: float = 0.95,
    radius: float | None = None,
    max_candidates: int = 20_000,
) -> Rows:
    """Greedy maximum coverage by balls of one radius (ProbCover; Yehuda et al. 2022, algorithm 1).

    Balls around labeled rows cover first; each pick is the row whose ball holds most rows not yet covered (lowest
    position of equal ones). A row leaves the counts once, when it becomes covered: O(N² d) in all, and no N × N graph
    is kept. When everything is covered the rest is drawn uniformly.

    Unless a Euclidean radius is given, it is the largest at which the share `purity` of the balls stays in one of C
    k-means clusters (the paper's section 4.2), found on at most 2,000 rows. Rows come in the order of the picks.
    """
    k = min(k, len(signals))
    if k == 0:
        return signals.rows[:0]
    positions = sample(len(signals), max(k, max_candidates), generator)
    points = load(signals.embeddings, positions)
    if radius is None:
        radius = pure_radius(points, signals.num_classes, generator, purity=purity)

    uncovered = np.ones(len(points), dtype=bool)
    labeled = load(signals.labeled_embeddings)
    for part in chunks(len(points), len(labeled)):
        uncovered[part] = ~_within(points[part], labeled, radius).any(axis=1)
    counts = _count(points, points[uncovered], radius)
    picks: list[int] = []
    while len(picks) < k and counts.max() > 0:
        pick = int(counts.argmax())
        picks.append(pick)
        new = uncovered & _within(points, points[[pick]], radius)[:, 0]
        uncovered &= ~new
        counts -= _count(points, points[new], radius)
        counts[pick] = -1  # rounding may leave a centre outside its own tiny ball
    rest = np.setdiff1d(np.arange(len(points)), picks)
    picks.extend(generator.permutation(rest)[: k - len(picks)].tolist())
    return signals.rows[positions[picks]]


def pure_radius(
    points: Float32s, classes: int, generator: np.random.Generator, *, purity: float = 0.95, max_points: int = 2000
) -> float:
    """Largest radius at which a share `purity` of the balls hold points of one k-means cluster only.

    A ball is pure below the distance from its centre to the nearest point of another cluster, so the radius lies just
    below a quantile of those distances; 0 where all points coincide. The points are float32 [n, d], of unit length;
    `classes` is the number of clusters, two or more.
    """
    points = points[sample(len(points), max_points, generator)]
    labels, _ = cluster(points, min(max(classes, 2), len(points)), generator)
    distances = squared_distances(points, points)
    distances[labels[:, None] == labels] = np.inf
    to_other_cluster = np.sqrt(distances.min(axis=1))
    if not np.isfinite(to_other_cluster).all():
        return 0.0
    return 0.999 * float(np.quantile(to_other_cluster, 1 - purity, method="lower"))


def _within(points: Float32s, centres: Float32s, radius: float) -> np.ndarray:
    """Tell whether a point lies in the ball of a centre: bool [n, m]."""
    return squared_distances(points, centres) <= radius**2


def _count(points: Float32s, others: Float32s, radius: float) -> Rows:
    """int64 [n], how many of `others` lie in each point's ball."""
    counts = np.zeros(len(points), dtype=np.int64)
    for part in chunks(len(points), len(others)):
        counts[part] = _within(points[part], others, radius).sum(axis=1)
    return counts
