"""Questions about a context: where the answers are, in the columns of SQuAD or in flat ones."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from lit_react.annotation.answers import Label
from lit_react.core.errors import UserError, WrongColumn
from lit_react.data.cells import objects
from lit_react.data.columns import is_list, is_string
from lit_react.data.tables import Source, Split

log = logging.getLogger("lit_react")

CONTEXT = "context"
"""Column of what the answers stand in."""

FLAT_TEXT, FLAT_START = "answer_text", "answer_start"
"""Columns of the first answer in a data set without `answers`."""

FLAT_TEXTS, FLAT_STARTS = "all_answer_texts", "all_answer_starts"
"""Columns with lists of all its answers."""

LONGEST = 5_000_000
"""Characters of a context, all of which is read: tokenising them takes about a gigabyte."""

ANSWER = pa.struct({"start": pa.int64(), "text": pa.string(), "answers": pa.list_(pa.string())})
References = list[tuple[list[str], list[Any]]]
"""Of each row: all texts that answer, and where each is said to start (None: unknown)."""


def read_questions(tables: Mapping[str, Split], question_column: str, answer_column: str) -> Source:
    """Columns `text` (the question), `context` and `label` (`start`, `text` and `answers`); errors name file and row.

    `answer_column` has SQuAD's `{text: […], answer_start: […]}` or texts, to which `answer_start`, `all_answer_texts`
    and `all_answer_starts` belong; "" for none; the pool may lack it. Offsets count characters. One that does not point
    at its text gives way to the text's nearest occurrence. The label of a pool row none of whose answers stands in the
    context is null; in validation and test its texts are enough to measure by, and `start` is null.
    """
    parts = {}
    for part, split in tables.items():
        questions, contexts = split.texts(question_column), split.texts(CONTEXT).to_pylist()
        blank = next((row for row, context in enumerate(contexts) if not context.strip()), None)
        if blank is not None:
            raise UserError(f"{split.where(blank)}: empty: expected a text in column {CONTEXT!r}")
        there = split.having(answer_column, required=part != "pool")
        long = next((row for row, context in enumerate(contexts) if len(context) > LONGEST), None)
        if long is not None:
            size = len(contexts[long])
            raise UserError(f"{split.where(long)}: a context of {size} characters: expected {LONGEST} at most")
        references = _references(split, answer_column) if there else [([], [])] * len(contexts)
        labels = (_pool_labels if part == "pool" else _gold_labels)(split, contexts, references)
        column = pa.chunked_array([pa.array(labels, ANSWER)])
        parts[part] = split.dataset(question_column, questions, answer_column, column)
    return Source(**parts)


def locate(context: str, text: str, near: int | None = None) -> int | None:
    """Where the occurrence of a text starts that is nearest to an offset (None: the first); None: there is none."""
    if near is None or near < 0:
        near = 0
    before, after = context.rfind(text, 0, near + len(text)), context.find(text, near)
    found = [start for start in (before, after) if start >= 0]
    return min(found, key=lambda start: abs(start - near), default=None)


def _references(split: Split, column: str) -> References:
    answers = objects(split, column)
    kind = answers.type
    if pa.types.is_null(kind):
        return [([], [])] * len(answers)
    if pa.types.is_struct(kind) and {"text", "answer_start"} <= {field.name for field in kind}:
        found = [answer or {} for answer in answers.to_pylist()]
        return [(answer.get("text") or [], answer.get("answer_start") or []) for answer in found]
    if is_string(kind):
        return _flat_references(split, column)
    raise WrongColumn(
        f"{split.place}: column {column!r} holds {kind}: expected texts, or {{text: [...], answer_start: [...]}}"
    )


def _flat_references(split: Split, column: str) -> References:
    count = split.table.num_rows

    def values(name: str, lists: bool) -> list[Any]:
        known = split.has(name) and is_list(split.field(name).type) == lists
        return split.column(name).to_pylist() if known else [None] * count

    texts, starts = values(column, False), values(FLAT_START, False)
    all_texts, all_starts = values(FLAT_TEXTS, True), values(FLAT_STARTS, True)
    return [
        (every, where or []) if every else ([text] if text else [], [start])
        for text, start, every, where in zip(texts, starts, all_texts, all_starts, strict=True)
    ]


def _pool_labels(split: Split, contexts: list[str], references: References) -> list[Label | None]:
    labels = [_located(split, row, contexts[row], *answers) for row, answers in enumerate(references)]
    lost = sum(label is None and bool(texts) for label, (texts, _) in zip(labels, references, strict=True))
    if lost:
        log.warning("%s: %d answers are not in their contexts: these rows have no label", split.place, lost)
    return labels


def _gold_labels(split: Split, contexts: list[str], references: References) -> list[Label]:
    labels = []
    for row, (texts, starts) in enumerate(references):
        if not texts:
            raise UserError(f"{split.where(row)}: no answer: expected at least one in every row of validation and test")
        label = _located(split, row, contexts[row], texts, starts)
        labels.append(label or {"start": None, "text": texts[0], "answers": texts})
    return labels


def _located(split: Split, row: int, context: str, texts: list[str], starts: list[Any]) -> Label | None:
    """The first answer that stands in the context, with all texts."""
    for text, start in zip(texts, [*starts, *[None] * len(texts)], strict=False):
        stripped = text.strip()
        found = locate(context, stripped, _offset(split, row, start)) if stripped else None
        if found is not None:
            return {"start": found, "text": stripped, "answers": texts}
    return None


def _offset(split: Split, row: int, value: Any) -> int | None:
    try:
        return None if value in (None, "") else int(value)
    except ValueError as error:
        raise UserError(f"{split.where(row)}: {value!r} is no offset: expected a number of characters") from error
