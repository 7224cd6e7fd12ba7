"""Features of state and samples that mean the same on every data set: ranks, shares, normalised entropies."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lit_react.acquisition.signals import PoolSignals, Rows

Vector = NDArray[np.float32]

STATE_FEATURES = (
    "budget spent (share)",
    "log2 labels per class / 10",
    "mean normalised entropy",
    "mean margin",
    "share with margin < 0.1",
    "class coverage of the labels",
    "normalised entropy of the labels' classes",
    "share of predictions that changed since the last round",
    "metric",
    "last gain x 10",
    "gain before that x 10",
    "log10 classes",
    "L1 distance of predicted and labeled class distributions",
    "log10 pool size / 6",
    "mean similarity to the nearest labeled",
    "mean similarity of the pool",
    "share predicted otherwise than the nearest labeled",
)
SAMPLE_FEATURES = (
    "1 - margin",
    "normalised entropy",
    "rank of 1 - margin",
    "rank of entropy",
    "1 - max probability",
    "density z-score",
    "rank of density",
    "similarity to the nearest labeled",
    "rank of that similarity",
    "log frequency of its predicted class among the labels",
    "prediction changed since the last round",
    "change of confidence since the last round",
    "share of its 10 neighbours predicted otherwise",
    "nearest labeled has another class than predicted",
    "similarity to the nearest earlier pick of the batch",
    "share of its predicted class in the batch",
    "coverage gained, uncertain rows first (facility location)",
    "coverage gained, all rows alike",
    "relative cost",
)
NEIGHBOURS = 20
"""Neighbours whose mean similarity is a sample's density (TypiClust's 20)."""
DIGITS = 5
ROUNDING = 10.0**-DIGITS
"""By how much the same similarity, margin or entropy may differ: by the processor, or by the shape of a product."""


@dataclass
class History:
    """What features need of earlier rounds; part of the run's saved state."""

    values: list[float] = field(default_factory=list)  # the metric of each round so far
    # int32 [pool], predicted class of each pool row in the last round; −1 before the first
    predictions: NDArray[np.int32] = field(default_factory=lambda: np.empty(0, dtype=np.int32))
    # float32 [pool], probability of that class; 0 before the first
    confidences: Vector = field(default_factory=lambda: np.empty(0, dtype=np.float32))
    # of rows that were bought: the confidence of the round before, and whether its prediction was right
    evidence: list[tuple[float, bool]] = field(default_factory=list)

    def observe(self, signals: PoolSignals) -> None:
        """Compare the labels that are new in this round with what the last round predicted of them."""
        rows = signals.labeled_rows
        new = self.predictions[rows] >= 0 if len(self.predictions) else np.zeros(len(rows), dtype=bool)
        right = self.predictions[rows[new]] == signals.labels[new]
        self.evidence += list(zip(self.confidences[rows[new]].tolist(), right.tolist(), strict=True))

    def grow(self, pool_size: int) -> None:
        """Nothing is known of rows that have joined the pool since the last round."""
        if 0 < len(self.predictions) < pool_size:
            new = pool_size - len(self.predictions)
            self.predictions = np.pad(self.predictions, (0, new), constant_values=-1)
            self.confidences = np.pad(self.confidences, (0, new))

    def remember(self, signals: PoolSignals, pool_size: int) -> None:
        """Keep this round's predictions for the next round's churn."""
        self.predictions = np.full(pool_size, -1, dtype=np.int32)
        self.confidences = np.zeros(pool_size, dtype=np.float32)
        self.predictions[signals.rows] = signals.predictions
        self.confidences[signals.rows] = signals.max_probability

    def state_dict(self) -> dict[str, Any]:
        """Plain numbers and tensors."""
        return {
            "values": list(self.values),
            "predictions": torch.from_numpy(self.predictions),
            "confidences": torch.from_numpy(self.confidences),
            "evidence": list(self.evidence),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The inverse of `state_dict`."""
        self.values = list(state["values"])
        self.predictions, self.confidences = state["predictions"].numpy(), state["confidences"].numpy()
        self.evidence = [(confidence, right) for confidence, right in state["evidence"]]


def _ranks(values: Vector, reference: Vector, own: NDArray[np.bool_] | None = None) -> Vector:
    """Share of `reference` below each value, in [0, 1]; ties count half, be they apart by what rounding may do.

    Args:
        values: float32 [k].
        reference: float32 [a].
        own: bool [k], values that are among the reference themselves, and not compared with themselves; None: none is.
    """
    ordered, itself = np.sort(reference), np.zeros(len(values)) if own is None else own
    below = np.searchsorted(ordered, values - ROUNDING, "left") + np.searchsorted(ordered, values + ROUNDING, "right")
    return ((below - itself) / (2 * np.maximum(len(ordered) - itself, 1))).astype(np.float32)


def _distribution(classes: Rows, num_classes: int) -> Vector:
    counts = np.bincount(classes, minlength=num_classes).astype(np.float32)
    return counts / max(counts.sum(), 1)


def _entropy_share(distribution: Vector) -> float:
    """Entropy of a distribution over its maximum, in [0, 1]."""
    entropy = float(-(distribution * np.log(np.clip(distribution, 1e-12, None))).sum())
    return entropy / np.log(max(len(distribution), 2))


def draw_anchors(n: int, generator: np.random.Generator, most: int = 1000) -> Rows:
    """Ascending positions of a uniform sample of n unlabeled rows; a pool of `most` or fewer is its own anchors."""
    return np.arange(n) if n <= most else np.sort(generator.choice(n, most, replace=False))


class FeatureMap:
    """Features relative to one state: signals, the history up to this round, costs float64 [pool] and the share spent.

    Densities and ranks are taken among *anchors*, a uniform sample of the unlabeled rows (see `draw_anchors`), so that
    the cost does not grow with the pool: int64 [a], their positions, ascending. Where they are not given the generator
    draws them.
    """

    def __init__(
        self,
        signals: PoolSignals,
        history: History,
        costs: NDArray[np.float64],
        spent: float,
        generator: np.random.Generator,
        anchors: Rows | None = None,
    ) -> None:
        self.signals, self.history, self.costs, self.spent = signals, history, costs, spent
        self.anchors = draw_anchors(len(signals), generator) if anchors is None else anchors
        self.anchor_embeddings = signals.embeddings[self.anchors].astype(np.float32)
        self.labeled_embeddings = signals.labeled_embeddings.astype(np.float32)

    # ---- among anchors --------------------------------------------------------------------------------------

    def _to_other_anchors(self, positions: Rows) -> Vector:
        """Similarity of samples to each anchor, [k, a]; −1 to the anchor that is the sample itself."""
        similarities = self._to_anchors(positions)
        similarities[positions[:, None] == self.anchors[None, :]] = -1
        return similarities

    def _to_anchors(self, positions: Rows) -> Vector:
        """Similarity of samples to each anchor, [k, a]."""
        known = self.signals.__dict__.get("similarities")  # where somebody made them already
        if known is not None:
            return known[np.ix_(positions, self.anchors)]
        return self.signals.embeddings[positions].astype(np.float32) @ self.anchor_embeddings.T

    def _density(self, similarities: Vector) -> Vector:
        """Mean similarity to the nearest other anchors, [k]."""
        k = min(NEIGHBOURS, similarities.shape[1])
        return np.partition(similarities, -k, axis=1)[:, -k:].mean(axis=1)

    def _nearest_labeled(self, embeddings: Vector) -> tuple[Vector, Rows]:
        """Similarity to the nearest labeled row, and that row's class; 0 and −1 without labels."""
        if len(self.labeled_embeddings) == 0:
            return np.zeros(len(embeddings), dtype=np.float32), np.full(len(embeddings), -1)
        similarities = embeddings @ self.labeled_embeddings.T
        nearest = np.round(similarities, DIGITS).argmax(axis=1)
        return similarities[np.arange(len(nearest)), nearest], self.signals.labels[nearest]

    @cached_property
    def _anchor_density(self) -> Vector:
        return self._density(self._to_other_anchors(self.anchors))

    @cached_property
    def _nearest_to_anchors(self) -> tuple[Vector, Rows]:
        return self._nearest_labeled(self.anchor_embeddings)

    @cached_property
    def _anchor_coverage(self) -> Vector:
        return np.maximum(self._nearest_to_anchors[0], 0)

    @cached_property
    def _anchor_weights(self) -> Vector:
        """Two weights of each anchor, [a, 2]: as in `facility_location`, rank(−margin)^3; and all alike."""
        uncertainty = -self.signals.margin[self.anchors]
        return np.stack([_ranks(uncertainty, uncertainty) ** 3, np.ones_like(uncertainty)], axis=1)

    def _shares_gained(self, added: Vector) -> Vector:
        """Coverage added at each anchor, [k, a], weighted: tenths of what is left to cover at the start, [k, 2]."""
        left = self._anchor_weights.T @ (1 - self._anchor_coverage) + 1e-6
        return 10 * (added @ self._anchor_weights) / left

    @cached_property
    def _label_distribution(self) -> Vector:
        return _distribution(self.signals.labels, self.signals.num_classes)

    # ---- state ----------------------------------------------------------------------------------------------

    def state(self) -> Vector:
        """float32 [len(STATE_FEATURES)]."""
        signals, values = self.signals, self.history.values
        classes = signals.num_classes
        labels = self._label_distribution
        gains = np.diff(values[-3:]) if len(values) > 1 else np.zeros(0)
        before = self.history.predictions
        known = before[signals.rows] >= 0 if len(before) else np.zeros(len(signals), dtype=bool)
        changed = before[signals.rows[known]] != signals.predictions[known] if known.any() else known[:0]
        churn = float(changed.mean()) if len(changed) else 0.0
        filled = len(signals) > 0
        return np.asarray(
            [
                self.spent,
                np.log2(max(len(signals.labels), 1) / classes + 1) / 10,
                float(signals.entropy.mean()) / np.log(max(classes, 2)) if filled else 0.0,
                float(signals.margin.mean()) if filled else 1.0,
                float((signals.margin < 0.1).mean()) if filled else 0.0,
                float((labels > 0).mean()),
                _entropy_share(labels),
                churn,
                values[-1] if values else 0.0,
                10 * gains[-1] if len(gains) else 0.0,
                10 * gains[-2] if len(gains) > 1 else 0.0,
                np.log10(classes),
                float(np.abs(_distribution(signals.predictions, classes) - labels).sum()),
                np.log10(max(len(signals), 1)) / 6,
                float(self._anchor_coverage.mean()) if filled else 0.0,
                float(np.square(self.anchor_embeddings.mean(axis=0)).sum()) if filled else 0.0,
                float((self._nearest_to_anchors[1] != signals.predictions[self.anchors]).mean()) if filled else 0.0,
            ],
            dtype=np.float32,
        )

    # ---- samples --------------------------------------------------------------------------------------------

    def batch(self, rows: Rows) -> Vector:
        """float32 [k, len(SAMPLE_FEATURES)] of the pool rows of one batch, in their order."""
        return np.concatenate(
            [self.samples(rows), self._within_batch(rows), self._relative_cost(rows)[:, None]], axis=1
        )

    def samples(self, rows: Rows) -> Vector:
        """The features that do not depend on the rest of a batch, float32 [k, 14]."""
        signals, classes = self.signals, self.signals.num_classes
        positions = np.searchsorted(signals.rows, rows)
        embeddings = signals.embeddings[positions].astype(np.float32)
        anchor_similarities = self._to_other_anchors(positions)
        density = self._density(anchor_similarities)
        similarity, neighbour_class = self._nearest_labeled(embeddings)
        predictions = signals.predictions[positions]
        uncertainty, entropy = 1 - signals.margin[positions], signals.entropy[positions]
        anchors, own = self.anchors, np.isin(positions, self.anchors)
        nearest = np.argsort(-np.round(anchor_similarities, DIGITS), axis=1, kind="stable")[:, :10]
        before = self.history.predictions
        known = before[rows] >= 0 if len(before) else np.zeros(len(rows), dtype=bool)
        changed = known & (before[rows] != predictions) if len(before) else known
        confidence = signals.max_probability[positions]
        drift = np.where(known, confidence - self.history.confidences[rows], 0) if len(before) else 0 * confidence
        spread = self._anchor_density.std() + 1e-6
        return np.stack(
            [
                uncertainty,
                entropy / np.log(max(classes, 2)),
                _ranks(uncertainty, 1 - signals.margin[anchors], own),
                _ranks(entropy, signals.entropy[anchors], own),
                1 - confidence,
                np.clip((density - self._anchor_density.mean()) / spread, -3, 3),
                _ranks(density, self._anchor_density, own),
                similarity,
                _ranks(np.maximum(similarity, 0), self._anchor_coverage, own),
                np.log(self._label_distribution[predictions] * len(signals.labels) + 1)
                / np.log(len(signals.labels) + 2),
                changed,
                drift,
                (signals.predictions[anchors[nearest]] != predictions[:, None]).mean(axis=1)
                if nearest.size
                else 0 * confidence,
                neighbour_class != predictions,
            ],
            axis=1,
        ).astype(np.float32)

    def _within_batch(self, rows: Rows) -> Vector:
        """Redundancy with earlier picks, share of the predicted class, two marginal coverages: float32 [k, 4]."""
        positions = np.searchsorted(self.signals.rows, rows)
        embeddings = self.signals.embeddings[positions].astype(np.float32)
        predictions = self.signals.predictions[positions]
        within = np.tril(embeddings @ embeddings.T, -1) + np.triu(np.full((len(rows), len(rows)), -1.0))
        nearest_pick = np.maximum(within.max(axis=1, initial=-1.0), 0)
        share = (predictions[:, None] == predictions[None, :]).mean(axis=1)
        added = np.empty((len(rows), len(self.anchors)), dtype=np.float32)
        coverage = self._anchor_coverage
        for index, similarities in enumerate(self._to_anchors(positions)):
            better = np.maximum(similarities, coverage)
            added[index], coverage = better - coverage, better
        return np.column_stack([nearest_pick, share, self._shares_gained(added)]).astype(np.float32)

    def singles(self, rows: Rows) -> Vector:
        """float32 [m, len(SAMPLE_FEATURES)], each row as a batch of its own (sample-level policies)."""
        positions = np.searchsorted(self.signals.rows, rows)
        added = np.maximum(self._to_anchors(positions) - self._anchor_coverage, 0)
        alone = np.column_stack([np.zeros(len(rows)), np.ones(len(rows)), self._shares_gained(added)])
        return np.concatenate([self.samples(rows), alone, self._relative_cost(rows)[:, None]], axis=1).astype(
            np.float32
        )

    def _relative_cost(self, rows: Rows) -> Vector:
        return (self.costs[rows] / self.costs.mean()).astype(np.float32)
