"""LitServe around a `Reader`: requests of many clients are read in batches, by processes that have the model."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import litserve
from starlette.responses import JSONResponse, Response

from lit_react.applications.collection import Collection
from lit_react.applications.reader import Abstention, Reader, Row, columns_of
from lit_react.applications.request_checks import PATH, RequestChecks
from lit_react.core.errors import UserError
from lit_react.core.listening import listen
from lit_react.core.quiet import quiet
from lit_react.core.terminal import plain
from lit_react.run.result import RunResult

WAIT = 0.005
"""Seconds that a request waits for others, at most."""

MOST_AT_ONCE = 1000
"""Requests that are open at once; more are refused (503)."""

Load = Callable[[], RunResult]
"""Reads what a run has brought; it is pickled."""


@dataclass(frozen=True)
class Limits:
    """Requests of a batch, bytes of a request, and characters of its texts."""

    batch_size: int
    max_body: int
    max_text: int


class Served(litserve.LitAPI):
    """The model in a process of its own.

    Args:
        load: reads the run.
        abstention: of the run.
        accelerator: of Lightning.
        collect: file of the rows that it abstained on.
        batch_size: rows that are read at once.
    """

    def __init__(
        self, load: Load, abstention: Abstention, accelerator: str, collect: Path | None, batch_size: int
    ) -> None:
        super().__init__(max_batch_size=batch_size, batch_timeout=WAIT, api_path=PATH)
        self.load, self.abstention, self.accelerator, self.collect = load, abstention, accelerator, collect

    def setup(self, device: str) -> None:
        """Load the model; LitServe calls it in the process that has it."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a key press goes to all processes; the first one ends the others
        quiet()
        self.reader = Reader(self.load(), self.abstention, self.accelerator)
        self.collection = Collection(self.collect) if self.collect else None

    def batch(self, inputs: list[Row]) -> list[Row]:
        """The rows of some requests are a batch."""
        return inputs

    def predict(self, x: Any) -> list[Response]:
        """A response for each row, refused ones too: an exception would be the answer to all of the batch."""
        rows: list[Row] = x if isinstance(x, list) else [x]
        answers = self.reader.answers(rows)
        if self.collection is not None:
            pairs = zip(rows, answers, strict=True)
            self.collection.try_to_add([r for r, said in pairs if not isinstance(said, UserError) and said["abstains"]])
        responses = [
            JSONResponse({"detail": plain(said)}, 422) if isinstance(said, UserError) else JSONResponse(said)
            for said in answers
        ]
        return responses if isinstance(x, list) else responses[0]  # type: ignore[return-value]

    def unbatch(self, output: list[Response]) -> list[Response]:
        """One a request."""
        return output


def run_server(
    load: Load,
    host: str,
    port: int,
    precision: float,
    collect: Path | None,
    accelerator: str,
    workers: int,
    limits: Limits,
) -> None:
    """Serve until SIGINT or SIGTERM; see the command `serve`.

    Raises:
        UserError: the run has no model, the port is taken, or `collect` cannot be written.
    """
    result = load()
    if not result.folder.model.exists():
        raise UserError(f"{result.folder.model}: no such model; no round of this run has ended")
    listen(host, port, "port").close()
    if collect is not None:
        Collection(collect)
    abstention = Abstention.of_run(result, precision)
    lines = abstention.described(precision)
    columns = columns_of(result.data.task, result.text_column or result.data.task.text_column)
    server = litserve.LitServer(
        Served(load, abstention, accelerator, collect, limits.batch_size),
        accelerator={"gpu": "cuda"}.get(accelerator, accelerator),
        workers_per_device=workers,
        model_metadata={"run": result.folder.path.name, "labels": result.data.class_names, "abstains": lines},
        middlewares=[(RequestChecks, {"columns": columns, "max_body": limits.max_body, "max_text": limits.max_text})],
    )
    _describe(server.app, columns)
    print("\n".join([*lines, f"serving {plain(result.folder.path)} at http://{host}:{port}{PATH}"]), flush=True)
    first = os.getpid()

    def stop(*_: Any) -> None:  # the first process ends the others, which have copies of this
        if os.getpid() == first:
            raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    server.run(
        host=host,
        port=port,
        num_api_servers=1,
        log_level="warning",
        generate_client_file=False,
        access_log=False,
        limit_concurrency=MOST_AT_ONCE,
    )


def _describe(app: Any, columns: Mapping[str, type]) -> None:
    """Say in the OpenAPI page what a request is; LitServe takes any."""
    kinds: dict[Any, Any] = {str: {"type": "string"}, list: {"type": "array", "items": {"type": "string"}}}
    schema = {"type": "object", "properties": {n: kinds[k] for n, k in columns.items()}, "required": list(columns)}
    body = {"required": True, "content": {"application/json": {"schema": schema}}}
    route = next(route for route in app.routes if getattr(route, "path", None) == PATH)
    route.openapi_extra = {"requestBody": body}
