"""When generated labels count, and how much."""

import pytest

from lit_react.augmentation.trust import Trust
from lit_react.core.errors import UserError


def trust(generator: float | None, model: float | None, **options) -> Trust:
    """As it is at the end of a fit that measured this."""
    found = Trust(**options)
    found.generated(generator)
    if model is not None:
        found.validated(model)
    found.move(1.0)
    return found


@pytest.mark.parametrize(
    ("generator", "model", "value"),
    [(0.5, 0.56, 0.0), (0.5, 0.525, 0.25), (0.5, 0.5, 0.5), (0.5, 0.4, 1.0), (0.5, None, 0.0), (None, 0.5, 0.0)],
)
def test_trust_is_the_difference_in_accuracy_within_the_margin(generator, model, value) -> None:
    assert trust(generator, model).factor == pytest.approx(value)


def test_labels_come_to_count_over_the_ramp() -> None:
    found = trust(0.9, 0.5)
    for progress, factor in ((0.39, 0.0), (0.4, 0.0), (0.5, 0.5), (0.6, 1.0), (1.0, 1.0)):
        found.move(progress)
        assert found.factor == pytest.approx(factor)
    at_once = trust(0.9, 0.5, ramp=0)
    at_once.move(0.4)
    assert at_once.factor == 1


def test_there_is_no_trust_in_labels_that_are_not_there_yet() -> None:
    found = Trust("always")
    found.move(1.0)
    assert found.factor == 0
    found.generated(None)
    assert found.factor == 1


def test_a_refit_generates_no_labels_where_the_fit_did_not_trust_them() -> None:
    assert trust(0.5, 0.8).for_refit().is_lost
    assert not trust(0.5, 0.8).is_lost, "another validation may come"
    refitted = trust(0.9, 0.8).for_refit()
    assert not refitted.is_lost
    assert refitted.factor == 0
    refitted.generated(None)
    refitted.move(1.0)
    assert refitted.factor == 1


def test_a_refit_that_always_trusts_does_so_after_a_fit_that_ended_too_early_to_generate() -> None:
    refitted = Trust("always").for_refit()
    assert not refitted.is_lost
    refitted.generated(None)
    refitted.move(1.0)
    assert refitted.factor == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [({"start": 1.0}, r"start: 1\.0"), ({"ramp": -1}, r"ramp: -1"), ({"margin": 0}, r"margin: 0")],
)
def test_trust_that_makes_no_sense_is_one_line(options, message) -> None:
    with pytest.raises(UserError, match=rf"augmentation\.trust\.{message}"):
        Trust(**options)
