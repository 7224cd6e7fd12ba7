"""People who label in a browser, one or several at once, while the run waits and learns behind them."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lit_react.annotation.desk import Desk
from lit_react.annotation.oracles import Oracle, Question
from lit_react.annotation.page.board import Board
from lit_react.annotation.page.tokens import tokens_of
from lit_react.core.bounds import expect
from lit_react.core.errors import UserError
from lit_react.core.extras import check_installed
from lit_react.core.listening import listen
from lit_react.core.terminal import plain

if TYPE_CHECKING:
    import uvicorn

LOOPBACK = "127.0.0.1"
LONGEST_NAME = 60
LONGEST_GOODBYE = 5
"""Seconds that a browser has to take what is under way when the page closes."""


class Page(Oracle):
    """Serves a page to label on from within the run's process; needs the extra `page`.

    Each annotator has a link with a token of their own, which stays valid when the run goes on after a stop. An answer
    is on the disk before the browser hears of it; when no question waits, the fit begins, and the page tells what it
    brought. The server speaks plain HTTP: over a network that you do not trust, leave `host` alone and use an SSH
    tunnel.

    Args:
        host: address to listen at; `0.0.0.0` for all of the machine's.
        port: where to listen; 0: any that is free.
        annotators: names of those who label; each answer is kept under its annotator's.
        suggestions: whether the page may show what the last model thinks; it biases whoever reads it.
    """

    annotator = "page"

    def __init__(
        self,
        host: str = LOOPBACK,
        port: int = 8017,
        annotators: Sequence[str] = ("you",),
        suggestions: bool = True,
    ) -> None:
        check_installed("starlette", "rounds.oracle", "page")
        check_installed("uvicorn", "rounds.oracle", "page")
        expect("rounds.oracle.port", port, at_least=0, at_most=65535)
        names = [name.strip() for name in annotators]
        wrong = next((n for n in names if not n or len(n) > LONGEST_NAME or plain(n) != n or names.count(n) > 1), None)
        if wrong is not None or not names:
            expected = f"expected different names of 1 to {LONGEST_NAME} characters, got {wrong!r}"
            raise UserError(f"rounds.oracle.annotators: {expected if names else 'expected one name at least'}")
        self.host, self.port, self.annotators, self.suggestions = host, port, names, suggestions
        self.board: Board | None = None
        self._server: uvicorn.Server | None = None

    def open(self, folder: Path, desk: Desk) -> None:
        """Begin to serve, and print the links; a run that opens its folder once more is served on."""
        self._folder, self._desk = folder, desk
        if self.board is not None:
            self.board.use(desk)
            return
        self.board = Board(desk)
        self._serve()

    def label(self, questions: Sequence[Question]) -> Mapping[str, Any]:
        """Wait until every question of the round is answered; the page has recorded the answers by then."""
        assert self.board is not None, "open comes first"
        results = _results(self._folder / "result.json")
        while questions and self._desk.waiting():
            self.board.begin(results)
            self.board.complete.wait(timeout=60)
        self.board.learning = True
        return {}

    def close(self, outcome: str | None = None) -> None:
        """Tell the pages that are open how the run ended, and free the port; whoever opens the run again goes on."""
        if self._server is not None and self.board is not None:
            self.board.end(outcome, _results(self._folder / "result.json"))
            self._server.should_exit = True
            self._thread.join()
        self.board = self._server = None

    def _serve(self) -> None:
        """Listen, so that a port in use is an error here, and serve in a thread that ends with the process."""
        import uvicorn

        from lit_react.annotation.page.server import app_of

        assert self.board is not None
        tokens = tokens_of(self._folder, self.annotators)
        listener = listen(self.host, self.port, "rounds.oracle")
        # without `log_config=None` it would close every log handler of the process
        app = app_of(self.board, tokens, self.host, self.suggestions)
        config = uvicorn.Config(
            app,
            log_config=None,
            log_level="warning",
            access_log=False,
            lifespan="off",
            ws="none",
            timeout_graceful_shutdown=LONGEST_GOODBYE,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([listener],), daemon=True, name="page")
        self._thread.start()
        self.port = listener.getsockname()[1]
        name = {"0.0.0.0": socket.gethostname(), "::": socket.gethostname()}.get(self.host, self.host)
        place = f"http://{f'[{name}]' if ':' in name else name}:{self.port}"
        for annotator, token in tokens.items():
            who = f" ({annotator})" if len(tokens) > 1 else ""
            print(plain(f"label at {place}/#{token}{who}"), flush=True)


def _results(path: Path) -> list[dict[str, Any]]:
    """What each finished round brought: labels, the name of the task's first metric, and its value."""
    rounds = json.loads(path.read_text())["rounds"] if path.exists() else []
    return [{"round": entry["round"], "labels": entry["labeled"], **_measured(entry)} for entry in rounds]


def _measured(entry: Mapping[str, Any]) -> dict[str, Any]:
    """The first metric on test rows, or else on validation rows, or else its estimate from the bought labels."""
    name, metrics = entry["shown"][0], entry["metrics"]
    found = next((key for key in (f"test/{name}", f"val/{name}", "val/estimate") if key in metrics), None)
    return {"metric": f"estimated {name}" if found == "val/estimate" else name, "value": metrics.get(found)}
