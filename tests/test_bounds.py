"""Options out of range are told in one way."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lit_react.core.bounds import expect
from lit_react.core.errors import UserError


@pytest.mark.parametrize(
    ("value", "bounds", "told"),
    [
        (0, {"at_least": 1}, "part.option: 0 is too small, expected 1 or more"),
        (0.0, {"above": 0}, "part.option: 0.0 is too small, expected more than 0"),
        (1.5, {"above": 0, "at_most": 1}, "part.option: 1.5 is too large, expected more than 0, at most 1"),
        (1.0, {"at_least": 0, "below": 1}, "part.option: 1.0 is too large, expected 0 or more, less than 1"),
        (math.nan, {"at_least": 0.5}, "part.option: nan is not finite, expected 0.5 or more"),
        (math.inf, {"above": 0}, "part.option: inf is not finite, expected more than 0"),
    ],
)
def test_the_option_the_value_and_what_was_expected_are_named(value, bounds, told) -> None:
    with pytest.raises(UserError) as caught:
        expect("part.option", value, **bounds)
    assert str(caught.value) == told


@given(st.integers(-3, 3), st.integers(-3, 3), st.integers(-3, 3))
def test_what_is_within_the_bounds_passes_and_nothing_else(value, low, high) -> None:
    for bounds, fits in (
        ({"at_least": low, "at_most": high}, low <= value <= high),
        ({"above": low, "below": high}, low < value < high),
        ({}, True),
    ):
        try:
            expect("option", value, **bounds)
        except UserError:
            assert not fits
        else:
            assert fits
