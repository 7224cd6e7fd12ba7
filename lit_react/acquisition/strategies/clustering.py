"""Rules that spread the batch over k-means clusters of the embeddings."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans, kmeans_plusplus
from sklearn.exceptions import ConvergenceWarning

from lit_react.acquisition.signals import PoolSignals, Rows
from lit_react.acquisition.strategies.geometry import Float32s, load, nearest, sample
from lit_react.acquisition.strategies.ranking import highest, round_robin

SEEDING_POINTS_PER_CLUSTER = 5


def cluster(points: Float32s, clusters: int, generator: np.random.Generator) -> tuple[Rows, Float32s]:
    """k-means by Lloyd's algorithm from k-means++ seeds among a sample of the points (all points: ten times slower).

    Gives int64 [n], the cluster of each of the points, float32 [n, d], and float32 [clusters, d], their centres. There
    are at most n clusters; some stay empty where fewer points are distinct.
    """

    def seeds(points: Float32s, clusters: int, random_state: np.random.RandomState) -> Float32s:
        size = min(len(points), SEEDING_POINTS_PER_CLUSTER * clusters)
        chosen = random_state.choice(len(points), size, replace=False)
        return kmeans_plusplus(points[chosen], clusters, random_state=random_state)[0]

    state = int(generator.integers(2**31))
    model = KMeans(clusters, init=seeds, n_init=1, max_iter=100, random_state=state)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer distinct points than clusters
        model.fit(points)
    return model.labels_.astype(np.int64), model.cluster_centers_


def k_means(signals: PoolSignals, k: int, generator: np.random.Generator, *, max_candidates: int = 20_000) -> Rows:
    """The row nearest to the centre of each of k clusters of the unlabeled rows (Zhdanov 2019, without weights).

    Costs Lloyd's O(N k d) per iteration. The largest cluster comes first; where duplicates leave clusters empty, the
    others give their next nearest rows in turn.
    """
    k = min(k, len(signals))
    if k == 0:
        return signals.rows[:0]
    positions = sample(len(signals), max(k, max_candidates), generator)
    points = load(signals.embeddings, positions)
    labels, centres = cluster(points, k, generator)
    closeness = -np.linalg.norm(points - centres[labels], axis=1)
    order = np.argsort(-np.bincount(labels, minlength=k), kind="stable")
    return signals.rows[positions[round_robin(labels, closeness, order, k)]]


def typiclust(
    signals: PoolSignals,
    k: int,
    generator: np.random.Generator,
    *,
    neighbors: int = 20,
    max_clusters: int = 500,
    min_cluster_size: int = 6,
    max_candidates: int = 20_000,
) -> Rows:
    """The most typical row of each cluster that holds no label yet (TypiClust; Hacohen, Dekel and Weinshall 2022).

    Labeled and unlabeled rows together form l + k clusters, `max_clusters` at most, visited in the order: fewest
    labels, then largest; those below `min_cluster_size` after all others (the authors drop them). Typicality (equation
    4) is the inverse mean distance to the nearest `neighbors`, here inside the cluster as in the authors' code. Costs
    O(N (l + k) d) per iteration of Lloyd's and O(Σ |cluster|² d) for the typicality. Rows come in the order of the
    visits.
    """
    k = min(k, len(signals))
    if k == 0:
        return signals.rows[:0]
    positions = sample(len(signals), max(k, max_candidates), generator)
    points = np.concatenate([load(signals.embeddings, positions), load(signals.labeled_embeddings)])
    clusters = min(len(signals.labeled_rows) + k, max_clusters, len(points))
    labels, _ = cluster(points, clusters, generator)
    sizes = np.bincount(labels, minlength=clusters)
    unlabeled = labels[: len(positions)]
    typicality = _typicality(points, labels, neighbors)[: len(positions)]
    covered = np.bincount(labels[len(positions) :], minlength=clusters)
    order = np.lexsort((-sizes, covered, sizes < min_cluster_size))
    return signals.rows[positions[round_robin(unlabeled, typicality, order, k)]]


def _typicality(points: Float32s, labels: Rows, neighbors: int) -> NDArray[np.float32]:
    """float32 [n], minus the mean Euclidean distance to the nearest unit vectors of the same cluster."""
    typicality = np.zeros(len(points), dtype=np.float32)
    by_label = np.argsort(labels, kind="stable")
    for members in np.split(by_label, np.cumsum(np.bincount(labels))[:-1]):
        count = min(neighbors, len(members) - 1)
        if count > 0:
            group = points[members]
            similarities, _ = nearest(group, group, count, own=np.arange(len(members)))
            typicality[members] = -np.sqrt(np.maximum(2 - 2 * similarities, 0)).mean(axis=1)
    return typicality


def cluster_margin(signals: PoolSignals, k: int, generator: np.random.Generator, *, multiple: int = 10) -> Rows:
    """Small margins, spread over clusters (Cluster-Margin; Citovsky et al. 2021, algorithm 2).

    The `multiple`·k rows with the smallest margins form k clusters, which are visited round-robin from the smallest to
    the largest. The paper cuts an average-linkage tree of the whole pool and draws a member at random; we cluster the
    filtered rows by k-means and take the member with the smallest margin. O(n log n) for the filter and O(k² d) per
    iteration of Lloyd's, whatever the pool's size. Rows come in the order of the visits.
    """
    k = min(k, len(signals))
    if k == 0:
        return signals.rows[:0]
    positions = highest(-signals.margin, max(1, multiple) * k, generator)
    labels, _ = cluster(load(signals.embeddings, positions), k, generator)
    order = np.argsort(np.bincount(labels, minlength=k), kind="stable")
    return signals.rows[positions[round_robin(labels, -signals.margin[positions], order, k)]]
