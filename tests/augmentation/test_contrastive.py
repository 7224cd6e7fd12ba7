"""The contrastive loss against its formula, and what it does to features."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from lit_react.augmentation.contrastive import Contrastive
from lit_react.core.errors import UserError


def test_the_loss_is_that_of_the_paper_worked_out_by_hand() -> None:
    # cosines: 1 between the first two, 0 with the third; τ = 0.5 makes them 2 and 0. The third is alone in its class.
    features, labels = torch.tensor([[2.0, 0.0], [5.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 0, 1])
    expected = math.log((math.exp(2) + 1) / math.exp(2))
    assert Contrastive(temperature=0.5).of_pairs(features, labels).item() == pytest.approx(expected)
    assert Contrastive(weight=3.0, temperature=0.5).of_pairs(features, labels).item() == pytest.approx(3 * expected)


@settings(max_examples=30, deadline=None)
@given(labels=st.lists(st.integers(0, 3), min_size=1, max_size=9), seed=st.integers(0, 99))
def test_the_loss_is_the_sum_over_rows_and_their_partners(labels: list[int], seed: int) -> None:
    points = torch.randn(len(labels), 5, generator=torch.Generator().manual_seed(seed))
    z, of_rows = F.normalize(points, dim=1), []
    for i, label in enumerate(labels):
        others = [a for a in range(len(labels)) if a != i]
        whole = sum(math.exp(float(z[i] @ z[a]) / 0.3) for a in others)
        partners = [math.log(math.exp(float(z[i] @ z[p]) / 0.3) / whole) for p in others if labels[p] == label]
        if partners:
            of_rows.append(-sum(partners) / len(partners))
    found = Contrastive().of_pairs(points, torch.tensor(labels)).item()
    assert found == pytest.approx(sum(of_rows) / max(len(of_rows), 1), rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("labels", [[0], [0, 1, 2]], ids=["one row", "all of other classes"])
def test_where_no_two_rows_are_of_a_class_nothing_is_learned(labels) -> None:
    features = torch.randn(len(labels), 4, requires_grad=True)
    loss = Contrastive().of_pairs(features, torch.tensor(labels))
    loss.backward()
    assert loss == 0
    assert torch.equal(features.grad, torch.zeros_like(features))


def test_descent_brings_classes_together_and_apart() -> None:
    labels = torch.tensor([0, 1, 0, 1, 2, 2])
    features = torch.randn(6, 8, generator=torch.Generator().manual_seed(0)).requires_grad_()
    alike = (labels[:, None] == labels) & ~torch.eye(6, dtype=torch.bool)

    def cosines() -> tuple[float, float]:
        z = F.normalize(features.detach(), dim=1)
        return float((z @ z.T)[alike].mean()), float((z @ z.T)[labels[:, None] != labels].mean())

    before = cosines()
    optimizer = torch.optim.SGD([features], lr=1.0)
    for _ in range(20):
        optimizer.zero_grad()
        Contrastive().of_pairs(features, labels).backward()
        optimizer.step()
    after = cosines()
    assert after[0] > before[0] + 0.3
    assert after[1] < before[1]


def test_half_precision_features_give_a_float32_loss() -> None:
    features = torch.randn(4, 8, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([0, 0, 1, 1])
    with torch.autocast("cpu", torch.bfloat16):
        found = Contrastive().of_pairs(features.bfloat16(), labels)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, Contrastive().of_pairs(features, labels), rtol=0.02, atol=0.02)


@pytest.mark.parametrize("options", [{"weight": 0.0}, {"temperature": 0.0}, {"temperature": float("nan")}])
def test_options_that_mean_nothing_are_refused(options) -> None:
    with pytest.raises(UserError, match=f"augmentation.contrastive.{min(options)}: "):
        Contrastive(**options)
