"""Desks on real ledgers, with questions of every task."""

from functools import partial

from lit_react.annotation.desk import Desk
from lit_react.annotation.ledger import Ledger, Query
from lit_react.annotation.oracles import Question
from lit_react.tasks.multi_label import MultiLabelTask
from lit_react.tasks.question_answering import QuestionTask
from lit_react.tasks.relation_extraction import RelationTask
from lit_react.tasks.summarization import SummaryTask
from lit_react.tasks.text_classification import ClassificationTask
from lit_react.tasks.token_classification import EntityTask

TOPICS = ["sport", "tech", "politics"]
TEXTS = ["Final on Sunday", "A phone of glass", "The vote is tied", "Goal in overtime", "Chips get smaller", "New law"]
SENTENCE = "Nadim Ladki flew from Syria to New York ."
CONTEXT = "🙂 Oslo (1624–1924: Christiania) is the capital of Norway; Oslo lies on a fjord."
ROWS = {
    "topics": (ClassificationTask(label_names=TOPICS), [{"text": text} for text in TEXTS]),
    "sets": (MultiLabelTask(label_names=TOPICS), [{"text": text} for text in TEXTS]),
    "entities": (EntityTask(label_names=["PER", "LOC"]), [{"text": SENTENCE, "tokens": SENTENCE.split()}]),
    "relations": (
        RelationTask(label_names=["Cause-Effect(e1,e2)", "Other"]),
        [{"text": "The <e1> storm </e1> caused the <e2> delay </e2> ."}],
    ),
    "answers": (QuestionTask(max_length=384), [{"text": "What is the capital of Norway?", "context": CONTEXT}]),
    "summaries": (SummaryTask(), [{"text": TEXTS[0]}]),
}
"""By name: a task, and some rows."""


def question_of(task, row, number, round, price, guess):
    """A row of a task as a question."""
    shown, parse = task.question(row), partial(task.parse, row=row)
    return Question(f"pool-{number}", round, shown, parse, price, guess or {}, form=task.answer_form, write=task.answer)


def desk_of(folder, task, rows, wanted=1, asked=None, guess=None):
    """A desk whose first round asks for the first rows (None: all), and its ledger, which may be there already.

    `guess` is what the last model thinks of each of them: name → probability.
    """
    ledger = Ledger(folder / "ledger.sqlite", budget=1e6, fingerprint="data")
    if not ledger.asked():
        numbers = range(len(rows) if asked is None else asked)
        ledger.ask(0, [Query("pool", row, float(wanted), "initial", wanted=wanted) for row in numbers])

    def question(split, row, round, price):
        return question_of(task, rows[row], row, round, price, guess)

    def described(split, row, label):
        return task.describe(rows[row], label)[1]

    return Desk(ledger, question, described, "page"), ledger
