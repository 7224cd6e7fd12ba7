"""The command line: Lightning's commands (`fit`, `validate`, `test`, `predict`) and those beside them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from lit_react.commands import COMMANDS, run_command
from lit_react.errors import UserError
from lit_react.one_line import cause

if TYPE_CHECKING:
    from lightning.pytorch.cli import ArgsType


def main(args: ArgsType = None) -> None:
    """Run a command; exit code 2 and one line where the user gave something wrong, 0 where labels are awaited.

    Args:
        args: the command line; None: that of the process.
    """
    words = sys.argv[1:] if args is None else args
    try:
        if isinstance(words, list) and words and words[0] in COMMANDS:
            run_command(words[0], words[1:])
        else:
            from lit_react.lightning_cli import run_lightning  # seconds of imports

            run_lightning(args)
    except (UserError, ValueError) as error:
        wrong = cause(error, UserError)
        if wrong is None:
            raise
        print(f"error: {' '.join(str(wrong).split())}", file=sys.stderr)
        sys.exit(2)
