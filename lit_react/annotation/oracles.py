"""Who gives the labels: an oracle answers questions, at once or later."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lit_react.annotation.answers import Label

if TYPE_CHECKING:
    from lit_react.annotation.desk import Desk


@dataclass(frozen=True)
class Question:
    """One text whose label is asked for.

    Attributes:
        id: names the row, such as `pool-17`.
        round: the round in which it was asked.
        shown: what people see of the row: `text`, often `labels` (the names to choose from), and what else the task
            shows.
        parse: what an answer means; it raises a ValueError or TypeError where an answer means nothing.
        price: of one answer, in cost units.
        suggestions: name → probability by the last model, the likeliest first; empty where none is known.
        form: what people do to answer, see `Task.answer_form`.
        write: the answer that means a label: `parse` backwards.
    """

    id: str
    round: int
    shown: Mapping[str, Any]
    parse: Callable[[Any], Label]
    price: float = 1.0
    suggestions: Mapping[str, float] = field(default_factory=dict)
    form: str = "class"
    write: Callable[[Label], Any] = str

    @property
    def text(self) -> str:
        """What is to be labeled."""
        return str(self.shown["text"])

    @property
    def labels(self) -> list[str]:
        """The names to choose from; empty where the task has no classes."""
        return list(self.shown.get("labels") or [])


@dataclass(frozen=True)
class Answer:
    """What one annotator says of one question.

    Attributes:
        id: of the question.
        label: as people write it: the name of a class, a list of names, marked text, …; None: a skip, for a text that
            has no label or that the annotator cannot label. It closes the question like a label.
        annotator: who says it; None: the oracle.
        cost: in cost units; None: the question's price for an annotator's first label of it, else nothing.
        seconds: that it took; None: unknown.
        confidence: in [0, 1], of the annotator; None: unknown.
        note: what else the annotator has to say.
        undo: take back what this annotator said of the question; `label` is not read then.
    """

    id: str
    label: Any = None
    annotator: str | None = None
    cost: float | None = None
    seconds: float | None = None
    confidence: float | None = None
    note: str = ""
    undo: bool = False


class Oracle(ABC):
    """Answers questions.

    One of your own is named by its class path, `--rounds.oracle my_file.MyOracle`, or given as an object.

    Attributes:
        annotator: name that the ledger keeps with each answer that names nobody; that of the class, unless it says
            another.
        answers_known: whether rows whose label came with the data are asked too, as a simulated annotator wants it;
            else the label that is there is taken, and costs like others.
    """

    annotator: str
    answers_known: bool = False

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "annotator" not in vars(cls):
            cls.annotator = cls.__name__

    def open(self, folder: Path, desk: Desk) -> None:  # noqa: B027
        """The run begins or goes on in this folder; called before anything is asked of `label`.

        Args:
            folder: of the run.
            desk: what was asked and answered so far. Corrections of earlier answers go there; so do answers that come
                while a model is fitted.
        """

    @abstractmethod
    def label(self, questions: Sequence[Question]) -> Mapping[str, Any] | Iterable[tuple[str, Any] | Answer]:
        """Answer what can be answered now; the run stops and waits for the others, and the same command goes on.

        What a generator gives is recorded one by one: an answer that costs money is not lost where the next one fails.

        Args:
            questions: those of one round that have no answer yet.

        Returns:
            id → label, as people write it (see `Answer`); `Question.parse` must take it. Or pairs of the two; or
            `Answer`s, which may skip a question, or say who answers and at what cost.

        Raises:
            UserError: something is wrong; answers that were given before stay.
        """

    def waiting(self, round: int, answered: int, asked: int) -> str:
        """Tell, in one line, what to do about a round with `answered` of `asked` answers."""
        return f"round {round}: {answered} of {asked} labels are there; run the same command again for the others"

    def close(self, outcome: str | None) -> None:  # noqa: B027
        """The run has ended or is interrupted, maybe before `open`; nothing is asked until `open` is called again.

        Args:
            outcome: why the run has ended, such as `the budget is spent`; None: it goes on when it is called again.
        """


class GoldOracle(Oracle):
    """The labels that came with the data, which are taken before an oracle is asked: it has nothing to add."""

    annotator = "gold"

    def label(self, questions: Sequence[Question]) -> Mapping[str, Any]:
        """No answers: a row without a gold label has none."""
        return {}


class ApiOracle(Oracle):
    """Answers come by `ActiveLearning.answer`, as in a notebook; the run waits for them."""

    annotator = "api"

    def label(self, questions: Sequence[Question]) -> Mapping[str, Any]:
        """No answers: whoever calls `answer` gives them."""
        return {}

    def waiting(self, round: int, answered: int, asked: int) -> str:
        """Name the methods that go on."""
        return f"round {round}: {answered} of {asked} labels are there; query() shows the others, answer() takes them"
