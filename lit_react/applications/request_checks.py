"""What reaches a served model: one row as JSON, of a length that it can read. All else is refused in one line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

PATH = "/predict"


class Refused(Exception):
    """A request that is not done: the status, and one line."""

    def __init__(self, status: int, line: str) -> None:
        super().__init__(line)
        self.status = status


class RequestChecks:
    """Reads and checks the body of `POST /predict` before anything else does; the line never repeats the text.

    Args:
        app: gets what is allowed.
        columns: name → `str`, or `list` for a list of strings: what a row must have, and nothing else.
        max_body: bytes.
        max_text: characters of all columns together.
    """

    def __init__(self, app: ASGIApp, columns: Mapping[str, type], max_body: int, max_text: int) -> None:
        self.app, self.columns, self.max_body, self.max_text = app, columns, max_body, max_text

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer 400, 413, 415 or 422."""
        if scope["type"] != "http" or scope["path"] != PATH or scope["method"] != "POST":
            await self.app(scope, receive, send)
            return
        try:
            body = await self._body(Headers(scope=scope), receive)
            check_row(parsed(body), self.columns, self.max_text)
        except Refused as refused:
            await JSONResponse({"detail": str(refused)}, refused.status)(scope, receive, send)
            return
        messages = iter([{"type": "http.request", "body": body, "more_body": False}])

        async def again() -> Message:
            return next(messages, None) or await receive()

        await self.app(scope, again, send)

    async def _body(self, headers: Headers, receive: Receive) -> bytes:
        if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            raise Refused(415, "expected content-type: application/json")
        too_long = Refused(413, f"the body is longer than {self.max_body} bytes")
        length = headers.get("content-length", "0")
        if not (length.isascii() and length.isdigit()) or int(length[:20]) > self.max_body:
            raise too_long
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise Refused(400, "the body was cut off")
            body += message.get("body", b"")
            if len(body) > self.max_body:
                raise too_long
            if not message.get("more_body", False):
                return bytes(body)


def parsed(body: bytes) -> Any:
    """The value of a JSON body.

    Raises:
        Refused: it is none, or not UTF-8.
    """
    try:
        return json.loads(body.decode())
    except UnicodeDecodeError as error:
        raise Refused(400, f"the body is not UTF-8 at byte {error.start}") from error
    except json.JSONDecodeError as error:
        raise Refused(400, f"the body is not JSON: {error.msg} at character {error.pos}") from error
    except (RecursionError, ValueError) as error:
        raise Refused(400, "the body is not JSON: nested too deeply, or a number too long") from error


def check_row(row: Any, columns: Mapping[str, type], max_text: int) -> None:
    """See that a value is a row.

    Raises:
        Refused: what was expected.
    """
    expected = ", ".join(f"{name!r}: {'a string' if kind is str else 'strings'}" for name, kind in columns.items())
    if not isinstance(row, dict) or row.keys() != columns.keys():
        raise Refused(422, f"expected an object of {expected}")
    length = 0
    for name, kind in columns.items():
        parts = [row[name]] if kind is str else row[name]
        if not isinstance(parts, list) or not all(isinstance(part, str) for part in parts):
            raise Refused(422, f"expected {expected}")
        if not any(part.strip() for part in parts):
            raise Refused(422, f"{name!r} is empty")
        if any("\ud800" <= character <= "\udfff" for part in parts for character in part):
            raise Refused(422, f"{name!r} has half of a surrogate pair, which is no text")
        length += sum(map(len, parts))
    if length > max_text:
        raise Refused(422, f"{length} characters of text, expected at most {max_text}")
