"""Names of classes as people write them."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

from lit_react.core.errors import UnknownNameError
from lit_react.data.classes import look


def id_of(answer: Any, names: Sequence[str], expected: str = "one of") -> int:
    """The class of a name; spaces around it, and what cannot be seen, are forgiven.

    Args:
        answer: what was written.
        names: of the classes, by id.
        expected: how many of them.

    Raises:
        UnknownNameError: it is none of the names; the nearest one is suggested.
    """
    given = str(answer)
    if given in names:
        return names.index(given)
    looks = [look(name) for name in names]
    if look(given) in looks:
        return looks.index(look(given))
    lower = {name.casefold(): name for name in names}
    near = next((lower[match] for match in get_close_matches(given.strip().casefold(), lower, n=1)), None)
    hint = "" if near is None else f"did you mean {near!r}? "
    listed = ", ".join(names[:10]) + (" …" if len(names) > 10 else "")
    raise UnknownNameError(f"unknown label {answer!r}: {hint}expected {expected} {listed}", near)
