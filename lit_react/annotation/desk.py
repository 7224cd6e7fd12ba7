"""The desk of a run: its questions go out here, and answers come in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from lit_react.annotation.answers import Given, Label
from lit_react.annotation.ledger import DRAFT, NO_END, Ledger, Query
from lit_react.annotation.oracles import Answer, Question


@dataclass(frozen=True)
class Asked:
    """A question and what is said of it.

    Attributes:
        question: the question.
        wanted: how many annotators are to answer it.
        answers: annotator → the answer that holds, the earliest first.
    """

    question: Question
    wanted: int
    answers: Mapping[str, Given]

    @property
    def is_open(self) -> bool:
        """Whether it wants an answer still."""
        return len(self.answers) < self.wanted


class Desk:
    """The questions of a run, and where answers go. Any thread of the process may use it.

    Args:
        ledger: of the run.
        question: makes a question of split, row, round and price.
        describe: a label of split and row as people read it.
        annotator: who gives answers that name nobody.
        drafter: who drafts labels: what it was asked, and what it says, is not seen here; None: nobody does.
        drafts: whether this desk is the drafter's, which sees what it was asked, and all answers.
    """

    def __init__(
        self,
        ledger: Ledger,
        question: Callable[[str, int, int, float], Question],
        describe: Callable[[str, int, Label], str],
        annotator: str,
        drafter: str | None = None,
        *,
        drafts: bool = False,
    ) -> None:
        self._ledger, self._question, self._describe, self._annotator = ledger, question, describe, annotator
        self._drafter, self._drafts = drafter, drafts

    @property
    def run(self) -> str:
        """Names the run: no other has that name."""
        return self._ledger.run

    def waiting(self, annotator: str | None = None, round: int | None = None) -> list[Question]:
        """What wants an answer still, in the order of asking: the most worth first.

        Args:
            annotator: leave out what this one has answered; None: all.
            round: that was asked up to this round; None: all.
        """
        open_ = self._own(self._ledger.pending(NO_END if round is None else round))
        if annotator is not None:
            given = self._ledger.answers()
            open_ = [q for q in open_ if all(a.annotator != annotator for a in given.get((q.split, q.row), ()))]
        return [self._asked(query) for query in open_]

    def asked(self) -> list[Asked]:
        """All that was ever asked, in the order of asking, with the answers that hold; a row is there once."""
        answers, wanted, first = self._ledger.answers(), Counter[tuple[str, int]](), dict[tuple[str, int], Query]()
        for query in self._own(self._ledger.asked()):
            wanted[query.split, query.row] += query.wanted
            first.setdefault((query.split, query.row), query)
        return [
            Asked(self._asked(query), wanted[where], self._seen(answers.get(where, ())))
            for where, query in first.items()
        ]

    def find(self, question: str) -> Asked:
        """One question by its id, without reading the others.

        Raises:
            KeyError: it was never asked.
        """
        where = place(question)
        queries = self._own(self._ledger.asked_of(*where))
        if not queries:
            raise KeyError(question)
        wanted = sum(query.wanted for query in queries)
        return Asked(self._asked(queries[0]), wanted, self._seen(self._ledger.answers_of(*where)))

    def take(self, answers: Iterable[Answer]) -> None:
        """Record answers, all or none; they are on the disk when this returns.

        Raises:
            ValueError: one names no question, or its label means nothing; the others are not recorded either.
        """
        self._ledger.record([self._given(answer) for answer in answers])

    def written(self, question: str, label: Label) -> str:
        """A label of a question, by its id, as people read it."""
        return self._describe(*place(question), label)

    def _own(self, queries: Sequence[Query]) -> list[Query]:
        return [query for query in queries if (query.policy == DRAFT) == self._drafts]

    def _seen(self, answers: Sequence[Given]) -> dict[str, Given]:
        return {given.annotator: given for given in answers if self._drafts or given.annotator != self._drafter}

    def _asked(self, query: Query) -> Question:
        return self._question(query.split, query.row, query.round, query.cost / query.wanted)

    def _given(self, answer: Answer) -> Given:
        queries = self._own(self._ledger.asked_of(*place(answer.id)))
        if not queries:
            names = [name_of(waits.split, waits.row) for waits in self._own(self._ledger.pending(NO_END))]
            some = ", ".join(names[:5]) + (", …" if names[5:] else "") or "none, for all are answered"
            raise ValueError(f"{answer.id!r} waits for no label, expected one of {some}")
        query = queries[0]
        label = None if answer.undo or answer.label is None else self._meaning(query, answer)
        who = self._annotator if self._drafts else answer.annotator or self._annotator
        if who == self._drafter and not self._drafts:
            raise ValueError(f"{answer.id}: {who!r} drafts: expected another name for whoever labels")
        return Given(
            query.split,
            query.row,
            who,
            label,
            undo=answer.undo,
            cost=answer.cost,
            seconds=answer.seconds,
            confidence=answer.confidence,
            note=answer.note,
        )

    def _meaning(self, query: Query, answer: Answer) -> Label:
        try:
            return self._asked(query).parse(answer.label)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{answer.id}: {error}") from error


def name_of(split: str, row: int) -> str:
    """The id of a row's question, such as `pool-17`."""
    return f"{split}-{row}"


def place(name: str) -> tuple[str, int]:
    """Split and row of a question's id; row -1, which nothing has, where it is no id."""
    split, _, row = str(name).rpartition("-")
    return split, int(row) if row.isdecimal() else -1
