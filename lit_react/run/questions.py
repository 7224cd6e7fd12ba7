"""Rows of a run as questions, and answers as labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import pandas as pd

from lit_react.annotation.ledger import Label
from lit_react.annotation.oracles import Question
from lit_react.data.pool_data import PoolData


def question(data: PoolData, split: str, row: int, round: int) -> Question:
    """A row as it is shown to whoever labels it."""
    return Question(name_of(split, row), round, data.question(split, row), partial(data.parse, split=split, row=row))


def name_of(split: str, row: int) -> str:
    """The id of a row's question, such as `pool-17`."""
    return f"{split}-{row}"


def place(name: str) -> tuple[str, int]:
    """Split and row of a question's id."""
    split, _, row = name.rpartition("-")
    return split, int(row)


def meaning(name: str, answer: Any, asked: Mapping[str, Question]) -> Label:
    """The label that an answer means.

    Args:
        name: id of the question.
        answer: as people write it.
        asked: id → question.

    Raises:
        ValueError: it is an answer to what was not asked, or means nothing.
    """
    if name not in asked:
        raise ValueError(f"{name!r} waits for no label, expected one of {_some(asked)}")
    try:
        return asked[name].parse(answer)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name}: {error}") from error


def _some(names: Mapping[str, Any]) -> str:
    return (", ".join(list(names)[:5]) + (", …" if len(names) > 5 else "")) or "none, for all are answered"


def open_questions(waiting: Sequence[Question], chosen: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """A row a question, see `ActiveLearning.query`.

    Args:
        waiting: those without an answer.
        chosen: what the last model knew of the rows that it chose, by `row` of the pool.
    """
    seen = {entry["row"]: entry["predicted_class"] for entry in chosen}
    rows = []
    for asked in waiting:
        split, row = place(asked.id)
        suggested = _suggestions(asked, seen.get(row) if split == "pool" else None)
        rows.append({"id": asked.id, "text": asked.text, "suggestions": suggested, **asked.shown})
    return pd.DataFrame(rows, columns=None if rows else ["id", "text", "suggestions"])


def _suggestions(asked: Question, predicted: int | None) -> list[str]:
    """The name of the class that the model predicted, where it is an answer to the question."""
    if predicted is None or predicted >= len(asked.labels):
        return []
    name = asked.labels[predicted]
    try:
        asked.parse(name)
    except (TypeError, ValueError):
        return []
    return [name]
