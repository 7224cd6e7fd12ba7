"""The command line: Lightning's commands (`fit`, `validate`, `test`, `predict`) and those beside them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from lit_react.cli.commands import COMMANDS, LABEL, LIGHTNING, SUMMARIES, run_command
from lit_react.cli.one_line import cause, configs_first, of_the_disk
from lit_react.core.errors import EndedByFirst, UserError
from lit_react.core.launch import local_rank
from lit_react.core.terminal import plain

if TYPE_CHECKING:
    from lightning.pytorch.cli import ArgsType


def main(args: ArgsType = None) -> None:
    """Run a command; exit code 2 and one line where the user gave something wrong, 0 where labels are awaited.

    Args:
        args: the command line; None: that of the process.
    """
    words = sys.argv[1:] if args is None else args
    try:
        if isinstance(words, list):
            words = _checked(words)
        if isinstance(words, list) and words[0] in COMMANDS:
            run_command(words[0], words[1:])
        else:
            from lit_react.cli.lightning_cli import run_lightning  # seconds of imports

            run_lightning(words)
    except Exception as error:
        wrong = cause(error, UserError) if isinstance(error, UserError | ValueError) else None
        told = str(wrong) if wrong else of_the_disk(error)
        told = told if told is not None else _of_the_group(error)
        if told is None:
            raise
        if told and not (isinstance(wrong, EndedByFirst) or (wrong and _is_said(told))):
            print(f"error: {plain(' '.join(told.split()))}", file=sys.stderr)
        sys.exit(2)


def _is_said(line: str) -> bool:
    """Whether another process of this machine says it."""
    if "lit_react.core.processes" not in sys.modules:
        return local_rank() > 0
    from lit_react.core.processes import first_to_say

    return not first_to_say(line)


def _of_the_group(error: Exception) -> str | None:
    if not isinstance(error, RuntimeError):
        return None
    from lit_react.core.processes import said_of_the_group

    return said_of_the_group(error)


def _checked(words: list[str]) -> list[str]:
    """A command, or options such as --help, with its configurations before what is stronger."""
    if not words or not (words[0] in {*LIGHTNING, *SUMMARIES} or words[0].startswith("-")):
        got = f", got {words[0]!r}" if words else ""
        raise UserError(f"expected a command, one of {', '.join([*LIGHTNING, *SUMMARIES])}{got}; --help tells of each")
    if words[0].startswith("-"):
        return words
    command, *options = LABEL if words[0] == "label" else words[:1]
    return [command, *configs_first([*options, *words[1:]])]
