"""Server time of the page to label on, after 10,000 answers by 5 annotators: idle, and while a model is fitted.

    python scripts/benchmarks/label_page.py

The fit runs in the process of the page, as in a run: it shares the interpreter. Times are of whole requests without a
network; an answer is on the disk when its request ends.
"""

import asyncio
import tempfile
import threading
import time
from pathlib import Path

import httpx
import numpy as np
import torch

from lit_react.annotation.answers import Given, Label
from lit_react.annotation.desk import Desk
from lit_react.annotation.ledger import Ledger, Query
from lit_react.annotation.oracles import Question
from lit_react.annotation.page.board import Board
from lit_react.annotation.page.server import app_of

TOPICS = ["business", "sport", "tech"]
ANNOTATORS = {name: name * 8 for name in ("anna", "bert", "cara", "dave", "ella")}
ANSWERED, OPEN = 2000, 200
"""Texts, each of which wants an answer of every annotator."""


def question(split: str, row: int, round: int, price: float) -> Question:
    """A text of 60 words."""
    shown = {"text": f"text {row} " + "word " * 60, "labels": TOPICS}
    return Question(f"{split}-{row}", round, shown, TOPICS.index, price, write=TOPICS.__getitem__)


def described(split: str, row: int, label: Label) -> str:
    """The topic."""
    return TOPICS[label]


def fit(stop: threading.Event) -> None:
    """Train six layers of MiniLM's size until told to stop."""
    layer = torch.nn.TransformerEncoderLayer(384, 12, 1536, batch_first=True)
    model = torch.nn.TransformerEncoder(layer, 6)
    optimizer = torch.optim.AdamW(model.parameters())
    while not stop.is_set():
        model(torch.randn(8, 64, 384)).sum().backward()
        optimizer.step()
        optimizer.zero_grad()


async def measure(browser: httpx.AsyncClient, when: str) -> None:
    """Print the milliseconds of three kinds of requests, 20 of each annotator."""
    spent: dict[str, list[float]] = {"question": [], "answer": [], "earlier answers": []}
    for token in [*ANNOTATORS.values()] * 20:
        browser.headers["authorization"] = f"Bearer {token}"
        begun = time.perf_counter()
        asked = (await browser.get("/api/question")).json()["question"]
        shown = time.perf_counter()
        (await browser.post("/api/answers", json={"id": asked["id"], "label": "tech"})).raise_for_status()
        said = time.perf_counter()
        (await browser.get("/api/answers")).raise_for_status()
        for kind, seconds in zip(spent, np.diff([begun, shown, said, time.perf_counter()]), strict=True):
            spent[kind].append(1000 * seconds)
    for kind, found in spent.items():
        print(f"{when:<12} {kind:<16} median {np.median(found):5.1f} ms, longest {max(found):5.1f} ms")


async def idle_and_busy(board: Board) -> None:
    """Measure before and during a fit."""
    app = app_of(board, ANNOTATORS, "localhost", suggestions=True)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as browser:
        await measure(browser, "idle")
        stop = threading.Event()
        threading.Thread(target=fit, args=(stop,)).start()
        await measure(browser, "during a fit")
        stop.set()


def main() -> None:
    """Fill a ledger, then measure."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Ledger(Path(folder) / "ledger.sqlite", budget=1e6, fingerprint="benchmark") as ledger,
    ):
        wanted = len(ANNOTATORS)
        ledger.ask(0, [Query("pool", row, wanted, "initial", wanted=wanted) for row in range(ANSWERED + OPEN)])
        ledger.record([Given("pool", row, name, row % 3) for row in range(ANSWERED) for name in ANNOTATORS])
        begun = time.perf_counter()
        board = Board(Desk(ledger, question, described, "page"))
        board.begin([])
        print(f"{ANSWERED * wanted} answers read in {time.perf_counter() - begun:.2f} s, once for each start")
        asyncio.run(idle_and_busy(board))


if __name__ == "__main__":
    main()
