"""The neighbours' vote against loops over all pairs."""

import math

import numpy as np
import pytest
from clusters import clusters
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from lit_react.augmentation.labels.base import LabeledPool
from lit_react.augmentation.labels.neighbour_vote import NeighbourVote


def brute_force(pool: LabeledPool, neighbors: int, threshold: float, agreement: float) -> dict[int, int]:
    """Kept row → class, all pairs one by one."""
    head = LogisticRegression(C=20, max_iter=1000).fit(pool.embeddings[pool.rows], pool.classes)
    voices = {int(row): int(label) for row, label in zip(pool.rows, pool.classes, strict=True)}
    confidence = {}
    for row in pool.rows_to_label.tolist():
        shares = head.predict_proba(pool.embeddings[row : row + 1])[0]
        voices[row], confidence[row] = int(head.classes_[shares.argmax()]), shares.max()
    kept = {}
    for row in confidence:
        others = [other for other in voices if other != row]
        others.sort(key=lambda other, row=row: -float(pool.embeddings[row] @ pool.embeddings[other]))
        near = others[:neighbors]
        share = sum(voices[other] == voices[row] for other in near) / len(near)
        if confidence[row] >= threshold and share > agreement:
            kept[row] = voices[row]
    return kept


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 50),
    classes=st.integers(2, 5),
    neighbors=st.sampled_from([1, 4, 7, 1000]),
    threshold=st.sampled_from([0.0, 0.5, 0.7]),
    agreement=st.sampled_from([0.5, 0.75]),
)
def test_kept_labels_are_those_of_loops_over_all_pairs(
    seed: int, classes: int, neighbors: int, threshold: float, agreement: float
) -> None:
    pool, _ = clusters(seed, classes=classes, rows=40, labeled=12, noise=0.5)
    part = NeighbourVote(neighbors=neighbors, threshold=threshold, agreement=agreement)
    generated = part.generate(pool, 0)
    counted = generated.weights > 0
    found = dict(zip(generated.rows[counted].tolist(), generated.targets[counted].argmax(1).tolist(), strict=True))
    assert found == brute_force(pool, neighbors, threshold, agreement)
    assert set(np.unique(generated.targets)) <= {0.0, 1.0}


def test_kept_labels_are_right_more_often_than_those_left_out() -> None:
    pool, gold = clusters(rows=300, noise=0.6, labeled=12)
    everything, voted = NeighbourVote(threshold=0.0, neighbors=1000), NeighbourVote()
    assert not everything.generate(pool, 0).weights.all(), "all others vote: no class has a majority"
    generated = voted.generate(pool, 0)
    right, kept = generated.targets.argmax(axis=1) == gold[generated.rows], generated.weights > 0
    assert 0 < kept.sum() < len(kept)
    assert right[kept].mean() > right[~kept].mean() + 0.1
    assert generated.report["kept"] <= min(generated.report["confident"], generated.report["agreement"])
    assert generated.report["kept"] == pytest.approx(kept.mean())


def test_balanced_weights_by_hand() -> None:
    classes = np.array([0, 0, 0, 2])  # mean 4 / 4 classes = 1
    weights = NeighbourVote()._weights(classes, 4)
    common, rare = 1 / (1 + math.exp(2 / 3)), 0.5
    np.testing.assert_allclose(weights, [common, common, common, rare], rtol=1e-6)


def test_weights_without_balance_are_equal() -> None:
    pool, _ = clusters()
    assert set(NeighbourVote(class_weights="none").generate(pool, 0).weights) <= {0.0, 1.0}


def test_a_rare_class_weighs_more_than_a_common_one() -> None:
    pool, gold = clusters(rows=90, labeled=30)
    kept = np.sort(np.concatenate([np.flatnonzero(gold != 2), np.flatnonzero(gold == 2)[:8]]))
    place = np.isin(pool.rows, kept)
    small = LabeledPool(pool.embeddings[kept], np.searchsorted(kept, pool.rows[place]), pool.classes[place], 3)
    generated = NeighbourVote(neighbors=3).generate(small, 0)
    classes, kept = generated.targets.argmax(axis=1), generated.weights > 0
    assert generated.weights[kept & (classes == 2)].min() > generated.weights[kept & (classes != 2)].max()
