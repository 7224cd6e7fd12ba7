"""Who gives the labels: the gold labels of a finished data set, or people who answer through files."""

from __future__ import annotations

import json
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from pathlib import Path
from typing import Any

from lit_react.annotation.ledger import Label, Query
from lit_react.core.errors import UserError
from lit_react.core.files import write_lines

log = logging.getLogger("lit_react")
Answers = dict[tuple[str, int], Label]


class Oracle(ABC):
    """Gives labels to queries, at once or later.

    Attributes:
        annotator: name that the ledger keeps with each answer.
    """

    annotator: str

    @abstractmethod
    def label(self, round: int, queries: Sequence[Query]) -> Answers:
        """Answer what can be answered now.

        Args:
            round: the round in which the queries were asked.
            queries: that round's queries without an answer.

        Returns:
            (split, row) → label, for all of the queries or some of them.

        Raises:
            UserError: an answer is missing for good or is wrong; then none counts.
        """

    def pending_message(self, round: int, answered: int, asked: int) -> str:
        """Tell the user in one line what to do about a round with `answered` of `asked` answers."""
        return f"round {round}: {answered} of {asked} labels are there; run the same command again for the others"


class GoldOracle(Oracle):
    """Answers at once with labels that the data set has.

    Args:
        gold: split → label of each row, None where unknown.
    """

    annotator = "gold"

    def __init__(self, gold: Mapping[str, Sequence[Label | None]]) -> None:
        self.gold = gold

    def label(self, round: int, queries: Sequence[Query]) -> Answers:
        """Answer every query; an unknown gold label is an error."""
        answers = {(query.split, query.row): self.gold[query.split][query.row] for query in queries}
        for (split, row), label in answers.items():
            if label is None:
                raise UserError(f"{split} row {row + 1} has no gold label: use the file oracle to ask people for it")
        return answers


class FileOracle(Oracle):
    """Lets people answer in files, one folder `round_00`, `round_01`, … a round.

    The oracle writes `to_label.jsonl`, a line a query: `{"id": "pool-17", "label": null, "text": …, "labels": […]}`
    with what the task shows of a row, such as the names to choose from. People copy it to `labels.jsonl` beside it
    and fill in `label`, in any order and in as many sittings as they like: `null` or a missing line is a query that
    waits. A `text` that is not the one that was asked is an error, for the label would go to another; other keys are
    ignored. An answer that a run has read is bought: a later change of its line has no effect but a warning.

    Args:
        folder: holds the folders of the rounds.
        question: (split, row) → what people see of it, see `TaskModule.question`.
        parse: (answer, split, row) → label, see `TaskModule.parse`.
        annotator: name that the ledger keeps with each answer.
    """

    def __init__(
        self,
        folder: Path,
        question: Callable[[str, int], dict[str, Any]],
        parse: Callable[[Any, str, int], Label],
        annotator: str = "people",
    ) -> None:
        self.folder = Path(folder)
        self.question, self.parse = question, parse
        self.annotator = annotator

    def label(self, round: int, queries: Sequence[Query]) -> Answers:
        """Write what is asked, read what is answered.

        `to_label.jsonl` keeps all queries of the round, those that were answered too, so that their lines in
        `labels.jsonl` stay known.
        """
        asked = self._write(round, queries)
        waiting = {_id(query.split, query.row): (query.split, query.row) for query in queries}
        return {waiting[name]: label for name, label in self._read(round, asked, waiting.keys()).items()}

    def changed(self, round: int, bought: Answers) -> str | None:
        """Tell in one line of answers that are not in `labels.jsonl` as they were bought.

        Args:
            round: the round in which they were asked.
            bought: (split, row) → label that the ledger has.

        Returns:
            None where there are none. A line that was taken out is none: its answer is kept in the ledger.
        """
        path = self._round(round) / "labels.jsonl"
        places = {_id(*where): where for where in bought}
        try:
            given = {record["id"]: (line, record["label"]) for line, record in _records(path, ("id", "label"))}
        except UserError as error:
            return f"{error}; the labels that were bought stay"
        others = [
            (line, name)
            for name, (line, label) in given.items()
            if name in places and label not in (None, "") and not self._is(label, *places[name], bought[places[name]])
        ]
        if not others:
            return None
        line, name = others[0]
        more = f" (and {len(others) - 1} more)" if len(others) > 1 else ""
        return f"{path}:{line}: {name} had another label when it was bought{more}: the run keeps that one"

    def _is(self, answer: Any, split: str, row: int, bought: Label) -> bool:
        try:
            return bool(json.loads(json.dumps(self.parse(answer, split, row))) == bought)
        except (TypeError, ValueError):
            return False

    def pending_message(self, round: int, answered: int, asked: int) -> str:
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

    def _write(self, round: int, queries: Sequence[Query]) -> dict[str, dict[str, Any]]:
        """Add new queries to the round's file and return all that is in it, by id."""
        path = self._round(round) / "to_label.jsonl"
        records = {record["id"]: record for _, record in _records(path, ("id",))}
        new = {name: query for query in queries if (name := _id(query.split, query.row)) not in records}
        if new:
            for name, query in new.items():
                records[name] = {"id": name, "label": None, **self.question(query.split, query.row)}
            write_lines(path, list(records.values()))
        return records

    def _read(self, round: int, asked: Mapping[str, dict[str, Any]], waiting: Set[str]) -> dict[str, Label]:
        """Answers of those that wait, by id; what was bought before is no longer looked at."""
        path = self._round(round) / "labels.jsonl"
        answers: dict[str, Label] = {}
        lines: dict[str, int] = {}
        wrong: list[str] = []
        for line, record in _records(path, ("id", "label")):
            name, label = record["id"], record["label"]
            if name not in asked:
                raise UserError(f"{path}:{line}: id {name!r} was not asked: expected an id of to_label.jsonl")
            if label in (None, "") or name not in waiting:
                continue
            if "text" in record and _words(record["text"]) != _words(asked[name]["text"]):
                raise UserError(f"{path}:{line}: another text than that of {name} in to_label.jsonl: expected the same")
            split, _, row = name.rpartition("-")
            try:
                parsed = self.parse(label, split, int(row))
            except (TypeError, ValueError) as error:
                wrong.append(f"{path}:{line}: {error}")
                continue
            if answers.get(name, parsed) != parsed:
                raise UserError(f"{path}:{line}: {name} has another label in line {lines[name]}: expected one")
            if name in answers:
                log.warning("%s:%d: %s is answered twice, in line %d too", path, line, name, lines[name])
            answers[name] = parsed
            lines.setdefault(name, line)
        if wrong:
            raise UserError(wrong[0] + (f" (and {len(wrong) - 1} more lines are wrong)" if wrong[1:] else ""))
        return answers


def _id(split: str, row: int) -> str:
    return f"{split}-{row}"


def _words(text: object) -> list[str]:
    """What an editor or a spreadsheet leaves as it is."""
    return str(text).split()


def _records(path: Path, keys: Sequence[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Line number (from 1) and object of each line that is not blank; nothing where there is no file."""
    if not path.exists():
        return
    for number, line in enumerate(path.read_bytes().removeprefix(b"\xef\xbb\xbf").splitlines(), 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line.decode())
        except ValueError as error:
            raise UserError(f"{path}:{number}: not a JSON object on one line: {error}") from error
        if not isinstance(record, dict) or not set(keys) <= set(record) or not isinstance(record["id"], str):
            expected = ", ".join(f'"{key}": …' for key in keys)
            raise UserError(f"{path}:{number}: expected {{{expected}}}, got {line.decode()[:80]}")
        yield number, record
