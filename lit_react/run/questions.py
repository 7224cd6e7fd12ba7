"""Rows of a run as questions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import pandas as pd

from lit_react.annotation.answers import Label
from lit_react.annotation.desk import Desk, name_of
from lit_react.annotation.ledger import Ledger
from lit_react.annotation.oracles import Oracle, Question
from lit_react.data.pool_data import PoolData
from lit_react.run.folder import RunFolder


def desk_of(
    ledger: Ledger,
    oracle: Oracle,
    data: PoolData,
    folder: RunFolder,
    drafter: Oracle | None = None,
    *,
    drafts: bool = False,
) -> Desk:
    """The desk of a run.

    Args:
        ledger: of the run.
        oracle: gives its name to answers that name nobody.
        data: the texts of the run.
        folder: has what each model thought of the rows that it chose.
        drafter: who drafts labels; None: nobody does.
        drafts: whether the desk is the drafter's.
    """
    chosen: dict[int, dict[int, Mapping[str, Any]]] = {}

    def asked(split: str, row: int, round: int, price: float) -> Question:
        if not chosen.get(round) and round > 0:  # written at the end of the round before
            chosen[round] = {entry["row"]: entry for entry in folder.chosen_in(round - 1)}
        known = chosen.get(round, {}).get(row) if split == "pool" else None
        plain = replace(question(data, split, row, round), price=price)
        return replace(plain, suggestions=_suggestions(plain, known["likeliest"])) if known else plain

    def described(split: str, row: int, label: Label) -> str:
        return data.task.describe(data.row(split, row), label)[1]

    who, drafts_by = (drafter or oracle) if drafts else oracle, None if drafter is None else drafter.annotator
    return Desk(ledger, asked, described, who.annotator, drafts_by, drafts=drafts)


def question(data: PoolData, split: str, row: int, round: int) -> Question:
    """A row as it is shown to whoever labels it."""
    shown, parse = data.question(split, row), partial(data.parse, split=split, row=row)
    return Question(name_of(split, row), round, shown, parse, form=data.task.answer_form, write=data.task.answer)


def _suggestions(asked: Question, likeliest: Sequence[tuple[int, float]]) -> dict[str, float]:
    """Names of the classes that the model found likeliest, where they are answers to the question."""
    if not likeliest or likeliest[0][0] >= len(asked.labels):
        return {}
    names = {asked.labels[c]: probability for c, probability in likeliest if c < len(asked.labels)}
    try:
        asked.parse(next(iter(names)))
    except (TypeError, ValueError):
        return {}
    return names


def open_questions(waiting: Sequence[Question]) -> pd.DataFrame:
    """A row a question, see `ActiveLearning.query`."""
    rows = [{"id": each.id, "text": each.text, "suggestions": list(each.suggestions), **each.shown} for each in waiting]
    return pd.DataFrame(rows, columns=None if rows else ["id", "text", "suggestions"])
