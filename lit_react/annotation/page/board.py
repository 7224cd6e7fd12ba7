"""What the page shows of a run's questions, kept up with each answer: no request reads all of them."""

from __future__ import annotations

import time
from collections import Counter
from itertools import combinations
from threading import Event, RLock
from typing import Any

from lit_react.annotation.answers import NEW_CLASS, Given
from lit_react.annotation.desk import Asked, Desk
from lit_react.annotation.new_classes import advice, found_classes
from lit_react.annotation.oracles import Answer, Question
from lit_react.core.errors import UnknownNameError

AWAY = 60.0
"""Seconds without a word from a browser, after which the question that it shows is given to others."""

HISTORY = 50
"""Earlier answers that are shown."""

PARTS = ("text", "tokens", "context", "head", "tail", "labels")
"""What of `Question.shown` has a place of its own on the page; anything else is listed below the text, as is what
`source` has: the other columns of the data."""


COUNTED = ("wanted", "answered", "labels", "pairs", "agreeing")
"""What the progress counts, see `Board.progress`."""


class AnsweredMeanwhileError(Exception):
    """Others gave all the answers that a question wants."""


class Board:
    """The questions of a run as several annotators see them; any thread may call it.

    Two annotators are not shown the same question at once, unless it wants two more answers.

    Args:
        desk: where the questions come from and the answers go; its ledger is open while the page is served.

    Attributes:
        complete: set while no question waits.
        learning: whether the run does something else than wait: a fit, most of the time.
        results: what each finished round brought.
        round: of the last query.
        closing: whether the page is served no longer.
        outcome: why the run has ended; None: it goes on, or is interrupted.
    """

    def __init__(self, desk: Desk) -> None:
        self.complete, self.learning, self.round = Event(), True, 0
        self.results: list[dict[str, Any]] = []
        self.closing = False
        self.outcome: str | None = None
        self._lock = RLock()
        self._asked: dict[str, Asked] = {}
        self._open: dict[str, None] = {}
        self._totals: Counter[str] = Counter()
        self._new: Counter[str] = Counter()
        self._given: dict[str, dict[str, None]] = {}  # annotator → ids, the newest last
        self._seen: dict[str, tuple[str, float]] = {}  # annotator → the question on the screen, and when it was asked
        self.use(desk)

    def use(self, desk: Desk) -> None:
        """Take up a desk, with all that was said before."""
        with self._lock:
            self._desk, self._asked, self._given, self._totals, self._new = desk, {}, {}, Counter(), Counter()
            every = desk.asked()
            self.round = max((asked.question.round for asked in every), default=0)
            for asked in every:
                self._put(asked)
            given = [(g.at, who, asked.question.id) for asked in every for who, g in asked.answers.items()]
            for _, who, id in sorted(given):
                self._given.setdefault(who, {})[id] = None
            self._wait_for({asked.question.id: None for asked in every if asked.is_open})

    def begin(self, results: list[dict[str, Any]]) -> None:
        """A query waits for answers; `results` are those of the rounds before."""
        with self._lock:
            waiting = {question.id: question.round for question in self._desk.waiting()}
            new = [self._desk.find(id) for id in waiting if id not in self._asked]
            last = max(waiting.values(), default=0)
            if last > self.round:
                self.round, self._totals["wanted"], self._totals["answered"] = last, 0, 0
            for asked in new:
                self._put(asked)
            for id in waiting:
                if not self._asked[id].is_open:  # it was answered before and wants a further opinion
                    self._put(self._desk.find(id))
            self.results, self.learning = results, False
            self._wait_for(dict.fromkeys(waiting))

    def end(self, outcome: str | None, results: list[dict[str, Any]]) -> None:
        """The run has ended by this `outcome`, or is interrupted (None); the page closes."""
        with self._lock:
            self.outcome, self.results, self.learning, self.closing = outcome, results, False, True

    def _wait_for(self, ids: dict[str, None]) -> None:
        self._open = ids
        (self.complete.clear if ids else self.complete.set)()

    def _put(self, asked: Asked) -> None:
        before = self._asked.get(asked.question.id)
        if before is not None:
            self._totals.subtract(self._counts(before))
            self._new.subtract(_found(before))
        self._totals.update(self._counts(asked))
        self._new.update(_found(asked))
        self._asked[asked.question.id] = asked

    def _counts(self, asked: Asked) -> Counter[str]:
        """What one question adds to the progress."""
        labels = [given.label for given in asked.answers.values() if given.label is not None]
        pairs, here = list(combinations(labels, 2)), asked.question.round == self.round
        return Counter(
            wanted=asked.wanted if here else 0,
            answered=min(len(asked.answers), asked.wanted) if here else 0,
            labels=int(bool(labels)),
            pairs=len(pairs),
            agreeing=sum(one == other for one, other in pairs),
        )

    # ---- what is shown --------------------------------------------------------------------------------------

    def next(self, annotator: str) -> str | None:
        """Id of the question for an annotator, the same one until it is answered; None: there is none at present."""
        with self._lock:
            now, shown = time.monotonic(), self._seen.get(annotator, ("", 0.0))[0]
            others = Counter(id for who, (id, at) in self._seen.items() if who != annotator and now - at < AWAY)

            def is_free(id: str) -> bool:
                asked = self._asked[id]
                return annotator not in asked.answers and len(asked.answers) + others[id] < asked.wanted

            found = shown if shown in self._open and is_free(shown) else next(filter(is_free, self._open), "")
            self._seen[annotator] = (found, now)
            return found or None

    def shown(self, id: str, annotator: str) -> dict[str, Any]:
        """One question as the page reads it, with what this annotator has said of it.

        Raises:
            KeyError: it was never asked.
        """
        with self._lock:
            question, given = self._asked[id].question, self._asked[id].answers.get(annotator)
        others = {name: value for name, value in question.shown.items() if name not in (*PARTS, "source")}
        return {
            "id": question.id,
            "form": question.form,
            **{name: question.shown[name] for name in PARTS if name in question.shown},
            "others": {name: str(value) for name, value in (others | question.shown.get("source", {})).items()},
            "suggestions": list(question.suggestions.items()),
            "given": given and {"label": _answer(question, given.label), "note": given.remark},
        }

    def progress(self) -> dict[str, Any]:
        """What the run does, what its rounds brought, how many questions wait, and the `progress`.

        That is: answers of this query (`answered` of `wanted`), texts with a label (`labels`), pairs of answers to one
        text (`pairs`), and how many of them are `agreeing`. And the `new_classes` that people found, with `advice`.
        """
        with self._lock:
            phase = {"round": self.round, "learning": self.learning, "results": self.results}
            new = +self._new
            return {
                **phase,
                "waiting": len(self._open),
                "progress": {name: self._totals[name] for name in COUNTED},
                "new_classes": list(new),
                "advice": advice(new),
            }

    def history(self, annotator: str) -> list[dict[str, Any]]:
        """An annotator's last answers, the newest first."""
        with self._lock:
            asked = [self._asked[id] for id in list(self._given.get(annotator, ()))[: -HISTORY - 1 : -1]]
            return [
                {
                    "id": each.question.id,
                    "text": each.question.text[:200],
                    "said": self._said(each.question, given),
                    "label": _answer(each.question, given.label),
                    "note": given.remark,
                }
                for each in asked
                for given in [each.answers[annotator]]
            ]

    def _said(self, question: Question, given: Given) -> str | None:
        if given.label is None:
            return given.new_class and NEW_CLASS + given.new_class
        return self._desk.written(question.id, given.label)

    def named(self, id: str, name: str) -> dict[str, str | None]:
        """What a name means to a question: the class that it is (`known`), or the one that is most like it (`near`).

        Raises:
            KeyError: the question was never asked.
            ValueError: its answer is not the name of a class.
        """
        with self._lock:
            question = self._asked[id].question
        if question.form != "class" or not question.labels:
            raise ValueError("this task has no classes that could be more")
        try:
            return {"known": question.write(question.parse(name)), "near": None}
        except UnknownNameError as error:
            return {"known": None, "near": error.near}

    # ---- what is said ---------------------------------------------------------------------------------------

    def take(self, answer: Answer, annotator: str) -> None:
        """Record an annotator's answer; it is on the disk when this returns.

        Raises:
            ValueError: it means nothing.
            AnsweredMeanwhileError: the question needs it no longer.
        """
        with self._lock:
            before = self._asked.get(answer.id)
            if before is None or (answer.undo and annotator not in before.answers):
                raise ValueError(f"{answer.id!r} was not {'answered' if answer.undo else 'asked'}")
            if not (before.is_open or annotator in before.answers):
                raise AnsweredMeanwhileError(f"{', '.join(before.answers)} answered it meanwhile")
            self._desk.take([answer])
            self._put(now := self._desk.find(answer.id))
            own = self._given.setdefault(annotator, {})
            own.pop(answer.id, None)
            if answer.undo:
                self._seen[annotator] = (answer.id, time.monotonic())
            else:
                own[answer.id] = None
            still = {id: None for id in self._open if id != answer.id}
            self._wait_for({answer.id: None, **still} if now.is_open else still)


def _found(asked: Asked) -> Counter[str]:
    """The new classes that the answers to one question name."""
    return found_classes({("", 0): [*asked.answers.values()]})


def _answer(question: Question, label: Any) -> Any:
    """A label as the question takes it; None: skipped."""
    return None if label is None else question.write(label)
