"""Ctrl-C and `kill` end a command at once, with a line and the exit code that a shell expects."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType

RESUMABLE = ("fit", "pretrain", "simulate", "compare")
SIGNALS = (signal.SIGINT, signal.SIGTERM)


def tell_stops(command: str | None) -> None:
    """From now on SIGINT and SIGTERM end this process; a second one without waiting for anything.

    Lightning alone would end a fit after Ctrl-C with exit code 1, and go on with the next one after SIGTERM. A signal
    that is ignored (`nohup`, a background job of a script) stays so.

    Args:
        command: that is run; None: there is none.
    """

    def stop(number: int, _: FrameType | None) -> None:
        for each in SIGNALS:
            signal.signal(each, signal.SIG_DFL)
        if os.environ.get("LOCAL_RANK", "0") == "0":
            print("stopped" + (", the same command goes on" if command in RESUMABLE else ""), file=sys.stderr)
        raise SystemExit(128 + number)

    for number in SIGNALS:
        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(number, stop)
