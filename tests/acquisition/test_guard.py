"""The guard against leaving the prior where that does not pay."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from lit_react.acquisition.agents.guard import Guard

points = st.floats(-50, 50, allow_subnormal=False)


def guard_of(left, kept, **options):
    """A guard that has seen these residuals."""
    guard = Guard(**options)
    for value in left:
        guard.record(value, 0.0, left_default=True)
    for value in kept:
        guard.record(value, 0.0, left_default=False)
    return guard


# ---- hand-computed


@pytest.mark.parametrize(
    ("left", "kept", "closed"),
    [
        # deviations from their means: ±1, 0 and ±1 twice, so variance (2 + 4) / (3 + 4 − 2) = 1.2 and
        # error √(1.2 · (1/3 + 1/4)) = 0.8367: it closes when the means lie more than 1.6733 apart
        ([-1.68, -0.68, -2.68], [1, -1, 1, -1], True),
        ([-1.67, -0.67, -2.67], [1, -1, 1, -1], False),
        # no spread at all counts as one point: error √(1/3 + 1/2) = 0.9129, twice that is 1.8257
        ([-1.83] * 3, [0, 0], True),
        ([-1.82] * 3, [0, 0], False),
        # the spread of one side alone: variance 8 / (3 + 2 − 2), error √(8/3 · (1/3 + 1/2)) = 1.4907, twice is 2.9814
        ([-4.99, -0.99, -2.99], [0, 0], True),
        ([-4.97, -0.97, -2.97], [0, 0], False),
    ],
)
def test_it_closes_beyond_two_standard_errors(left, kept, closed):
    assert guard_of(left, kept).closed == closed


def test_rewards_are_compared_with_what_the_prior_brings_in_such_a_state():
    early, late = 12.0, 0.5  # expected gains: the same rewards are good late and bad early
    for expected, closed in ((early, True), (late, False)):
        guard = Guard()
        for reward in (3.0, 4.0, 5.0):
            guard.record(reward, expected, left_default=True)
        for reward in (0.4, 0.6, 0.5):
            guard.record(reward, late, left_default=False)
        assert guard.closed == closed


def test_it_looks_at_the_latest_rounds_only():
    bad, good, kept = [-9.0] * 4, [1.0] * 4, [0.0, 1.0, -1.0]
    assert guard_of(bad + good, kept, recent=4).closed is False
    assert guard_of(good + bad, kept, recent=4).closed is True
    assert guard_of([0.0] * 4, [9.0] * 4 + [0.0] * 4, recent=4).closed is False
    assert guard_of([0.0] * 4, [0.0] * 4 + [9.0] * 4, recent=4).closed is True


def test_rounds_that_kept_to_the_prior_open_it_again_when_they_are_as_bad():
    guard = guard_of([-6.0] * 3, [0.0, 0.0])
    assert guard.closed
    for _ in range(8):
        guard.record(-7.0, 0.0, left_default=False)
    assert not guard.closed


# ---- what always holds


@given(left=st.lists(points, max_size=2), kept=st.lists(points, max_size=20))
def test_it_stays_open_before_the_least_number_of_rounds_that_left(left, kept):
    assert not guard_of(left, kept).closed
    assert not guard_of([-50.0] * 6, kept, least=7).closed


@given(left=st.lists(points, min_size=1, max_size=20), kept=st.lists(points, min_size=2, max_size=20))
def test_it_never_closes_where_leaving_was_never_worse(left, kept):
    better = [max(kept) + abs(value) for value in left]
    assert not guard_of(better, kept).closed


@given(left=st.lists(points, min_size=3, max_size=20), kept=points)
def test_three_rounds_that_left_ask_for_two_that_did_not(left, kept):
    assert guard_of(left, []).closed
    assert guard_of(left, [kept]).closed
    assert not guard_of(left, [min(left)] * 2).closed


@given(
    left=st.lists(points, min_size=3, max_size=20),
    kept=st.lists(points, min_size=2, max_size=20),
    shift=st.integers(-64, 64),
)
def test_an_expectation_that_is_wrong_by_a_constant_does_not_matter(left, kept, shift):
    """Whole shifts of values in quarters: sums are exact, so the border is where it was."""
    left, kept = ([round(4 * value) / 4 for value in values] for values in (left, kept))
    moved = guard_of([value + shift for value in left], [value + shift for value in kept])
    here = guard_of(left, kept)
    assume(abs(distance_to_border(here)) > 1e-3)
    assert moved.closed == here.closed


def distance_to_border(guard):
    """How far the guard is from closing, in points; by plain sums."""
    left, kept = guard.left[-guard.recent :], guard.kept[-guard.recent :]
    means = [sum(values) / len(values) for values in (left, kept)]
    spread = sum((v - m) ** 2 for values, m in zip((left, kept), means, strict=True) for v in values)
    variance = max(spread / max(len(left) + len(kept) - 2, 1), 1.0)
    return means[0] - means[1] + guard.doubt * (variance * (1 / len(left) + 1 / len(kept))) ** 0.5


@given(left=st.lists(points, max_size=20), kept=st.lists(points, max_size=20), split=st.integers(0, 40))
def test_only_the_order_within_each_kind_matters(left, kept, split):
    mixed = Guard()
    entries = [(value, True) for value in left] + [(value, False) for value in kept]
    queues = {True: list(left), False: list(kept)}
    for _, kind in entries[split:] + entries[:split]:
        mixed.record(queues[kind].pop(0), 0.0, left_default=kind)
    assert mixed.closed == guard_of(left, kept).closed


@given(left=st.lists(points, min_size=3, max_size=12), kept=st.lists(points, max_size=12), other=points)
def test_a_saved_guard_goes_on_as_the_first_one_and_is_not_touched_by_it(left, kept, other):
    guard, loaded = guard_of(left, kept), Guard()
    state = guard.state_dict()
    loaded.load_state_dict(state)
    for each in (guard, loaded):
        each.record(other, 1.0, left_default=True)
        assert each.left[-1] == other - 1.0
    assert (guard.left, guard.kept, guard.closed) == (loaded.left, loaded.kept, loaded.closed)
    assert state == {"left": left, "kept": kept}
