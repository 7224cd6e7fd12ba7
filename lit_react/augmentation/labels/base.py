"""The kind of part that labels rows which nobody labeled, and what it is told."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class LabeledPool:
    """What a generator knows. All rows are int64 and relative to the embeddings."""

    embeddings: NDArray[np.float32]  # float32 [n, d], of every row, unit length
    rows: Rows  # int64 [l], the labeled rows, ascending
    classes: Rows  # int64 [l], their classes
    num_classes: int  # C

    @property
    def rows_to_label(self) -> Rows:
        """int64 [m], the unlabeled rows, ascending.

        None where fewer than two classes have labels: a generator would give every row the one class it knows.
        """
        if len(np.unique(self.classes)) < 2:
            return np.empty(0, dtype=np.int64)
        return np.setdiff1d(np.arange(len(self.embeddings), dtype=np.int64), self.rows, assume_unique=True)


@dataclass(frozen=True)
class GeneratedLabels:
    """Labels that nobody was paid for, of rows that have no other."""

    rows: Rows  # int64 [m], unlabeled rows of the pool, ascending
    targets: NDArray[np.float32]  # float32 [m, C], a distribution over the classes for each
    weights: NDArray[np.float32]  # float32 [m], how much each counts beside the others; 0: not at all
    report: dict[str, float] = field(default_factory=dict)  # what the generator measured of itself, by name


class LabelGenerator(ABC):
    """Puts labels on rows that have none, once in a fit, see `PseudoLabels`; your own has one method, `label`."""

    def generate(self, pool: LabeledPool, seed: int) -> GeneratedLabels:
        """Labels for `pool.rows_to_label`, a function of its arguments alone."""
        rows = pool.rows_to_label
        if len(rows):
            return self.label(pool, rows, seed)
        return GeneratedLabels(rows, np.empty((0, pool.num_classes), np.float32), np.empty(0, np.float32))

    @abstractmethod
    def label(self, pool: LabeledPool, rows: Rows, seed: int) -> GeneratedLabels:
        """Label the rows `pool.rows_to_label`, int64 [m], one at least; labels of two classes or more were bought."""
