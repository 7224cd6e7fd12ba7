"""People who label in files, one folder a round."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lit_react.annotation.ledger import Label
from lit_react.annotation.oracles import Oracle, Question
from lit_react.core.errors import UserError
from lit_react.core.files import write_lines
from lit_react.core.text_files import open_text

log = logging.getLogger("lit_react")


class FileOracle(Oracle):
    """Lets people answer in files, in folders `round_00`, `round_01`, … of the run.

    The oracle writes `to_label.jsonl`, a line a question: `{"id": "pool-17", "label": null, "text": …, "labels": […]}`
    with what the task shows of a row, such as the names to choose from. People copy it to `labels.jsonl` beside it
    and fill in `label`, in any order and in as many sittings as they like: `null` or a missing line is a question that
    waits. A `text` that is not the one that was asked is an error, for the label would go to another; other keys are
    ignored. An answer that a run has read is bought: a later change of its line has no effect but a warning.
    """

    annotator = "people"

    def open(self, folder: Path) -> None:
        """Keep the folder of the run."""
        self.folder = folder

    def label(self, questions: Sequence[Question]) -> Mapping[str, Any]:
        """Write what is asked, read what is answered.

        `to_label.jsonl` keeps all questions of the round, those that were answered too, so that their lines in
        `labels.jsonl` stay known.
        """
        if not questions:
            return {}
        asked = self._write(questions)
        return self._read(questions[0].round, asked, {question.id: question for question in questions})

    def recheck(self, answered: Callable[[], Mapping[str, tuple[Question, Label]]]) -> str | None:
        """Tell of lines of `labels.jsonl` that no longer say what was bought.

        A line that was taken out is none of them: its answer is kept in the ledger.
        """
        told, bought = [], answered()
        for round in sorted({question.round for question, _ in bought.values()}):
            path = self._round(round) / "labels.jsonl"
            try:
                given = {record["id"]: (line, record["label"]) for line, record in _records(path, ("id", "label"))}
            except UserError as error:
                return f"{error}; the labels that were bought stay"
            told += [
                f"{path}:{line}: {name} had another label when it was bought"
                for name, (line, label) in given.items()
                if name in bought and label not in (None, "") and not _means(label, *bought[name])
            ]
        if not told:
            return None
        return f"{told[0]}{f' (and {len(told) - 1} more)' if told[1:] else ''}: the run keeps that one"

    def waiting(self, round: int, answered: int, asked: int) -> str:
        """Name the file to fill and how much of it is missing, in one line."""
        folder = self._round(round)
        labels = folder / "labels.jsonl"
        copy = "" if labels.exists() else f"copy {folder / 'to_label.jsonl'} to {labels}, "
        return (
            f"round {round}: {answered} of {asked} labels are there; {copy}"
            f"fill in the missing {asked - answered} in {labels}, then run the same command again"
        )

    def _round(self, round: int) -> Path:
        return self.folder / f"round_{round:02d}"

    def _write(self, questions: Sequence[Question]) -> dict[str, dict[str, Any]]:
        """Add new questions to the round's file and return all that is in it, by id."""
        path = self._round(questions[0].round) / "to_label.jsonl"
        records = {record["id"]: record for _, record in _records(path, ("id",))}
        new = [question for question in questions if question.id not in records]
        if new:
            records |= {question.id: {"id": question.id, "label": None, **question.shown} for question in new}
            write_lines(path, list(records.values()))
        return records

    def _read(self, round: int, asked: Mapping[str, dict[str, Any]], waiting: Mapping[str, Question]) -> dict[str, Any]:
        """Answers of those that wait, by id; what was bought before is no longer looked at."""
        path = self._round(round) / "labels.jsonl"
        answers: dict[str, Any] = {}
        meant: dict[str, tuple[int, Label]] = {}
        wrong: list[str] = []
        for line, record in _records(path, ("id", "label")):
            name, answer = record["id"], record["label"]
            if name not in asked:
                raise UserError(f"{path}:{line}: id {name!r} was not asked: expected an id of to_label.jsonl")
            if answer in (None, "") or name not in waiting:
                continue
            if "text" in record and _words(record["text"]) != _words(asked[name]["text"]):
                raise UserError(f"{path}:{line}: another text than that of {name} in to_label.jsonl: expected the same")
            try:
                label = waiting[name].parse(answer)
            except (TypeError, ValueError) as error:
                wrong.append(f"{path}:{line}: {error}")
                continue
            first, before = meant.setdefault(name, (line, label))
            if before != label:
                raise UserError(f"{path}:{line}: {name} has another label in line {first}: expected one")
            if name in answers:
                log.warning("%s:%d: %s is answered twice, in line %d too", path, line, name, first)
            answers[name] = answer
        if wrong:
            raise UserError(wrong[0] + (f" (and {len(wrong) - 1} more lines are wrong)" if wrong[1:] else ""))
        return answers


def _means(answer: Any, question: Question, bought: Label) -> bool:
    try:
        return bool(json.loads(json.dumps(question.parse(answer))) == bought)
    except (TypeError, ValueError):
        return False


def _words(text: object) -> list[str]:
    """What an editor or a spreadsheet leaves as it is."""
    return str(text).split()


def _records(path: Path, keys: Sequence[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Line number (from 1) and object of each line that is not blank; nothing where there is no file."""
    if not path.exists():
        return
    with open_text(path) as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                record = json.loads(line)
            except ValueError as error:
                raise UserError(f"{path}:{number}: not a JSON object on one line: {error}") from error
            if not isinstance(record, dict) or not set(keys) <= set(record) or not isinstance(record["id"], str):
                expected = ", ".join(f'"{key}": …' for key in keys)
                raise UserError(f"{path}:{number}: expected {{{expected}}}, got {line.strip()[:80]}")
            yield number, record
