"""Answers that are there: from an FAQ, or from logs of dialogues, with where each is written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from lit_react.applications.retrieval import Keys
from lit_react.core.errors import UserError
from lit_react.data.files import is_table, read_table
from lit_react.data.tables import Split

CONVERSATIONS = (".yml", ".yaml")
"""Suffixes of ChatterBot's corpora: `conversations`, each a list of turns."""

SPEAKERS = {"user": "user", "human": "user", "customer": "user", "assistant": "agent", "gpt": "agent", "agent": "agent"}
"""Who speaks in logs of dialogues; turns of others, such as `system`, are left out."""


@dataclass
class Entry:
    """One answer.

    Attributes:
        answer: as it is shown.
        label: what a run calls it: the column `label`, else its first question; several may share one.
        source: where it is written: `file:line`, and what the column `source` or `sources` says.
        questions: that it answers, one or more.
    """

    answer: str
    label: str
    source: str
    questions: list[str] = field(default_factory=list)


def read_entries(path: Path, question_column: str = "question", answer_column: str = "answer") -> list[Entry]:
    """Read a file, or all files of a folder; rows with the same answer and label are one entry.

    A table has a question and an answer in each row; JSON lines may have dialogues, as lists of `messages` (`role`,
    `content`) or `conversations` (`from`, `value`), of which each turn of a customer belongs to the answer after it. In
    ChatterBot's files the first to speak asks, and the other answers.

    Raises:
        UserError: no such file, another kind of file, or no answer in it.
    """
    paths = sorted(file for file in path.rglob("*") if _is_read(file)) if path.is_dir() else [path]
    found: dict[tuple[str, str], Entry] = {}
    for file in paths:
        for question, answer, source, label in _rows(file, question_column, answer_column):
            question, answer = question.strip(), answer.strip()
            if question and answer:
                entry = found.setdefault((answer, label), Entry(answer, label or question, source))
                if question not in entry.questions:
                    entry.questions.append(question)
    if not found:
        raise UserError(f"{path}: no answers: expected at least one row with a question and its answer")
    return list(found.values())


def keys_of(entries: Sequence[Entry], bought: Sequence[tuple[str, str]], enough: int) -> Keys:
    """What the entries are found by: their questions and answers, and bought questions `(text, label)`.

    A label that several entries share does not say which one a question belongs to, so that it is no key. From `enough`
    bought questions on, these alone are held out: they are what customers write.
    """
    of_label: dict[str, list[int]] = {}
    for number, entry in enumerate(entries):
        of_label.setdefault(entry.label, []).append(number)
    clear = [(text, of_label[label][0]) for text, label in bought if len(of_label.get(label, ())) == 1]
    written = [(text, number) for number, entry in enumerate(entries) for text in entry.questions]
    answers = [(entry.answer, number) for number, entry in enumerate(entries)]
    suffice = len(clear) >= enough
    asked = dict.fromkeys(clear if suffice else clear + written)
    texts, owners = zip(*dict.fromkeys([*asked, *written, *answers]), strict=True)
    return Keys(list(texts), np.array(owners, np.int64), np.arange(len(asked)), suffice)


def _is_read(path: Path) -> bool:
    return path.suffix in CONVERSATIONS or is_table(path)


Row = tuple[str, str, str, str]
"""Question, answer, source, and the label or ""."""


def _rows(path: Path, question_column: str, answer_column: str) -> Iterator[Row]:
    if path.suffix in CONVERSATIONS:
        for number, turns in enumerate(_conversations(path), 1):
            for question, answer in zip(turns[::2], turns[1::2], strict=False):
                yield question, answer, f"{path.name}, conversation {number}", ""
        return
    split = read_table(path)
    lines = [line for line, _ in split.lines()] if split.lines else list(range(1, split.table.num_rows + 1))
    logs = next((name for name in ("messages", "conversations") if split.has(name)), None)
    if logs is not None:
        for line, turns in zip(lines, split.values(logs), strict=True):
            for question, answer in _asked(turns):
                yield question, answer, f"{path.name}:{line}", ""
        return
    questions, answers = (split.texts(column).to_pylist() for column in (question_column, answer_column))
    labels = _texts(split, ("label",))
    sources = _texts(split, ("source", "sources"))
    for line, question, answer, label, source in zip(lines, questions, answers, labels, sources, strict=True):
        yield question, answer, f"{path.name}:{line}" + (f", {source}" if source else ""), label


def _texts(split: Split, columns: tuple[str, ...]) -> list[str]:
    """The first of some columns that is there, as text; "" where nothing is."""
    name = next((name for name in columns if split.has(name)), None)
    values = split.values(name) if name else [None] * split.table.num_rows
    parts = (value if isinstance(value, list) else [] if value is None else [value] for value in values)
    return [", ".join(map(str, each)) for each in parts]


def _asked(turns: Any) -> Iterator[tuple[str, str]]:
    """Each turn of a customer that an agent answers at once; a turn without text, such as a call of a tool, is none."""
    said = []
    for turn in turns if isinstance(turns, list) else []:
        if isinstance(turn, dict) and (speaker := SPEAKERS.get(str(turn.get("role", turn.get("from"))).lower())):
            content = turn.get("content", turn.get("value"))
            parts = [
                part.get("text") if isinstance(part, dict) else part
                for part in (content if isinstance(content, list) else [content])
            ]
            said.append((speaker, " ".join(part for part in parts if isinstance(part, str))))
    for (first, question), (second, answer) in pairwise(turn for turn in said if turn[1].strip()):
        if (first, second) == ("user", "agent"):
            yield question, answer


def _conversations(path: Path) -> list[list[str]]:
    """Conversations with their turns as they are written: `Yes` and `12:30` are texts; what is no text is "".

    Conversations that are no lists are left out.
    """
    try:
        found = yaml.load(path.read_text(encoding="utf-8"), yaml.BaseLoader)["conversations"]
        return [[turn if isinstance(turn, str) else "" for turn in turns] for turns in found if isinstance(turns, list)]
    except (OSError, yaml.YAMLError, RecursionError, KeyError, TypeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{path}: expected YAML with `conversations`, lists of turns ({reason})") from error
