"""`serve`: the model of a run answers requests."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Literal

from lit_react.cli.labels import result_of
from lit_react.core.bounds import expect
from lit_react.core.errors import UserError
from lit_react.core.extras import check_installed
from lit_react.core.quiet import quiet

HOSTS = ("127.0.0.1", "0.0.0.0", "::")
"""Addresses that LitServe listens at."""


def serve(
    run_folder: Path,
    *,
    host: str = HOSTS[0],
    port: int = 8018,
    precision: float = 0.9,
    collect: Path | None = None,
    accelerator: Literal["auto", "cpu", "gpu"] = "auto",
    workers: int = 1,
    batch_size: int = 32,
    max_body: int = 1_000_000,
    max_text: int = 20_000,
) -> None:
    """Answer `POST /predict` by the model of a run until stopped; needs the extra `serve`.

    A request is a row as a file for `predict` has it, an answer is its prediction with `abstains`: null, `unsure` or
    `out of scope`. `/health` says whether the model is loaded, `/info` what it abstains by, `/docs` shows the API. The
    server speaks plain HTTP and asks nobody who they are.

    Args:
        run_folder: of a run that the command line began.
        host: address to listen at: 127.0.0.1, this machine alone; 0.0.0.0 or ::, all networks.
        port: where to listen, 1024 to 65535.
        precision: share of right labels that is wanted among those that are given; the rest is `unsure`. 0: never.
        collect: file (.jsonl) to which texts are appended that the model abstained on, for `data.source` to read.
        accelerator: where the model computes.
        workers: processes with a model, on each GPU or on the CPU.
        batch_size: requests that are read at once, at most.
        max_body: bytes of a request.
        max_text: characters of a request's texts.
    """
    for package in ("litserve", "starlette"):
        check_installed(package, "serve", "serve")
    for name, least, most in (("port", 1024, 65535), ("batch_size", 1, 1024), ("workers", 1, 64)):
        expect(name, locals()[name], at_least=least, at_most=most)
    for name in ("max_body", "max_text"):
        expect(name, locals()[name], at_least=1)
    expect("precision", precision, at_least=0, below=1)
    if host not in HOSTS:
        raise UserError(f"host: {host!r}, expected one of {', '.join(HOSTS)}")
    if collect is not None and collect.suffix != ".jsonl":
        raise UserError(f"collect: {collect} has an unknown format, expected .jsonl")
    from lit_react.applications.server import Limits, run_server

    quiet()
    limits = Limits(batch_size, max_body, max_text)
    run_server(partial(result_of, run_folder), host, port, precision, collect, accelerator, workers, limits)
