"""`answer`: questions of customers are answered from an FAQ or from logs, on a page to chat."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Literal

import yaml

from lit_react.applications.faq import Entry, read_entries
from lit_react.cli.labels import result_of
from lit_react.core.bounds import expect
from lit_react.core.errors import UserError
from lit_react.core.extras import check_installed
from lit_react.core.files import write_atomically
from lit_react.core.listening import listen
from lit_react.core.quiet import quiet
from lit_react.core.terminal import plain
from lit_react.tasks.pretrained import MINILM


def answer(
    faq: Path,
    *,
    run: Path | None = None,
    question_column: str = "question",
    answer_column: str = "answer",
    pretrained: str = MINILM,
    precision: float = 0.9,
    collect: Path | None = None,
    host: str = "127.0.0.1",
    port: int = 8019,
    accelerator: Literal["auto", "cpu", "gpu"] = "auto",
) -> None:
    """Answer customers' questions on a page to chat, from an FAQ or logs of dialogues; needs the extra `page`.

    What it is not sure of is for a person. Questions whose answers people chose (`label --config` of the file beside
    `--collect`) are a run; with `--run` its model and its labels join in.

    Args:
        faq: a table of questions and answers (and `label`, `source`), JSON lines of dialogues (`messages`),
            ChatterBot's YAML, or a folder of such files.
        run: folder of a run whose labels are the column `label` of the answers, else their questions.
        question_column: of a table.
        answer_column: of a table.
        pretrained: the encoder, where there is no run: a folder, a hub name, or `package:NAME/FOLDER`.
        precision: share of right answers that is wanted among those that are given; the rest is for a person.
        collect: file (.jsonl) to which questions for a person are appended; the options of a run that asks which
            answer belongs to each are written beside it (.yaml).
        host: address to listen at; 127.0.0.1 is this machine alone.
        port: where to listen, 1024 to 65535.
        accelerator: where the run's model computes.
    """
    for package in ("starlette", "uvicorn"):
        check_installed(package, "answer", "page")
    expect("port", port, at_least=1024, at_most=65535)
    expect("precision", precision, above=0, below=1)
    if collect is not None and collect.suffix != ".jsonl":
        raise UserError(f"collect: {collect} has an unknown format, expected .jsonl")
    from lit_react.applications.chat_page import app_of, serve_page
    from lit_react.applications.collection import Collection
    from lit_react.applications.customer_service import CustomerService

    quiet()
    entries = read_entries(faq, question_column, answer_column)
    listener = listen(host, port, "port")
    result = result_of(run) if run is not None else None
    service = CustomerService(entries, result, pretrained, precision, accelerator)
    collection = Collection(collect) if collect is not None else None
    if collect is not None:
        write_options(entries, collect)
    print("\n".join([*service.described(), plain(f"{faq}: chat at http://{host}:{port}")]), flush=True)
    serve_page(app_of(service, collection, host), listener)


def write_options(entries: list[Entry], pool: Path) -> None:
    """Write the options of a run beside its pool; a file there that was not written so, or was edited, stays.

    Raises:
        UserError: there is one.
    """
    path, sum_of = pool.with_suffix(".yaml"), "# digest: "
    if path.exists():
        head, _, body = path.read_text(encoding="utf-8", errors="replace").partition("\n")
        if head != sum_of + sha256(body.encode()).hexdigest():
            raise UserError(
                f"collect: {path} is not what `answer` writes, or was edited: move it, or name another file"
            )
    options = options_of_run(entries, pool)
    write_atomically(path, f"{sum_of}{sha256(options.encode()).hexdigest()}\n{options}".encode())


def options_of_run(entries: list[Entry], pool: Path) -> str:
    """YAML for `label` or `fit`: the pool's texts are questions, and the labels are the entries'."""
    described: dict[str, list[str]] = {}
    for entry in entries:
        described.setdefault(entry.label, []).extend([*entry.questions, entry.answer])
    data = {"source": str(pool), "label_names": list(described), "label_descriptions": described}
    return yaml.safe_dump({"data": data}, allow_unicode=True, sort_keys=False)
