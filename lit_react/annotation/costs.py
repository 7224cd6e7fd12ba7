"""What a label costs: the annotation cost `c_i` of each row, in the units of the budget."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lit_react.core.bounds import expect
from lit_react.core.errors import UserError


class Cost(ABC):
    """Gives each row of a table its annotation cost.

    Attributes:
        needs_tokens: whether `costs` reads `num_tokens`; where it does not, nobody needs to count them.
    """

    needs_tokens: bool = False

    @abstractmethod
    def costs(self, table: datasets.Dataset, num_tokens: NDArray[np.int64] | None) -> NDArray[np.float64]:
        """Price every row.

        Args:
            table: n rows of the pool or of the validation split.
            num_tokens: int64 [n], how much there is to read in each row, see `Task.sizes`; None unless
                `needs_tokens`.

        Returns:
            float64 [n], finite and above 0, relative to `table`.

        Raises:
            UserError: the data cannot give such costs.
        """


class ConstantCost(Cost):
    """Every label costs the same, so a budget of 100 buys 100 labels at price 1.

    Args:
        price: cost of one label.
    """

    def __init__(self, price: float = 1.0) -> None:
        expect("data.cost.price", price, above=0)
        self.price = float(price)

    def costs(self, table: datasets.Dataset, num_tokens: NDArray[np.int64] | None) -> NDArray[np.float64]:
        """Return `price` for each row."""
        return np.full(len(table), self.price)


class TokenCost(ConstantCost):
    """A label costs by what people read for it, at least one token: the task's `sizes`.

    Those are the tokens that the model reads of a text (cut at `model.max_length`, without a prefix), the words of a
    sentence whose entities are marked, or all tokens of the context of a question.

    Args:
        price: cost of one token.
    """

    needs_tokens = True

    def costs(self, table: datasets.Dataset, num_tokens: NDArray[np.int64] | None) -> NDArray[np.float64]:
        """Return `price` times the number of tokens for each row."""
        if num_tokens is None or num_tokens.shape != (len(table),):
            raise ValueError(f"TokenCost needs the number of tokens of {len(table)} rows")
        return self.price * np.maximum(num_tokens, 1).astype(np.float64)


class ColumnCost(Cost):
    """A label costs what a column of the data says, for example measured minutes.

    Args:
        column: name of the column; its values are finite numbers above 0 (in CSV files too).
    """

    def __init__(self, column: str) -> None:
        self.column = column

    def costs(self, table: datasets.Dataset, num_tokens: NDArray[np.int64] | None) -> NDArray[np.float64]:
        """Return the column's values; an error names the first row (from 1) whose value is no cost."""
        if self.column not in table.column_names:
            raise UserError(
                f"cost column {self.column!r} is not there: the columns are {', '.join(table.column_names)}"
            )
        values = table.select_columns([self.column]).with_format("arrow")[:][self.column]
        try:
            costs = pc.fill_null(values.cast(pa.float64()), math.nan).to_numpy()
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):  # some value is no number: find which
            costs = np.array([_number(value) for value in values.to_pylist()])
        wrong = np.flatnonzero(~(np.isfinite(costs) & (costs > 0)))
        if wrong.size:
            row = int(wrong[0])
            raise UserError(
                f"cost column {self.column!r}, row {row + 1}: expected a finite number above 0, "
                f"got {values[row].as_py()!r}"
            )
        return costs


def _number(value: object) -> float:
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return math.nan
