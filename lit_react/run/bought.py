"""What a ledger has, as people read it: a row a text, or a row an answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from lit_react.annotation.answers import Aggregate, Given, Label, Where, written
from lit_react.annotation.desk import name_of
from lit_react.annotation.ledger import DRAFT, Ledger, Query
from lit_react.data.pool_data import PoolData

OF_BOTH = ("confidence", "note", "seconds", "cost", "round", "split", "strategy")
OF_LABELS = ("annotators", "answers", "agreement", *OF_BOTH)
OF_ANSWERS = ("annotator", "holds", "undo", "at", *OF_BOTH)


@dataclass(frozen=True)
class Said:
    """What was asked and answered.

    Attributes:
        asked: the rows in the order of asking, each as it was asked first; drafts as people were asked first.
        standing: (split, row) → the answers that hold, see `Ledger.answers`.
        history: all answers that were ever given, in the order they came.
    """

    asked: Mapping[Where, Query]
    standing: Mapping[Where, Sequence[Given]]
    history: Sequence[Given]

    @classmethod
    def read(cls, ledger: Path, texts: PoolData) -> Said:
        """What the ledger of some texts has; nothing where the file is not there."""
        if not ledger.exists():
            return cls({}, {}, [])
        data, before = texts.fingerprint, texts.grown_from
        with Ledger(ledger, budget=0, fingerprint=data, grown_from=before, read_only=True) as opened:
            asked = dict[Where, Query]()
            for query in opened.asked():
                known = asked.get((query.split, query.row))
                if known is None or known.policy == DRAFT:
                    asked[query.split, query.row] = query
            return cls(asked, opened.answers(), opened.history())


def bought_labels(said: Said, data: PoolData, aggregate: Aggregate) -> pd.DataFrame:
    """A row for each text that has an answer, see `RunResult.labels`."""
    labels, history = aggregate(said.standing), dict[Where, list[Given]]()
    for given in said.history:
        history.setdefault((given.split, given.row), []).append(given)
    rows = []
    for where, query in said.asked.items():
        if where in said.standing:
            own = _of_label(labels.get(where), said.standing[where], history[where])
            rows.append(_read(data, where, labels.get(where)) | own | _asked(query))
    return _frame(rows, OF_LABELS)


def given_answers(said: Said, data: PoolData) -> pd.DataFrame:
    """A row for each answer that was ever given, see `RunResult.answers`."""
    rows = []
    for given in said.history:
        where = given.split, given.row
        own = {name: getattr(given, name) for name in OF_ANSWERS if hasattr(given, name)}
        holds = {"holds": given in said.standing.get(where, ())}
        rows.append(_read(data, where, given.label) | own | holds | _asked(said.asked[where]))
    return _frame(rows, OF_ANSWERS)


def _read(data: PoolData, where: Where, label: Label | None) -> dict[str, Any]:
    """Text, label and the other columns of the data; a column that has the name of one here is called `source.name`."""
    split, row = where
    text = data.question(split, row)["text"]
    if label is not None:
        text, label = data.task.describe(data.row(split, row), label)
    taken = {"id", "text", "label", *OF_LABELS, *OF_ANSWERS}
    others = {f"source.{name}" if name in taken else name: value for name, value in data.source_of(split, row).items()}
    return {"id": name_of(split, row), "text": text, "label": label, **others}


def _of_label(label: Label | None, standing: Sequence[Given], every: Sequence[Given]) -> dict[str, Any]:
    said = [written(given.label) for given in standing if given.label is not None]
    seconds = [given.seconds for given in every if given.seconds is not None]
    sure = [each.confidence for each in standing if each.label is not None and each.confidence is not None]
    notes = [f"{given.annotator}: {given.note}" if standing[1:] else given.note for given in standing if given.note]
    return {
        "annotators": ", ".join(given.annotator for given in standing),
        "answers": len(said),
        "agreement": None if label is None else said.count(written(label)) / len(said),
        "confidence": sum(sure) / len(sure) if sure else None,
        "note": "; ".join(notes),
        "seconds": sum(seconds) if seconds else None,
        "cost": sum(given.cost or 0.0 for given in every),
    }


def _asked(query: Query) -> dict[str, Any]:
    return {"round": query.round, "split": query.split, "strategy": query.policy}


def _frame(rows: list[dict[str, Any]], columns: Sequence[str]) -> pd.DataFrame:
    """The text and its own columns first; numbers are float64 where they are unknown of all."""
    names = dict.fromkeys(name for row in rows for name in row if name not in columns)
    order = [*(names or ("id", "text", "label")), *columns]
    numbers = {name: "float64" for name in ("agreement", "confidence", "seconds", "cost") if name in columns}
    return pd.DataFrame(rows, columns=order).astype(numbers)
