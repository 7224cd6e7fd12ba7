"""The page to chat with customer service, and what it asks: one question, one reply with where it is written."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from lit_react.annotation.page.server import KINDS, STATIC, Guard
from lit_react.applications.collection import Collection
from lit_react.applications.customer_service import CustomerService, Found
from lit_react.applications.request_checks import PATH, RequestChecks

MAX_BODY, MAX_TEXT = 100_000, 5_000
"""Bytes of a request, and characters of a question."""

FILES = {"icon.svg": STATIC["icon.svg"]} | {
    path.name: (path.read_bytes(), KINDS[path.suffix])
    for path in sorted((Path(__file__).parent / "chat").iterdir())
    if path.suffix in KINDS
}
"""Content and media type of each file of the page."""


def app_of(service: CustomerService, collection: Collection | None, host: str) -> Starlette:
    """The application; it answers one question at a time.

    Args:
        service: that answers.
        collection: of the questions that a person has to answer.
        host: a name by which the page may be asked for, beside those of the machine.
    """

    async def predict(request: Request) -> Response:
        question = (await request.json())["question"]
        [reply] = service.replies([question])
        if collection is not None and reply.abstains:
            collection.try_to_add([{"text": question}])
        return JSONResponse({"abstains": reply.abstains, "entries": [_said(found) for found in reply.found]})

    async def known(request: Request) -> Response:
        return JSONResponse({"answers": len(service.entries), "abstains": service.described()})

    async def file(request: Request) -> Response:
        found = FILES.get(request.path_params.get("name", "index.html"))
        return Response(found[0], media_type=found[1]) if found else Response("no such page", 404)

    checks = Middleware(RequestChecks, columns={"question": str}, max_body=MAX_BODY, max_text=MAX_TEXT)
    routes = [Route(PATH, predict, methods=["POST"]), Route("/known", known), Route("/", file), Route("/{name}", file)]
    return Starlette(routes=routes, middleware=[Middleware(Guard, host=host), checks])


def _said(found: Found) -> dict[str, Any]:
    entry = found.entry
    return {
        "question": entry.questions[0],
        "answer": entry.answer,
        "source": entry.source,
        "label": entry.label,
        "score": round(found.score, 4),
    }


def serve_page(app: Starlette, listener: socket.socket) -> None:
    """Serve until SIGINT or SIGTERM."""
    config = uvicorn.Config(app, log_config=None, log_level="warning", access_log=False, ws="none", lifespan="off")
    uvicorn.Server(config).run([listener])
