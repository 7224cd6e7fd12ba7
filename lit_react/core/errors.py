"""The ways in which a command ends early on purpose."""


class UserError(Exception):
    """Something the user gave is wrong; one line that says which file, row or option, and what was expected.

    The command line prints it as `error: …` and exits with code 2, without a traceback.
    """


class WrongColumn(UserError):
    """A table lacks a column that the task reads, or holds something else in it."""


class UnknownNameError(ValueError):
    """A name that is that of no class; `near` is the one that is most like it, None where none is."""

    def __init__(self, line: str, near: str | None) -> None:
        super().__init__(line)
        self.near = near


class EndedByFirst(UserError):
    """The first process of a run has ended it, and has said why; the others say nothing."""


class LabelsPending(Exception):
    """Labels were asked for and people have not answered yet; the command prints this and exits with code 0."""
