"""A run's purchases in another folder, where a `fit` with other options learns them round by round and buys nothing."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from lit_react.annotation.ledger import Ledger
from lit_react.annotation.oracles import ApiOracle, GoldOracle
from lit_react.core.errors import UserError
from lit_react.core.files import write_json
from lit_react.data.growth import ROWS
from lit_react.run.folder import RunFolder
from lit_react.run.record import RECORD, described
from lit_react.run.state import RunState


def replay_of(run: Path) -> dict[str, Any]:
    """The options, by dotted name, with which a `fit` in a folder of `lay_out` is the run once more, without the test.

    The budget is what the rounds of the run have cost, so that nothing is left to buy; people are not asked.

    Raises:
        UserError: there is no run, no round of it has ended, or its labels do not tell one fit from another.
    """
    rounds = RunState.load(run).rounds
    if not rounds or not (run / "config.yaml").exists():
        raise UserError(f"{run}: no round of a run of `fit` has ended there, expected the folder of one")
    if not (rounds[-1]["validation"] or measured(run)[1]):
        raise UserError(
            f"{run}: it has no validation labels, and no label of a class that was predicted before it was learned: "
            "expected a run with data.validation_size, or of two rounds with labels"
        )
    asked = {} if _is_gold(json.loads((run / RECORD).read_text())) else {"rounds.oracle": "api"}
    return asked | {"rounds.budget": rounds[-1]["cost"], "trainer.limit_test_batches": 0}


def lay_out(run: Path, folder: Path) -> None:
    """Make the folder that of a run which was stopped before its first round ended, with all that the run has bought.

    There `fit` takes other options (but for those that labels depend on), finds each round's query asked and answered,
    and learns what the run had learned in that round. A folder that is there already is left alone.
    """
    if folder.exists():
        return
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(mode=0o700, parents=True)
    uri = f"{RunFolder(run).ledger.absolute().as_uri()}?mode=ro"
    with (
        closing(sqlite3.connect(uri, uri=True)) as bought,
        closing(sqlite3.connect(RunFolder(partial).ledger)) as copy,
    ):
        bought.backup(copy)
    shutil.copy(run / ROWS, partial)
    record = json.loads((run / RECORD).read_text())
    if not _is_gold(record):
        record["rounds"]["oracle"] = described(ApiOracle())
    write_json(partial / RECORD, record)
    os.replace(partial, folder)


def bought_by(run: Path) -> int:
    """Rows that the rounds of the run have learned labels of, those for validation included."""
    with Ledger(RunFolder(run).ledger, budget=0, fingerprint=None, read_only=True) as ledger:
        last = len(RunState.load(run).rounds) - 1
        return sum(len(ledger.labeled(split, last)) for split in ("pool", "validation"))


def measured(folder: Path) -> tuple[list[float], list[bool]]:
    """What the acquisition knows of the rounds that have ended; it sees bought labels alone.

    Returns:
        V(s) of each round; and `right` of `Progress`.
    """
    history = RunState.load(folder).acquisition["history"]  # type: ignore[index]
    return list(history["values"]), [right for _, right in history["evidence"]]


def _is_gold(record: dict[str, Any]) -> bool:
    return bool(record["rounds"]["oracle"] == described(GoldOracle()))
