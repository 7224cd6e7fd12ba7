"""What one pass over the pool tells: the only thing that strategies, features and agents ever see."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]
Floats = NDArray[np.floating]
CHUNK = 16_384
MANY_ROWS = 5_792
"""Similarities of all pairs of so many rows take 128 MiB; those of more are made where they are needed, in parts."""


@dataclass(frozen=True)
class PoolSignals:
    """Signals of the unlabeled rows and of the labeled ones, as one model saw them in one pass.

    Arrays of the unlabeled part share their first axis with `rows`; a *position* indexes that axis, a *row*
    names a row of the pool. Strategies work on positions inside and return rows.
    """

    rows: Rows  # int64 [n], the unlabeled pool rows, ascending
    probabilities: NDArray[np.float32]  # float32 [n, C], class probabilities (softmax in float32)
    embeddings: Floats  # float16 or float32 [n, d], masked-mean sentence embeddings, unit length; may be a memory map
    labeled_rows: Rows  # int64 [l], the labeled pool rows, ascending
    labels: Rows  # int64 [l], their class ids in 0 … C-1
    labeled_probabilities: NDArray[np.float32]  # float32 [l, C]
    labeled_embeddings: Floats  # float16 or float32 [l, d], unit length
    # float32 or float16 [n, h], inputs of the last linear layer (BADGE); None where nobody asked
    head_inputs: Floats | None = None
    # float64 [n], annotation cost of each unlabeled row; None where all cost the same
    costs: NDArray[np.float64] | None = None
    # float32 [n] by name: those that a strategy ranks by, higher is more uncertain, such as BALD's `mutual_information`
    # I(y; ω | x) in nats from Monte-Carlo dropout; and `margin`, `entropy` and `max_probability` where the
    # probabilities of the classes, which then only sum a row up, do not tell them (a sentence of many tags, an answer's
    # span)
    scores: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def num_classes(self) -> int:
        """Number of classes C."""
        return self.probabilities.shape[1]

    @cached_property
    def predictions(self) -> Rows:
        """int64 [n], the most probable class."""
        return self.probabilities.argmax(axis=1)

    @cached_property
    def margin(self) -> NDArray[np.float32]:
        """float32 [n], probability of the first class minus that of the second; 1 where there is one class."""
        if "margin" in self.scores:
            return self.scores["margin"]
        if self.num_classes == 1:
            return np.ones(len(self), dtype=np.float32)
        return self._by_chunks(lambda p: np.diff(np.partition(p, -2, axis=1)[:, -2:], axis=1)[:, 0])

    @cached_property
    def entropy(self) -> NDArray[np.float32]:
        """float32 [n], entropy of the class probabilities in nats, at most log C."""
        if "entropy" in self.scores:
            return self.scores["entropy"]
        return self._by_chunks(lambda p: -(p * np.log(np.clip(p, 1e-12, None))).sum(axis=1))

    @cached_property
    def similarities(self) -> NDArray[np.float32] | None:
        """float32 [n, n], cosines of all pairs of unlabeled rows; None for more than `MANY_ROWS`."""
        if len(self) > MANY_ROWS:
            return None
        embeddings = np.asarray(self.embeddings, dtype=np.float32)
        return embeddings @ embeddings.T

    def _by_chunks(self, function: Callable[[NDArray[np.float32]], NDArray[np.float32]]) -> NDArray[np.float32]:
        """A function of the probabilities' rows, without a temporary as large as the pool."""
        result = np.empty(len(self), dtype=np.float32)
        for start in range(0, len(self), CHUNK):
            result[start : start + CHUNK] = function(self.probabilities[start : start + CHUNK])
        return result

    @cached_property
    def max_probability(self) -> NDArray[np.float32]:
        """float32 [n], probability of the most probable class."""
        if "max_probability" in self.scores:
            return self.scores["max_probability"]
        return self.probabilities.max(axis=1)

    def at(self, positions: Rows) -> PoolSignals:
        """The same signals for the unlabeled rows at these positions, int64 [k], in their own order."""
        keep = np.zeros(len(self), dtype=bool)
        keep[positions] = True
        return self.select(keep)

    def select(self, keep: NDArray[np.bool_]) -> PoolSignals:
        """The same signals for those of the unlabeled rows that bool [n] says."""
        if keep.all():
            return self
        return replace(
            self,
            rows=self.rows[keep],
            probabilities=self.probabilities[keep],
            embeddings=self.embeddings[keep],
            head_inputs=None if self.head_inputs is None else self.head_inputs[keep],
            costs=None if self.costs is None else self.costs[keep],
            scores={name: values[keep] for name, values in self.scores.items()},
        )
