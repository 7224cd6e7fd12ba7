"""What the user gave wrong is told in one line."""

from __future__ import annotations

from typing import NoReturn, TypeVar

from jsonargparse import ArgumentParser

from lit_react.errors import UserError

E = TypeVar("E", bound=BaseException)


class OneLineParser(ArgumentParser):
    """Wrong options are a `UserError` of one line."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raise what `main` prints."""
        raise UserError(" ".join(str(message).split())) from ex


def cause(error: BaseException | None, kind: type[E]) -> E | None:
    """The exception of this kind that another comes from, if any: jsonargparse wraps them in a ValueError."""
    while error is not None and not isinstance(error, kind):
        error = error.__cause__ or error.__context__
    return error
