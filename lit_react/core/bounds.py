"""Numbers that an option may take."""

from __future__ import annotations

import math

from lit_react.core.errors import UserError


def expect(
    option: str,
    value: float,
    *,
    at_least: float | None = None,
    above: float | None = None,
    at_most: float | None = None,
    below: float | None = None,
) -> None:
    """Raise a `UserError` unless the value is finite and within the bounds that are given.

    Args:
        option: as it stands on the command line, without dashes.
        value: what the user gave.
        at_least: the least that is allowed.
        above: the value is to be more than this.
        at_most: the most that is allowed.
        below: the value is to be less than this.
    """
    if not math.isfinite(value):
        wrong = "not finite"
    elif (at_least is not None and value < at_least) or (above is not None and value <= above):
        wrong = "too small"
    elif (at_most is not None and value > at_most) or (below is not None and value >= below):
        wrong = "too large"
    else:
        return
    bounds = (
        (at_least, "{:g} or more"),
        (above, "more than {:g}"),
        (at_most, "at most {:g}"),
        (below, "less than {:g}"),
    )
    expected = ", ".join(words.format(bound) for bound, words in bounds if bound is not None)
    raise UserError(f"{option}: {value} is {wrong}, expected {expected}")
