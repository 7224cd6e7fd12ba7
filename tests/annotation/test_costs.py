import datasets
import numpy as np
import pytest

from lit_react.annotation.costs import ColumnCost, ConstantCost, TokenCost
from lit_react.core.errors import UserError


def table(**columns):
    return datasets.Dataset.from_dict({"text": ["a", "b", "c"], **columns})


def test_constant_costs_are_the_price_of_each_row():
    costs = ConstantCost(2).costs(table(), None)
    assert costs.dtype == np.float64
    assert costs.tolist() == [2, 2, 2]


def test_token_costs_grow_with_the_text_and_are_never_zero():
    cost = TokenCost(0.5)
    assert cost.needs_tokens
    costs = cost.costs(table(), np.array([4, 0, 7]))
    assert costs.dtype == np.float64
    assert costs.tolist() == [2, 0.5, 3.5]


@pytest.mark.parametrize("tokens", [None, np.array([1, 2])])
def test_token_costs_need_the_tokens_of_every_row(tokens):
    with pytest.raises(ValueError, match="number of tokens of 3 rows"):
        TokenCost().costs(table(), tokens)


@pytest.mark.parametrize("values", [[1, 2, 3], [1.0, 2.0, 3.0], ["1", "2.0", "3e0"]])
def test_column_costs_are_the_column_whether_numbers_or_their_text(values):
    costs = ColumnCost("minutes").costs(table(minutes=values), None)
    assert costs.dtype == np.float64
    assert costs.tolist() == [1, 2, 3]


def test_column_costs_follow_a_selection_of_rows():
    assert ColumnCost("m").costs(table(m=[1, 2, 3]).select([2, 0]), None).tolist() == [3, 1]


@pytest.mark.parametrize(
    "values",
    [
        [1, 0, 2],
        [1.0, -1.0, 2.0],
        [1.0, float("nan"), 2.0],
        [1.0, float("inf"), 2.0],
        [1.0, None, 2.0],
        ["1", "two", "3"],
        ["1", "", "3"],
        ["1", None, "3"],
    ],
)
def test_a_value_that_is_no_cost_is_named_by_its_row(values):
    with pytest.raises(UserError, match=r"'m', row 2: expected a finite number above 0") as caught:
        ColumnCost("m").costs(table(m=values), None)
    assert "\n" not in str(caught.value)


def test_a_missing_cost_column_lists_those_there_are():
    with pytest.raises(UserError, match="'m' is not there: the columns are text"):
        ColumnCost("m").costs(table(), None)


@pytest.mark.parametrize("kind", [ConstantCost, TokenCost])
@pytest.mark.parametrize("price", [0.0, -1.0, float("nan"), float("inf")])
def test_a_price_is_a_finite_number_above_zero(kind, price):
    with pytest.raises(UserError, match=r"data\.cost\.price: .* expected more than 0"):
        kind(price)
