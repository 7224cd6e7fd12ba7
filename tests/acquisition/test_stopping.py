import pytest

from lit_react.acquisition.stopping import Progress, Stopping
from lit_react.core.errors import UserError


def reason(rule, values, uncertainty=1.0):
    """Why the rule stops after rounds of these metrics, or None."""
    return rule(Progress(values, labels=10, cost=10.0, uncertainty=lambda: uncertainty))


@pytest.mark.parametrize(
    "option", [{"max_rounds": 0}, {"plateau_rounds": 0}, {"target": 90}, {"min_uncertainty": -0.1}]
)
def test_a_rule_that_could_not_work_is_refused(option):
    with pytest.raises(UserError, match=f"rounds.stopping.{min(option)}"):
        Stopping(**option)


def test_no_rule_never_stops():
    assert reason(Stopping(), [0.5] * 100, 0.0) is None


def test_the_number_of_rounds_is_counted_with_the_first():
    rule = Stopping(max_rounds=3)
    assert [bool(reason(rule, [0.1] * n)) for n in (1, 2, 3, 4)] == [False, False, True, True]
    assert reason(rule, [0.1] * 3) == "3 rounds are done"


def test_target_is_reached_by_the_last_metric():
    rule = Stopping(target=0.8)
    assert reason(rule, [0.9, 0.79]) is None
    assert "0.8000 reached the target 0.8" in reason(rule, [0.1, 0.8])


@pytest.mark.parametrize(
    ("values", "stops"),
    [
        ([0.5, 0.5], False),  # nothing before the last two rounds to compare with
        ([0.5, 0.5, 0.5], True),
        ([0.5, 0.4, 0.6], False),
        ([0.6, 0.5, 0.55], True),
        ([0.5, 0.6, 0.7, 0.65, 0.7], True),
        ([0.5, 0.6, 0.7, 0.65, 0.71], False),
    ],
)
def test_plateau_compares_the_best_of_the_last_rounds_with_the_best_before(values, stops):
    assert bool(reason(Stopping(plateau_rounds=2), values)) is stops


def test_plateau_delta_is_the_gain_that_counts():
    values = [0.50, 0.505, 0.508]
    assert reason(Stopping(plateau_rounds=2), values) is None
    assert "did not rise by more than 0.01 in 2 rounds" in reason(
        Stopping(plateau_rounds=2, plateau_delta=0.01), values
    )


def test_the_pool_is_not_scored_where_another_reason_holds_or_nobody_asks():
    for rule in (Stopping(), Stopping(max_rounds=1, min_uncertainty=0.5)):
        rule(Progress([0.5], 10, 10.0, lambda: pytest.fail("a pass over the pool")))


def test_a_certain_pool_stops():
    rule = Stopping(min_uncertainty=0.2)
    assert reason(rule, [0.5], 0.2) is None
    assert "0.1900 fell below 0.2" in reason(rule, [0.5], 0.19)
