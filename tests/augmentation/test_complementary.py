"""Complementary labels: values by hand, signs of gradients, what two classes come to."""

import math
from dataclasses import replace

import pytest
import torch
from clusters import make_fit, make_head, make_step
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from lit_react.augmentation.complementary import ComplementaryLabels, log_not
from lit_react.core.errors import UserError

logits_of = st.integers(2, 6).flatmap(
    lambda classes: st.lists(
        st.lists(st.floats(-20, 20, width=32), min_size=classes, max_size=classes), min_size=1, max_size=4
    )
)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def of(probabilities: list[list[float]]) -> Tensor:
    return torch.tensor(probabilities).log()


def test_all_complements_of_a_row_by_hand() -> None:
    loss = ComplementaryLabels("all").of_complements(of([[0.5, 0.3, 0.2]]), torch.tensor([0]), seeded())
    assert loss.item() == pytest.approx(-(math.log(0.7) + math.log(0.8)) / 2, rel=1e-6)


def test_one_complement_is_drawn_among_the_other_classes_equally_often() -> None:
    logits, labels = of([[0.5, 0.3, 0.2]]), torch.tensor([1])
    part, generator = ComplementaryLabels(1), seeded()
    values = [-math.log(0.5), -math.log(0.8)]
    losses = [part.of_complements(logits, labels, generator).item() for _ in range(400)]
    draws = [min((0, 1), key=lambda which: abs(values[which] - loss)) for loss in losses]
    assert all(abs(values[draw] - loss) < 1e-6 for draw, loss in zip(draws, losses, strict=True))
    assert 150 < sum(draws) < 250


def test_complements_of_a_row_do_not_repeat() -> None:
    logits = of([[0.4, 0.3, 0.2, 0.1]])
    labels = torch.tensor([0])
    pairs = {(1, 2): 0.7 * 0.8, (1, 3): 0.7 * 0.9, (2, 3): 0.8 * 0.9}
    expected = {round(-math.log(value) / 2, 5) for value in pairs.values()}
    generator = seeded()
    found = {round(ComplementaryLabels(2).of_complements(logits, labels, generator).item(), 5) for _ in range(100)}
    assert found == expected


def test_more_complements_than_other_classes_are_all_of_them() -> None:
    logits, labels = torch.randn(5, 3, generator=seeded()), torch.tensor([0, 1, 2, 0, 1])
    many = ComplementaryLabels(10).of_complements(logits, labels, seeded(1))
    torch.testing.assert_close(many, ComplementaryLabels("all").of_complements(logits, labels, seeded(2)))


@settings(max_examples=40, deadline=None)
@given(rows=logits_of)
def test_log_not_is_log_of_one_minus_p_in_double_precision(rows: list[list[float]]) -> None:
    logits = torch.tensor(rows)
    double = logits.double()
    classes = logits.shape[1]
    expected = [double[:, [k for k in range(classes) if k != c]].logsumexp(1) for c in range(classes)]
    torch.testing.assert_close(
        log_not(logits).double(), torch.stack(expected, 1) - double.logsumexp(1, keepdim=True), rtol=1e-4, atol=1e-6
    )


@settings(max_examples=40, deadline=None)
@given(rows=logits_of, complement=st.integers(0, 5))
def test_the_complement_goes_down_and_no_other_class_goes_down(rows: list[list[float]], complement: int) -> None:
    logits = torch.tensor(rows).requires_grad_()
    complement %= logits.shape[1]
    (-log_not(logits)[:, complement]).sum().backward()
    gradient = logits.grad
    others = torch.arange(logits.shape[1]) != complement
    assert (gradient[:, complement] >= 0).all()
    assert (gradient[:, complement] > 0)[logits.softmax(1)[:, complement] > 1e-6].all()
    assert (gradient[:, others] <= 1e-7).all()


@settings(max_examples=40, deadline=None)
@given(rows=st.lists(st.tuples(st.floats(-30, 30, width=32), st.floats(-30, 30, width=32)), min_size=1, max_size=5))
def test_two_classes_give_the_loss_and_gradient_of_cross_entropy(rows: list[tuple[float, float]]) -> None:
    labels = torch.arange(len(rows)) % 2
    both = []
    for loss in (
        lambda x: ComplementaryLabels().of_complements(x, labels, seeded()),
        lambda x: F.cross_entropy(x, labels),
    ):
        logits = torch.tensor(rows).requires_grad_()
        value = loss(logits)
        value.backward()
        both.append((value.detach(), logits.grad))
    torch.testing.assert_close(both[0], both[1], rtol=1e-5, atol=1e-6)


def test_certainty_of_a_wrong_class_has_a_finite_loss_and_a_gradient_that_undoes_it() -> None:
    logits = torch.tensor([[0.0, 1000.0, 0.0]], requires_grad=True)
    loss = ComplementaryLabels("all").of_complements(logits, torch.tensor([0]), seeded())
    loss.backward()
    assert loss.item() == pytest.approx((1000 - math.log(2)) / 2)
    assert logits.grad.isfinite().all()
    assert logits.grad[0, 1].item() == pytest.approx(0.5)


def test_half_precision_logits_are_judged_in_float32() -> None:
    loss = ComplementaryLabels("all").of_complements(
        torch.zeros(2, 4, dtype=torch.bfloat16), torch.tensor([0, 3]), seeded()
    )
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(-math.log(0.75), rel=1e-6)


def test_a_ramp_rises_with_the_fit_and_a_constant_does_not() -> None:
    step = make_step([0, 1, 2, 0], make_head())
    for schedule, factors in (("ramp", [0.0, 0.5, 2.0]), ("constant", [2.0, 2.0, 2.0])):
        part = ComplementaryLabels("all", weight=2.0, schedule=schedule)
        part.begin(make_fit())
        whole = part.of_complements(step.labeled.logits, step.labels, seeded())
        for progress, factor in zip((0.0, 0.25, 1.0), factors, strict=True):
            torch.testing.assert_close(part.loss(replace(step, progress=progress)), factor * whole)


def test_a_seed_repeats_the_draws() -> None:
    step = make_step([place % 9 for place in range(8)], make_head(classes=9, width=9))
    losses = []
    for seed in (1, 1, 2):
        part = ComplementaryLabels()
        part.begin(make_fit(seed=seed))
        losses.append([part.loss(step).item() for _ in range(3)])
    assert losses[0] == losses[1] != losses[2]


@pytest.mark.parametrize("options", [{"complements": 0}, {"weight": -1.0}, {"weight": float("nan")}])
def test_options_out_of_range_are_named(options: dict[str, float]) -> None:
    with pytest.raises(UserError, match=rf"augmentation\.complementary\.{next(iter(options))}: .* expected"):
        ComplementaryLabels(**options)
