"""When a served model abstains: calibrated confidence, and likeness to what was bought."""

import os
from functools import partial
from pathlib import Path

import datasets
import numpy as np
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import roc_auc_score

from lit_react.applications.abstention import FEWEST, Confidence, Scope, best_temperature, tempered, threshold_for
from lit_react.core.logistic_regression import fit_logistic_regression
from lit_react.tasks.text_classification import ClassificationTask


def clusters(n: int, spread: float, seed: int = 0, classes: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Points of unit length around corners, and their classes."""
    draw = np.random.default_rng(seed)
    labels = draw.integers(classes, size=n)
    points = np.eye(6)[labels] + spread * draw.normal(size=(n, 6))
    return (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32), labels


LOGISTIC = partial(fit_logistic_regression, num_classes=3, l2=0.05)


def test_the_least_threshold_that_has_the_precision_with_one_more_row_wrong() -> None:
    sure = np.array([0.9, 0.8, 0.7, 0.6, 0.6])
    right = np.array([True, True, True, False, True])
    assert threshold_for(sure, right, 0.75) == 0.7, "3 of 3 count as 3 of 4"
    assert threshold_for(sure, right, 0.6) == 0.6, "rows that are as sure stay together"
    assert threshold_for(sure, right, 0.9) == np.inf


def test_the_temperature_undoes_confidence_that_was_too_high() -> None:
    draw = np.random.default_rng(0)
    true = draw.dirichlet(np.ones(3), size=4000)
    labels = (true.cumsum(axis=1) > draw.random((4000, 1))).argmax(axis=1)
    assert best_temperature(tempered(true, 0.5), labels) == pytest.approx(2, rel=0.1)


def test_labels_above_the_threshold_have_the_wanted_precision_on_new_rows_in_the_mean() -> None:
    precisions, shares, accuracies = [], [], []
    for seed in range(10, 16):
        points, labels = clusters(300, spread=0.55, seed=seed)
        found = Confidence.fitted(points, labels, 3, LOGISTIC, wanted=0.9)
        new, truth = clusters(3000, spread=0.55, seed=seed + 100)
        likely = found.classifier.probabilities(new)
        given, right = likely.max(axis=1) >= found.threshold, likely.argmax(axis=1) == truth
        precisions.append(right[given].mean())
        shares.append(given.mean())
        accuracies.append(right.mean())
        assert found.error < 0.1
    assert np.mean(accuracies) < 0.84
    assert np.mean(precisions) == pytest.approx(0.9, abs=0.02)
    assert min(shares) > 0.5


def test_few_labels_or_one_class_calibrate_nothing() -> None:
    points, labels = clusters(FEWEST, spread=0.1)
    assert Confidence.fitted(points[1:], labels[1:], 3, LOGISTIC, 0.9) is None
    assert Confidence.fitted(points, 0 * labels, 3, LOGISTIC, 0.9) is None
    assert Scope.of_rows(points[1:]) is None


def test_a_class_that_was_never_bought_is_out_of_scope_and_few_others_are() -> None:
    points, labels = clusters(600, spread=0.1, classes=4)
    scope = Scope.of_rows(points[:200][labels[:200] < 3])
    outside = scope.similarity(points[200:]) < scope.threshold
    assert outside[labels[200:] == 3].mean() > 0.95
    assert outside[labels[200:] < 3].mean() < 0.12


@pytest.mark.shared_data
def test_news_is_out_of_scope_of_questions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = os.environ.get("LIT_REACT_DATA")
    if not root:
        pytest.skip("LIT_REACT_DATA is not set")

    def embedded(path: str, rows: int) -> np.ndarray:
        texts = pq.read_table(Path(root) / path)["text"].to_pylist()[:rows]
        return np.asarray(ClassificationTask(max_length=64).embed(datasets.Dataset.from_dict({"text": texts})))

    scope = Scope.of_rows(embedded("trec6/train.parquet", 100))
    inside, outside = embedded("trec6/test.parquet", 50), embedded("ag_news/test.parquet", 50)
    found = scope.similarity(np.concatenate([inside, outside]))
    assert roc_auc_score(np.repeat([1, 0], 50), found) > 0.85
