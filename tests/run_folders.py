"""What a run left in its folder."""

import json
import sqlite3
from pathlib import Path

from lit_react.annotation.ledger import Ledger


def purchases(folder: Path) -> list[dict]:
    with sqlite3.connect(folder / "ledger.sqlite") as db:
        (fingerprint,) = db.execute("SELECT value FROM meta WHERE key = 'fingerprint'").fetchone()
    with Ledger(folder / "ledger.sqlite", budget=1e9, fingerprint=fingerprint, read_only=True) as ledger:
        return ledger.purchases()


def bought(folder: Path) -> list[tuple]:
    return [(p["split"], p["row"], p["label"], p["round"], p["policy"]) for p in purchases(folder)]


def rounds(folder: Path) -> list[dict]:
    return json.loads((folder / "result.json").read_text())["rounds"]
