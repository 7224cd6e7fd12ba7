"""Self-training: rows, the gate, the edges."""

import numpy as np
import pytest
from clusters import clusters
from sklearn.linear_model import LogisticRegression

from lit_react.augmentation.labels.base import GeneratedLabels, LabeledPool
from lit_react.augmentation.labels.self_training import SelfTraining
from lit_react.core.errors import UserError

EVERYTHING = SelfTraining(threshold=0.0)


def expected(pool: LabeledPool) -> np.ndarray:
    """[n - l, C], scikit-learn's predictions for the unlabeled rows."""
    head = LogisticRegression(C=20, max_iter=1000).fit(pool.embeddings[pool.rows], pool.classes)
    found = np.zeros((len(pool.rows_to_label), pool.num_classes))
    found[:, head.classes_] = head.predict_proba(pool.embeddings[pool.rows_to_label])
    return found


def assert_well_formed(generated: GeneratedLabels, pool: LabeledPool) -> None:
    count = len(generated.rows)
    assert generated.rows.dtype == np.int64
    assert generated.targets.dtype == generated.weights.dtype == np.float32
    assert generated.targets.shape == (count, pool.num_classes)
    assert generated.weights.shape == (count,)
    assert (np.diff(generated.rows) > 0).all()
    assert not np.isin(generated.rows, pool.rows).any()
    np.testing.assert_allclose(generated.targets.sum(axis=1), 1, rtol=1e-5)
    assert ((generated.weights >= 0) & (generated.weights <= 1)).all()
    assert np.isfinite(list(generated.report.values())).all()


def test_targets_are_the_probabilities_of_logistic_regression_and_count_where_it_is_sure() -> None:
    pool, _ = clusters(noise=0.6)
    probabilities = expected(pool)
    sure = probabilities.max(axis=1) >= 0.8
    assert 0 < sure.sum() < len(sure)
    generated = SelfTraining(threshold=0.8).generate(pool, 0)
    assert_well_formed(generated, pool)
    np.testing.assert_array_equal(generated.rows, pool.rows_to_label)
    np.testing.assert_array_equal(generated.weights, sure)
    np.testing.assert_allclose(generated.targets, probabilities, rtol=1e-4, atol=1e-6)
    assert generated.report["kept"] == pytest.approx(sure.mean())
    assert generated.report["confidence"] == pytest.approx(probabilities[sure].max(axis=1).mean(), rel=1e-5)


def test_it_says_nothing_while_one_class_is_known() -> None:
    pool, gold = clusters()
    for rows in (np.array([3]), np.flatnonzero(gold == 1)):
        generated = EVERYTHING.generate(LabeledPool(pool.embeddings, rows, gold[rows], 3), 0)
        assert_well_formed(generated, pool)
        assert len(generated.rows) == 0


def test_it_says_nothing_where_all_rows_have_labels() -> None:
    pool, gold = clusters()
    generated = EVERYTHING.generate(LabeledPool(pool.embeddings, np.arange(60), gold, 3), 0)
    assert generated.targets.shape == (0, 3)


def test_it_copes_with_more_classes_than_labels() -> None:
    pool, _ = clusters(classes=30, rows=90, labeled=5, dimension=30)
    generated = EVERYTHING.generate(pool, 0)
    assert_well_formed(generated, pool)
    assert len(generated.rows)
    assert set(generated.targets.argmax(axis=1)) <= set(pool.classes)


def test_it_labels_the_only_unlabeled_row() -> None:
    pool, gold = clusters()
    rows = np.delete(np.arange(60), 7)
    generated = EVERYTHING.generate(LabeledPool(pool.embeddings, rows, gold[rows], 3), 0)
    assert generated.rows.tolist() == [7]
    assert generated.targets.argmax() == gold[7]


def test_most_labels_are_right_on_clusters() -> None:
    pool, gold = clusters()
    generated = EVERYTHING.generate(pool, 0)
    assert set(generated.weights) == {1.0}
    assert (generated.targets.argmax(axis=1) == gold[generated.rows]).mean() > 0.9


@pytest.mark.parametrize("options", [{"l2": 0.0}, {"threshold": 1.1}])
def test_options_out_of_range_are_named(options: dict[str, float]) -> None:
    with pytest.raises(UserError, match=rf"augmentation\.labels\.{next(iter(options))}: .* expected"):
        SelfTraining(**options)
