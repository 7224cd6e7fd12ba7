"""Ctrl-C and `kill` end a command at once, with a line and the exit code that a shell expects."""

from __future__ import annotations

import os
import signal
import sys
import threading
from types import FrameType

from lit_react.core.launch import local_rank, machine

RESUMABLE = ("fit", "label", "pretrain", "simulate", "compare", "monitor", "tune")
SIGNALS = (signal.SIGINT, signal.SIGTERM)
PATIENCE = 5.0
"""Seconds until a process ends that is in a call which lets no signal through, such as waiting for other processes."""


def tell_stops(command: str | None) -> None:
    """From now on SIGINT and SIGTERM end this process; a second one without waiting for anything.

    Lightning alone would end a fit after Ctrl-C with exit code 1, and go on with the next one after SIGTERM. A signal
    that is ignored (`nohup`, a background job of a script) stays so.

    Args:
        command: that is run; None: there is none.
    """
    heard, said = threading.Event(), threading.Event()

    def say() -> None:
        said.set()
        if local_rank() == 0 and machine() == 0:
            print("stopped" + (", the same command goes on" if command in RESUMABLE else ""), file=sys.stderr)

    def stop(number: int, _: FrameType | None) -> None:
        for each in SIGNALS:
            signal.signal(each, signal.SIG_DFL)
        heard.set()
        if not said.is_set():
            say()
        raise SystemExit(128 + number)

    def once_more(ignored: sys.UnraisableHookArgs) -> None:
        """Python drops what is raised while it frees an object: then the same signal comes again."""
        if not (isinstance(ignored.exc_value, SystemExit) and heard.is_set()):
            return known(ignored)
        heard.clear()
        number = int(str(ignored.exc_value)) - 128
        signal.signal(number, stop)
        threading.Timer(0.1, os.kill, (os.getpid(), number)).start()

    def watch(arrived: int) -> None:
        while (number := os.read(arrived, 1)[0]) not in taken or heard.wait(PATIENCE):
            pass
        if not said.is_set():
            say()
        os._exit(128 + number)

    taken = [each for each in SIGNALS if signal.getsignal(each) in (signal.SIG_DFL, signal.default_int_handler)]
    known, sys.unraisablehook = sys.unraisablehook, once_more
    for each in taken:
        signal.signal(each, stop)
    if taken:
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        signal.set_wakeup_fd(writer)
        os.register_at_fork(after_in_child=lambda: signal.set_wakeup_fd(-1))  # a worker's signals are its own
        threading.Thread(target=watch, args=(reader,), daemon=True).start()
