"""People who label in files, one folder a round."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from lit_react.annotation.answers import Given, written
from lit_react.annotation.desk import Asked, Desk
from lit_react.annotation.oracles import Answer, Oracle, Question
from lit_react.core.errors import UserError
from lit_react.core.files import write_lines
from lit_react.core.text_files import open_text

log = logging.getLogger("lit_react")


class FileOracle(Oracle):
    """Lets people answer in files, in folders `round_00`, `round_01`, … of the run.

    The oracle writes `to_label.jsonl`, a line a question: `{"id": "pool-17", "label": null, "text": …, "labels": […]}`
    with what the task shows of a row, such as the names to choose from, and `source`, the other columns of the data.
    People copy it to `labels.jsonl` beside it and fill in `label`, in any order and in as many sittings as they like:
    `null` or a missing line is a question that waits; `"skip": true`, or a reason, closes one that has no label.
    Several people have a file each, `labels.ann.jsonl`, or say who they are in the lines, `"annotator": "ann"`. Who
    changes a label later corrects it, who makes it `null` takes it back. A `text` that is not the one that was asked is
    an error, for the label would go to another; `note` is kept, other keys are ignored.
    """

    annotator = "people"

    def open(self, folder: Path, desk: Desk) -> None:
        """Take what was changed in the files of all rounds since the last sitting."""
        self.folder = folder
        asked: dict[int, dict[str, Asked]] = {}
        for each in desk.asked():
            asked.setdefault(each.question.round, {})[each.question.id] = each
        for round, of_round in asked.items():
            self._correct(round, of_round, desk)

    def _correct(self, round: int, asked: Mapping[str, Asked], desk: Desk) -> None:
        """A line that cannot be read stops nothing: what was bought stays."""
        try:
            answers = self._read(round, {name: each.question for name, each in asked.items()}, strict=False)
        except UserError as error:
            log.warning("%s; the labels that were bought stay", error)
            return
        changed = []
        for answer in answers:
            bought = asked[answer.id].answers.get(answer.annotator or self.annotator)
            meant = None if answer.undo or answer.label is None else asked[answer.id].question.parse(answer.label)
            if bought is None:
                joins = not (answer.undo or asked[answer.id].is_open)
            else:
                joins = answer.undo or written(meant) != written(bought.label)
            if joins:  # a correction, or what another annotator says of a question that is closed
                changed.append(answer)
        if changed:
            desk.take(changed)
            back = sum(answer.undo for answer in changed)
            told = f", {back} taken back (label null)" if back else ""
            log.warning("%s: %d answers corrected or added%s", self._round(round), len(changed) - back, told)

    def label(self, questions: Sequence[Question]) -> list[Answer]:
        """Write what is asked, read what is answered.

        `to_label.jsonl` keeps all questions of the round, those that were answered too, so that their lines in
        `labels.jsonl` stay known.
        """
        answers = []
        for round in sorted({question.round for question in questions}):
            of_round = {question.id: question for question in questions if question.round == round}
            self._write(round, of_round)
            answers += [answer for answer in self._read(round, of_round) if not answer.undo]
        return answers

    def waiting(self, round: int, answered: int, asked: int) -> str:
        """Name the file to fill and how much of it is missing, in one line."""
        folder = self._round(round)
        labels = folder / "labels.jsonl"
        copy = "" if self._files(round) else f"copy {folder / 'to_label.jsonl'} to {labels}, "
        return (
            f"round {round}: {answered} of {asked} labels are there; {copy}"
            f"fill in the missing {asked - answered} in {labels}, then run the same command again"
        )

    def _round(self, round: int) -> Path:
        return self.folder / f"round_{round:02d}"

    def _files(self, round: int) -> list[Path]:
        return sorted(path for path in self._round(round).glob("labels*.jsonl") if path.stem.split(".")[0] == "labels")

    def _asked(self, round: int) -> dict[str, dict[str, Any]]:
        return {record["id"]: record for _, record in _records(self._round(round) / "to_label.jsonl", ("id",))}

    def _write(self, round: int, questions: Mapping[str, Question]) -> None:
        """Add new questions to the round's file."""
        records = self._asked(round)
        new = [question for name, question in questions.items() if name not in records]
        if new:
            records |= {question.id: {"id": question.id, "label": None, **question.shown} for question in new}
            write_lines(self._round(round) / "to_label.jsonl", list(records.values()))

    def _read(self, round: int, questions: Mapping[str, Question], strict: bool = True) -> list[Answer]:
        """What the files of a round say of some questions; of an annotator's two lines with one id, the first.

        Args:
            round: whose folder is read.
            questions: id → question; lines about others are left out.
            strict: whether a line that means nothing is an error, or left out.
        """
        asked, found, wrong = self._asked(round), dict[tuple[str | None, str], tuple[str, Answer]](), list[str]()
        for path in self._files(round):
            of_file = path.stem.partition(".")[2] or None
            for line, record in _records(path, ("id", "label")):
                place, name = f"{path}:{line}", record["id"]
                if name not in asked:
                    raise UserError(f"{place}: id {name!r} was not asked: expected an id of to_label.jsonl")
                if name not in questions:
                    continue
                try:
                    answer = _answer(record, of_file, questions[name], asked[name])
                except (TypeError, ValueError) as error:
                    wrong.append(f"{place}: {error}")
                    continue
                first, before = found.setdefault((answer.annotator, name), (f"{path.name}:{line}", answer))
                if (before.label, before.undo) != (answer.label, answer.undo):
                    raise UserError(f"{place}: {name} has another label in {first}: expected one of an annotator")
                if first != f"{path.name}:{line}" and not answer.undo:
                    log.warning("%s: %s is answered twice, in %s too", place, name, first)
        if wrong and strict:
            raise UserError(wrong[0] + (f" (and {len(wrong) - 1} more lines are wrong)" if wrong[1:] else ""))
        return [answer for _, answer in found.values()]


def _answer(record: Mapping[str, Any], of_file: str | None, question: Question, asked: Mapping[str, Any]) -> Answer:
    """What a line means.

    Raises:
        TypeError, ValueError: its label means nothing, or is of another text.
    """
    label, skip = record["label"], record.get("skip")
    who, note = record.get("annotator") or of_file, str(record.get("note") or "")
    if skip:
        said = Given("pool", 0, "", note=skip if isinstance(skip, str) else note)
        if said.new_class:
            with suppress(TypeError, ValueError):  # the run has the class by now: the line means it
                question.parse(said.new_class)
                return Answer(question.id, said.new_class, annotator=who, note=said.remark)
        return Answer(question.id, annotator=who, note=said.note)
    if label in (None, ""):
        return Answer(question.id, annotator=who, note=note, undo=True)
    if "text" in record and _words(record["text"]) != _words(asked["text"]):
        raise ValueError(f"another text than that of {question.id} in to_label.jsonl: expected the same")
    question.parse(label)
    return Answer(question.id, label, annotator=who, note=note)


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
