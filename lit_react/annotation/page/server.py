"""The web application of the page: static files for anybody, questions and answers for whoever has a token."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import math
import socket
import sqlite3
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lit_react.annotation.answers import NEW_CLASS
from lit_react.annotation.new_classes import LONGEST
from lit_react.annotation.oracles import Answer
from lit_react.annotation.page.board import AnsweredMeanwhileError, Board
from lit_react.annotation.page.tokens import owner_of
from lit_react.core.errors import UserError
from lit_react.core.terminal import plain

LONGEST_BODY = 1_000_000
"""Bytes of an answer."""

TICK = 0.2
"""Seconds between two looks at whether the run has ended."""

LONGEST_WAIT = 86_400.0
"""Seconds that an answer may have taken; a browser that says more is wrong."""

HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-frame-options": "DENY",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
}
KINDS = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
STATIC = {
    path.name: (path.read_bytes(), KINDS[path.suffix])
    for path in sorted((Path(__file__).parent / "static").iterdir())
    if path.suffix in KINDS
}
"""Content and media type of each file of the page, which are few and small."""

Endpoint = Callable[[str, Request], Awaitable[Any]]


class Refusal(Exception):
    """A request that is not done: the status, and one line."""

    def __init__(self, status: int, line: str) -> None:
        super().__init__(line)
        self.status = status


class Guard:
    """Refuses what comes by a name that is not this machine's (DNS rebinding); adds `HEADERS` to every answer.

    An address is always let in: whoever rebinds needs a name.
    """

    def __init__(self, app: ASGIApp, host: str) -> None:
        self.app = app
        self.names = {name.lower() for name in ("localhost", host, socket.gethostname(), socket.getfqdn())}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer 421."""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        known = scope["type"] == "http" and self._is_ours(Headers(scope=scope).get("host", ""))
        refusal = _json({"error": "this server is not known by that name"}, 421)
        await (self.app if known else refusal)(scope, receive, with_headers)

    def _is_ours(self, host: str) -> bool:
        name = host.rpartition(":")[0] if not host.endswith("]") and ":" in host else host
        try:
            ipaddress.ip_address(name.strip("[]"))
        except ValueError:
            return name.lower() in self.names
        return True


def app_of(
    board: Board,
    tokens: Mapping[str, str],
    host: str,
    suggestions: bool,
) -> Starlette:
    """The application.

    Everything runs in the one thread of its event loop: an answer takes milliseconds, and worker threads would keep
    a stopped process alive.

    Args:
        board: what is asked and answered.
        tokens: annotator → token.
        host: a name by which the page may be asked for, beside those of the machine.
        suggestions: whether a question is shown with the last model's.
    """

    def state(annotator: str, id: str | None = None) -> dict[str, Any]:
        id = id or board.next(annotator)
        try:
            shown = board.shown(id, annotator) if id else None
        except KeyError as error:
            raise Refusal(404, f"{id!r} was not asked") from error
        if shown and not suggestions:
            shown["suggestions"] = []
        return {"annotator": annotator, "annotators": len(tokens), **board.progress(), "question": shown}

    async def next_question(annotator: str, request: Request) -> Any:
        return state(annotator, request.query_params.get("id"))

    async def history(annotator: str, request: Request) -> Any:
        return board.history(annotator)

    def name_of_class(id: str, name: str) -> str:
        """The name of a new class as it is kept; a ValueError where it is none."""
        name = " ".join(name.split())
        if not name or len(name) > LONGEST or plain(name) != name:
            raise ValueError(f"expected a name of 1 to {LONGEST} characters")
        if (known := named(id, name)["known"]) is not None:
            raise ValueError(f"{known!r} is a class already")
        return name

    def named(id: str, name: str) -> dict[str, str | None]:
        try:
            return board.named(id, name)
        except KeyError as error:
            raise Refusal(404, f"{id!r} was not asked") from error

    async def look(annotator: str, request: Request) -> Any:
        asked = request.query_params
        try:
            return named(asked.get("id", ""), asked.get("name", ""))
        except ValueError as error:
            raise Refusal(400, str(error)) from error

    async def end(annotator: str, request: Request) -> Any:
        """Answered when the page closes: a tab that is not in sight asks for nothing else."""
        while not board.closing and not await request.is_disconnected():
            await asyncio.sleep(TICK)
        return {"outcome": board.outcome, **board.progress()}

    async def answer(annotator: str, request: Request) -> Any:
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            raise Refusal(415, "expected application/json")
        given, new_class = _answer(await _body(request), annotator)
        try:
            if new_class is not None:
                name = name_of_class(given.id, new_class)
                given = replace(given, note=f"{NEW_CLASS}{name}\n{given.note}".rstrip("\n"))
            board.take(given, annotator)
        except AnsweredMeanwhileError as error:
            raise Refusal(409, str(error)) from error
        except (ValueError, TypeError) as error:
            raise Refusal(400, str(error)) from error
        except (OSError, sqlite3.Error, UserError) as error:
            raise Refusal(503, f"not saved: {error}") from error
        return state(annotator)

    routes = [
        Route("/api/question", partial(_for_annotators, tokens, next_question)),
        Route("/api/name", partial(_for_annotators, tokens, look)),
        Route("/api/end", partial(_for_annotators, tokens, end)),
        Route("/api/answers", partial(_for_annotators, tokens, history)),
        Route("/api/answers", partial(_for_annotators, tokens, answer), methods=["POST"]),
        Route("/", _static),
        Route("/{name}", _static),
    ]
    return Starlette(routes=routes, middleware=[Middleware(Guard, host=host)])


async def _for_annotators(tokens: Mapping[str, str], endpoint: Endpoint, request: Request) -> Response:
    """Answer whoever has a token; what goes wrong is one line."""
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    annotator = owner_of(token.strip(), tokens) if kind == "Bearer" else None
    if annotator is None:
        return _json({"error": "this link is not valid; ask whoever started the run for yours"}, 401)
    try:
        return _json(await endpoint(annotator, request))
    except Refusal as refusal:
        return _json({"error": str(refusal)}, refusal.status)


async def _static(request: Request) -> Response:
    found = STATIC.get(request.path_params.get("name", "index.html"))
    return Response(found[0], media_type=found[1]) if found else Response("no such page", 404, media_type="text/plain")


async def _body(request: Request) -> bytes:
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > LONGEST_BODY:
            raise Refusal(413, f"expected {LONGEST_BODY} bytes at most")
    return body


def _answer(body: bytes, annotator: str) -> tuple[Answer, str | None]:
    """The answer that the page sends: `{"id", "label", "note", "seconds"}`, or `{"id", "undo": true}`.

    And the name of a new class, the `new_class` of a skip.
    """
    try:
        given = json.loads(body)
        note, seconds, undo = given.get("note", ""), given.get("seconds"), given.get("undo", False)
        is_right = isinstance(given["id"], str) and isinstance(note, str) and isinstance(undo, bool)
        is_right = is_right and (seconds is None or (type(seconds) in (int, float) and math.isfinite(seconds)))
        label, new_class = None if undo else given["label"], given.get("new_class")
        is_right = is_right and (new_class is None or (isinstance(new_class, str) and label is None and not undo))
    except (ValueError, KeyError, AttributeError, OverflowError, RecursionError) as error:
        raise Refusal(400, "expected an object with id and label") from error
    if not is_right:
        raise Refusal(400, "expected an object with id and label, note and seconds")
    seconds = None if seconds is None else min(max(float(seconds), 0.0), LONGEST_WAIT)
    return Answer(given["id"], label, annotator=annotator, seconds=seconds, note=note, undo=undo), new_class


def _json(content: Any, status: int = 200) -> Response:
    """ASCII alone: half a surrogate in somebody's text shall stop nobody."""
    return Response(json.dumps(content, default=str), status, media_type="application/json")
