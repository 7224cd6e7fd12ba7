"""Answers of several annotators to one question, and the label that follows from them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

Label = Any
"""What was bought for one row, as JSON has it: a class id, a list of spans, a text. The task knows which."""

NEW_CLASS = "new class: "
"""How the note of a skip begins that names a class which the run has not."""


@dataclass(frozen=True)
class Given:
    """One answer as the ledger keeps it.

    Attributes:
        split: `pool` or `validation`.
        row: row relative to that split's table.
        annotator: who gave it.
        label: the label; None: a skip.
        undo: whether it takes back what the annotator said before.
        cost: in cost units; None: what was asked for, see `Ledger.record`.
        seconds: that it took; None: unknown.
        confidence: in [0, 1], of the annotator; None: unknown.
        note: of the annotator.
        at: when it was recorded, ISO 8601 in UTC.
    """

    split: str
    row: int
    annotator: str
    label: Label | None = None
    undo: bool = False
    cost: float | None = None
    seconds: float | None = None
    confidence: float | None = None
    note: str = ""
    at: str = ""

    @property
    def new_class(self) -> str | None:
        """The name of a class that the run has not, where this is a skip whose note gives one."""
        if self.label is not None or self.undo or not self.note.startswith(NEW_CLASS):
            return None
        return self.note.removeprefix(NEW_CLASS).partition("\n")[0].strip() or None

    @property
    def remark(self) -> str:
        """The note without the name of a new class."""
        return self.note.partition("\n")[2] if self.new_class else self.note

    def says_the_same(self, before: Given | None) -> bool:
        """Whether it changes nothing of what its annotator said last; None: nothing was said."""
        if before is None or before.undo:
            return self.undo
        return not self.undo and (written(self.label), self.note) == (written(before.label), before.note)


def written(label: Label) -> str:
    """A label as the ledger has it; equal labels have equal ones."""
    return json.dumps(label, ensure_ascii=False, sort_keys=True)


Where: TypeAlias = tuple[str, int]
Aggregate: TypeAlias = Callable[[Mapping[Where, Sequence[Given]]], dict[Where, Label]]
"""(split, row) → the answers that hold, to (split, row) → label; a row that nobody could label is left out."""


def majority(answers: Mapping[Where, Sequence[Given]]) -> dict[Where, Label]:
    """The label that most annotators gave; of several such, the one that was given first."""
    labels = {}
    for where, given in answers.items():
        counts = Counter(written(each.label) for each in given if each.label is not None)
        if counts:
            labels[where] = json.loads(max(counts, key=counts.__getitem__))
    return labels
