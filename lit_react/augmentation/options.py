"""Numbers that an option may take."""

from __future__ import annotations

from lit_react.errors import UserError


def expect(option: str, value: float, low: float, high: float = float("inf"), *, above: bool = False) -> None:
    """Raise a `UserError` unless `low <= value <= high` and the value is finite.

    Args:
        option: part and argument, such as `Mixup.alpha`.
        value: what the user gave.
        low: the least that is allowed.
        high: the most.
        above: `low` itself is not allowed.
    """
    finite = float("-inf") < value < float("inf")
    if finite and value <= high and (value > low if above else value >= low):
        return
    bounds = f"{'above' if above else 'at least'} {low:g}" + (f" and at most {high:g}" if high < float("inf") else "")
    raise UserError(f"{option}: expected a finite number {bounds}, got {value}")
