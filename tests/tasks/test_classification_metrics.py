import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score

from lit_react.tasks.classification_metrics import ClassificationMetrics


def measured(probabilities, labels, classes, batch=7):
    metrics = ClassificationMetrics([str(name) for name in range(classes)])
    for start in range(0, len(labels), batch):
        metrics.update(probabilities[start : start + batch], labels[start : start + batch])
    return metrics.compute()


def calibration_error(probabilities, labels):
    """Share-weighted gap of confidence and accuracy over 15 bins of equal width."""
    confidence, prediction = probabilities.max(1)
    right = (prediction == labels).double()
    bins = np.clip(np.ceil(confidence.numpy() * 15) - 1, 0, 14)
    gaps = [
        (bins == b).mean() * abs(right[bins == b].mean() - confidence[bins == b].double().mean()) for b in set(bins)
    ]
    return float(sum(gaps))


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 999), classes=st.integers(2, 5), n=st.integers(1, 40))
def test_metrics_equal_scikit_learns(seed, classes, n):
    rng = np.random.default_rng(seed)
    probabilities = torch.from_numpy(rng.dirichlet(np.ones(classes), n)).float()
    labels = torch.from_numpy(rng.integers(classes, size=n))
    scalars, tables = measured(probabilities, labels, classes)
    predicted = probabilities.argmax(1)
    assert scalars["accuracy"] == pytest.approx(accuracy_score(labels, predicted), abs=1e-6)
    seen = np.union1d(labels, predicted)
    assert scalars["macro_f1"] == pytest.approx(f1_score(labels, predicted, average="macro", labels=seen), abs=1e-6)
    assert scalars["ece"] == pytest.approx(calibration_error(probabilities, labels), abs=1e-5)
    every = list(range(classes))
    assert tables["confusion_matrix"] == confusion_matrix(labels, predicted, labels=every).tolist()
    expected = f1_score(labels, predicted, average=None, labels=every, zero_division=0)
    assert tables["labels"] == list(tables["per_class_f1"]) == [str(name) for name in every]
    assert list(tables["per_class_f1"].values()) == pytest.approx(expected.tolist(), abs=1e-6)


def test_a_certain_and_right_model_is_calibrated():
    scalars, _ = measured(torch.eye(3), torch.arange(3), 3)
    assert {name: float(value) for name, value in scalars.items()} == {
        "accuracy": 1.0,
        "macro_f1": 1.0,
        "ece": 0.0,
    }


def test_after_a_reset_a_second_epoch_begins_anew():
    metrics = ClassificationMetrics(["no", "yes"])
    metrics.update(torch.tensor([[0.9, 0.1]]), torch.tensor([1]))
    assert metrics.compute()[0]["accuracy"] == 0
    metrics.reset()
    metrics.update(torch.tensor([[0.9, 0.1]]), torch.tensor([0]))
    scalars, tables = metrics.compute()
    assert scalars["accuracy"] == 1
    assert tables["confusion_matrix"] == [[1, 0], [0, 0]]
