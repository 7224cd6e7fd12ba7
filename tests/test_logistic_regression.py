"""The head of a simulated round is scikit-learn's logistic regression, and that of a `LinearProbe` run."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch.nn import functional as F

from lit_react.core import logistic_regression as module
from lit_react.core.logistic_regression import LinearClassifier, fit_logistic_regression

SHAPES = {"more dimensions than rows": (60, 96), "more rows than dimensions": (250, 12)}


def clusters(rows, dimension, classes, seed=0):
    """Unit vectors around a centre per class, a tenth of the labels wrong; every class is there."""
    rng = np.random.default_rng(0)
    centres = 1.5 * rng.normal(size=(classes, dimension))
    rng = np.random.default_rng([seed, 1])
    labels = np.concatenate([np.arange(classes), rng.integers(classes, size=rows - classes)])
    points = centres[labels] + rng.normal(size=(rows, dimension))
    wrong = classes + np.flatnonzero(rng.random(rows - classes) < 0.1)
    labels[wrong] = rng.integers(classes, size=len(wrong))
    return (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32), labels


def loss(head, features, labels, l2):
    """Σ cross-entropy + l2 / 2 · ‖W‖², in float64."""
    logits = features.astype(float) @ head.weight.astype(float) + head.bias.astype(float)
    logits -= logits.max(1, keepdims=True)
    log_probabilities = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    return -log_probabilities[np.arange(len(labels)), labels].sum() + l2 / 2 * (head.weight.astype(float) ** 2).sum()


def scikit_learns(features, labels, l2):
    """LogisticRegression(C=1 / l2), fitted beyond any doubt.

    Of two classes scikit-learn keeps one weight vector w for the difference of the logits. As a softmax that is
    (−w/2, w/2), of half the norm: what this head and `LinearProbe` fit is C=2 / l2 then.
    """
    binary = labels.max() == 1
    model = LogisticRegression(C=(2 if binary else 1) / l2, tol=1e-10, max_iter=20_000)
    model.fit(features.astype(float), labels)
    weight, bias = model.coef_.T, model.intercept_
    return (
        LinearClassifier(np.hstack([-weight / 2, weight / 2]), np.append(-bias / 2, bias / 2))
        if binary
        else LinearClassifier(weight, bias)
    )


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("classes", [2, 5, 30])
@pytest.mark.parametrize("l2", [0.02, 0.05, 0.2])
@pytest.mark.filterwarnings("ignore:The number of unique classes is greater than 50%")
def test_a_fit_is_scikit_learns_logistic_regression(shape, classes, l2):
    features, labels = clusters(*shape, classes)
    unseen, _ = clusters(200, shape[1], classes, seed=1)
    head, exact = fit_logistic_regression(features, labels, classes, l2), scikit_learns(features, labels, l2)
    expected = exact.probabilities(unseen.astype(float))
    assert np.abs(head.probabilities(unseen) - expected).max() < 1e-2
    least = loss(exact, features, labels, l2)
    assert least * (1 - 1e-6) <= loss(head, features, labels, l2) < least * (1 + 1e-4)
    assert np.ptp(expected, axis=1).max() > 0.5, "probabilities that differ"


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("classes", [2, 30])
def test_a_warm_start_gives_the_same_head_in_fewer_steps(monkeypatch, shape, classes):
    steps, minimize = [], module.minimize

    def counted(*args, **options):
        found = minimize(*args, **options)
        steps.append(found.nfev)
        return found

    monkeypatch.setattr(module, "minimize", counted)
    features, labels = clusters(*shape, classes)
    fewer = len(labels) - 6
    before = fit_logistic_regression(features[:fewer], labels[:fewer], classes, 0.05)
    cold, warm = (fit_logistic_regression(features, labels, classes, 0.05, start) for start in (None, before))
    unseen, _ = clusters(200, shape[1], classes, seed=1)
    assert np.abs(cold.probabilities(unseen) - warm.probabilities(unseen)).max() < 1e-2
    assert loss(warm, features, labels, 0.05) == pytest.approx(loss(cold, features, labels, 0.05), rel=1e-4)
    assert steps[2] < steps[1]


def test_a_start_far_away_does_not_matter():
    features, labels = clusters(60, 96, 5)
    rng = np.random.default_rng(0)
    far = LinearClassifier(rng.normal(size=(96, 5)).astype(np.float32) * 20, np.full(5, 7, dtype=np.float32))
    heads = fit_logistic_regression(features, labels, 5, 0.05), fit_logistic_regression(features, labels, 5, 0.05, far)
    assert np.abs(heads[0].probabilities(features) - heads[1].probabilities(features)).max() < 1e-2


def test_it_minimises_what_a_linear_probe_minimises():
    """`LinearProbe`: mean cross-entropy + l2 / (2 n) · ‖W‖², here written with its own operations."""
    features, labels = clusters(60, 96, 5)
    x, y, l2 = torch.from_numpy(features).double(), torch.from_numpy(labels), 0.05
    head = fit_logistic_regression(features, labels, 5, l2)
    weight, bias = (torch.from_numpy(part).double().requires_grad_() for part in (head.weight, head.bias))

    def objective(w, b):
        return F.cross_entropy(x @ w + b, y) + l2 / (2 * len(y)) * w.square().sum()

    value = objective(weight, bias)
    value.backward()
    zero = objective(torch.zeros_like(weight), torch.zeros_like(bias))
    assert value < zero / 2
    assert max(weight.grad.abs().max(), bias.grad.abs().max()) < 1e-3
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        other = [part + 0.1 * torch.randn(part.shape, generator=generator) for part in (weight, bias)]
        assert objective(*other) > value


def test_classes_without_labels_get_no_weight_and_next_to_no_probability():
    features, labels = clusters(60, 96, 5)
    kept = labels < 3
    head = fit_logistic_regression(features[kept], labels[kept], 5, 0.05)
    assert np.isfinite(head.weight).all()
    assert head.probabilities(features)[:, 3:].max() < 0.1
    assert head.probabilities(features).sum(1) == pytest.approx(np.ones(60), abs=1e-5)


@pytest.mark.parametrize("copies", [1, 7])
def test_labels_of_one_class_and_copies_of_one_row_break_nothing(copies):
    features, _ = clusters(5, 8, 2)
    head = fit_logistic_regression(np.repeat(features[:1], copies, axis=0), np.zeros(copies, dtype=np.int64), 3, 0.05)
    p = head.probabilities(features)
    assert np.isfinite(p).all()
    assert (p.argmax(1) == 0).all()
