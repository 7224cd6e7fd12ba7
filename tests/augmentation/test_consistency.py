"""The consistency loss against numbers worked out by hand."""

import math

import pytest
import torch

from lit_react.augmentation.consistency import Consistency
from lit_react.core.errors import UserError


def logits_of(*rows: tuple[float, ...]) -> torch.Tensor:
    return torch.tensor(rows).log()


def test_the_loss_is_the_divergence_of_the_variant_from_the_sharpened_original() -> None:
    # τ = 0.5 squares the probabilities: (0.8, 0.2) → (0.64, 0.04) / 0.68 = (16/17, 1/17)
    expected = 16 / 17 * math.log(16 / 17 / 0.5) + 1 / 17 * math.log(1 / 17 / 0.5)
    found = Consistency(temperature=0.5).loss(logits_of((0.8, 0.2)), logits_of((0.5, 0.5)))
    torch.testing.assert_close(found, torch.tensor(expected))


def test_rows_that_are_not_confident_count_as_zero_in_the_mean() -> None:
    original = logits_of((0.8, 0.1, 0.1), (0.6, 0.3, 0.1), (0.5, 0.3, 0.2))
    varied = logits_of((0.2, 0.4, 0.4), (0.2, 0.4, 0.4), (0.2, 0.4, 0.4))
    first = 0.8 * math.log(0.8 / 0.2) + 2 * 0.1 * math.log(0.1 / 0.4)
    found = Consistency(weight=2, temperature=1, confidence=0.7).loss(original, varied)
    torch.testing.assert_close(found, torch.tensor(2 * first / 3))


def test_the_confidence_is_that_before_sharpening() -> None:
    original, varied = logits_of((0.6, 0.4)), logits_of((0.1, 0.9))  # sharpened: 0.6 ** 10 / (…) = 0.98
    assert Consistency(temperature=0.1, confidence=0.7).loss(original, varied) == 0
    assert Consistency(temperature=0.1, confidence=0.5).loss(original, varied) > 1


def test_the_gradient_goes_through_the_variant_only() -> None:
    original, varied = torch.randn(4, 3, requires_grad=True), torch.randn(4, 3, requires_grad=True)
    Consistency(confidence=0).loss(original, varied).backward()
    assert original.grad is None
    # of KL(p ‖ softmax(z)) by z: softmax(z) − p, here a mean over 4 rows
    expected = (varied.softmax(-1) - (original / 0.4).softmax(-1)) / 4
    torch.testing.assert_close(varied.grad, expected.detach())


def test_equal_predictions_cost_nothing_unsharpened() -> None:
    logits = torch.randn(5, 4)
    assert Consistency(temperature=1, confidence=0).loss(logits, logits).abs() < 1e-6


def test_no_rows_cost_nothing_and_half_precision_gives_float32() -> None:
    part = Consistency()
    empty = part.loss(torch.zeros(0, 3), torch.zeros(0, 3, requires_grad=True))
    assert empty == 0
    empty.backward()
    found = part.loss(torch.tensor([[30.0, -30.0]]).half(), torch.tensor([[-30.0, 30.0]]).half())
    assert found.dtype == torch.float32
    assert found.item() == pytest.approx(60)


@pytest.mark.parametrize(
    ("annealing", "highest"),  # of two classes, when half of the steps are done: α / 2 + 1 / 2
    [("log", 0.959), ("linear", 0.75), ("exp", 0.541), ("none", 1.0)],
)
def test_labeled_rows_that_are_known_well_enough_wait(annealing, highest) -> None:
    sure = torch.tensor([0.3, 0.6, highest - 0.001, min(highest + 0.001, 1 - 1e-6)])
    part, labels = Consistency(annealing=annealing), torch.tensor([1, 0, 1, 0])
    logits = torch.where(labels[:, None] == torch.arange(2), sure[:, None], 1 - sure[:, None]).log()
    expected = [value <= highest for value in sure.tolist()]
    assert part.still_counts(logits, labels, progress=0.5).tolist() == expected
    assert part.still_counts(logits, labels, progress=1.0).all()


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"weight": 0.0}, "weight: 0.0"),
        ({"temperature": 0.0}, "temperature: 0.0"),
        ({"temperature": float("nan")}, "temperature: nan"),
        ({"confidence": 1.0}, "confidence: 1.0"),
        ({"confidence": -0.1}, "confidence: -0.1"),
    ],
)
def test_options_that_mean_nothing_are_refused(options, named) -> None:
    with pytest.raises(UserError, match=f"augmentation.consistency.{named}"):
        Consistency(**options)
