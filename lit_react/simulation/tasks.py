"""Annotation tasks to practise on: real labels, parts of them, several sets in one, clusters as classes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans

from lit_react.acquisition.signals import Rows

Float32s = NDArray[np.float32]


@dataclass(frozen=True)
class Embedded:
    """Embedded texts with their gold labels."""

    embeddings: Float32s  # float32 [n, d], unit length
    labels: Rows  # int64 [n], class ids in 0 … C-1

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: Rows) -> Embedded:
        """Some rows, in the order given."""
        return Embedded(self.embeddings[rows], self.labels[rows])


@dataclass(frozen=True)
class Task:
    """A pool to annotate and a test set to judge by."""

    pool: Embedded  # what may be labeled
    test: Embedded  # what the reward is measured on
    num_classes: int  # C
    initial_size: int = 20  # labels at the start
    query_size: int = 20  # labels per round
    l2: float = 0.05  # strength of the head's penalty
    sources: tuple[str, ...] = ()  # names of the sets that it was made of

    @cached_property
    def similarities(self) -> Float32s:
        """float32 [n, n], cosines of all pairs of the pool: computed once per task, cut to the unlabeled rows later."""
        return self.pool.embeddings @ self.pool.embeddings.T


def draw_task(sources: dict[str, tuple[Embedded, Embedded]], name: str, generator: np.random.Generator) -> Task:
    """A random task (domain randomisation), mostly of the source `name`, from pool and test part of each source.

    Its labels are, at random: the source's own; those of a random subset of its classes; its own, classes thinned at
    random; those of up to three sources side by side; or clusters of its embeddings, merged at random, some of them
    wrong (many-class sets are few, and without them many classes fail). Pool, start, query and head vary as well.
    """
    makers = {"labels": _labels, "subset": _subset, "imbalanced": _imbalanced, "union": _union, "clusters": _clusters}
    share = np.array([0.35, 0.15, 0.1, 0.15, 0.25])
    kind = str(generator.choice(list(makers), p=share))
    others = [other for other in sources if other != name] if kind == "union" else []
    used = (name, *generator.permutation(others)[: generator.integers(1, 3)].tolist())
    pool, test = makers[kind]([sources[other] for other in used], generator)
    size = int(generator.choice([700, 1200, 2000]))
    pool = pool.take(generator.permutation(len(pool))[:size])
    classes = np.unique(pool.labels)
    test = test.take(np.flatnonzero(np.isin(test.labels, classes)))
    test = test.take(generator.permutation(len(test))[:2000])
    return Task(
        Embedded(pool.embeddings, np.searchsorted(classes, pool.labels)),
        Embedded(test.embeddings, np.searchsorted(classes, test.labels)),
        num_classes=len(classes),
        initial_size=int(generator.choice([10, 20, 20, 50])),
        query_size=int(generator.choice([10, 20, 20, 50])),
        l2=float(generator.choice([0.02, 0.05, 0.05, 0.2])),
        sources=used,
    )


Parts = tuple[Embedded, Embedded]


def _labels(sources: list[Parts], generator: np.random.Generator) -> Parts:
    """The labels that the set came with."""
    return sources[0]


def _subset(sources: list[Parts], generator: np.random.Generator) -> Parts:
    """Two classes or more of the source."""
    pool, test = sources[0]
    present = np.unique(pool.labels)
    chosen = generator.permutation(present)[: generator.integers(2, len(present) + 1)]
    rows = np.flatnonzero(np.isin(pool.labels, chosen))
    return pool.take(rows), test.take(np.flatnonzero(np.isin(test.labels, chosen)))


def _imbalanced(sources: list[Parts], generator: np.random.Generator) -> Parts:
    """Each class thinned to a random share, in pool and test alike."""
    pool, test = sources[0]
    share = generator.uniform(0.1, 1, _num_classes(sources[0])) ** 1.5
    thinned = [part.take(np.flatnonzero(generator.random(len(part)) < share[part.labels])) for part in (pool, test)]
    return thinned[0], thinned[1]


def _union(sources: list[Parts], generator: np.random.Generator) -> Parts:
    """The classes of all given sets side by side."""
    pools, tests, offset = [], [], 0
    for pool, test in sources:
        rows = generator.permutation(len(pool))[:1000]
        tested = generator.permutation(len(test))[:700]
        pools.append(Embedded(pool.embeddings[rows], pool.labels[rows] + offset))
        tests.append(Embedded(test.embeddings[tested], test.labels[tested] + offset))
        offset += _num_classes((pool, test))
    return _joined(pools), _joined(tests)


def _num_classes(parts: Parts) -> int:
    """Classes of pool and test part together: a rare one may be in one of them only."""
    return int(max(part.labels.max(initial=0) for part in parts)) + 1


def _joined(parts: list[Embedded]) -> Embedded:
    return Embedded(np.concatenate([p.embeddings for p in parts]), np.concatenate([p.labels for p in parts]))


def _clusters(sources: list[Parts], generator: np.random.Generator) -> Parts:
    """8 to 160 k-means clusters in a random part of the directions, merged at random; up to 15 % of the labels wrong.

    Clusters of all directions would be what rules that cover the space are made for.
    """
    pool, test = sources[0]
    clusters = min(int(np.exp(generator.uniform(np.log(8), np.log(160)))), len(pool))
    classes = max(2, int(clusters * generator.uniform(0.3, 1.0)))
    directions = generator.permutation(pool.embeddings.shape[1])[: int(generator.integers(40, 200))]
    rows = generator.permutation(len(pool))[:2500]
    found = KMeans(clusters, n_init=1, max_iter=20, random_state=int(generator.integers(2**31)))
    found.fit(pool.embeddings[rows][:, directions])
    merged = np.concatenate([np.arange(classes), generator.integers(0, classes, clusters - classes)])
    noise = generator.uniform(0, 0.15)
    parts = []
    for part in (pool.take(rows), test):
        labels = merged[found.predict(part.embeddings[:, directions])]
        wrong = generator.random(len(part)) < noise
        parts.append(Embedded(part.embeddings, np.where(wrong, generator.integers(0, classes, len(part)), labels)))
    return parts[0], parts[1]
