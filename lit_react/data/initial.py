"""How the first rows to label are chosen where it is not at random."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lit_react.data.pool import Rows


def stratified(labels: Rows, size: int, generator: np.random.Generator) -> Rows:
    """One row of each class while `size` lasts (frequent classes first), the rest in proportion to the classes."""
    classes, counts = np.unique(labels, return_counts=True)
    quota = np.zeros(len(classes), dtype=np.int64)
    for _ in range(size):  # the class furthest below its share is next; a class without any comes first
        behind = np.where(quota < counts, counts / len(labels) * size - quota + len(labels) * (quota == 0), -np.inf)
        quota[np.argmax(behind)] += 1
    picks = [
        generator.choice(np.flatnonzero(labels == c), q, replace=False) for c, q in zip(classes, quota, strict=True)
    ]
    return generator.permutation(np.concatenate(picks)).astype(np.int64)


def representative(embeddings: NDArray[np.float32], size: int, generator: np.random.Generator) -> Rows:
    """The rows nearest to the centres of `size` k-means clusters, each row once."""
    from sklearn.cluster import MiniBatchKMeans

    seed = int(generator.integers(2**31))
    kmeans = MiniBatchKMeans(size, random_state=seed, n_init=3, batch_size=4096).fit(embeddings)
    picks: list[int] = []
    for centre in kmeans.cluster_centers_:
        distance = -(embeddings @ centre)
        distance[picks] = np.inf
        picks.append(int(distance.argmin()))
    return np.asarray(picks, dtype=np.int64)
