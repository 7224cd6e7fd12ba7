import pytest
from hypothesis import given
from hypothesis import strategies as st

from lit_react.acquisition.rewards import GainReward, Outcome, PrintedReward

values = st.floats(0, 1)


def test_by_default_an_average_label_weighs_the_same_whatever_its_unit():
    by_label = GainReward()(Outcome(0.5, 0.6, cost=20, expected_value=0.5, mean_cost=1.0))
    by_token = GainReward()(Outcome(0.5, 0.6, cost=20 * 165, expected_value=0.5, mean_cost=165.0))
    assert by_label == pytest.approx(by_token) == pytest.approx(0.1 - 20e-4)


def test_gain_by_hand():
    outcome = Outcome(value_before=0.70, value_after=0.74, cost=20, expected_value=0.9)
    assert GainReward(cost_weight=0.001)(outcome) == pytest.approx(0.04 - 0.02)
    assert GainReward(cost_weight=0)(outcome) == pytest.approx(0.04)


def test_printed_formula_by_hand():
    outcome = Outcome(value_before=0.70, value_after=0.74, cost=20, expected_value=0.72)
    assert PrintedReward(gamma=0.9, cost_weight=0.001)(outcome) == pytest.approx(0.74 - 0.70 - 0.9 * 0.72 - 0.02)


@given(before=values, after=values, expected=values, gamma=values, cost=st.floats(0, 1000), weight=st.floats(0, 0.1))
def test_printed_reward_is_the_gain_less_the_discounted_expectation(before, after, expected, gamma, cost, weight):
    outcome = Outcome(before, after, cost, expected)
    gain = GainReward(weight)(outcome)
    assert PrintedReward(gamma, weight)(outcome) == pytest.approx(gain - gamma * expected)


@given(cost=st.floats(0, 1000))
def test_dearer_labels_are_never_worth_more(cost):
    cheap, dear = (GainReward()(Outcome(0.5, 0.6, c, 0.5)) for c in (cost, cost + 1))
    assert dear < cheap
