"""A desk of a run, and questions of every kind that Label Studio may answer."""

from desks import question_of
from ledgers import opened, query

from lit_react.annotation.desk import Desk
from lit_react.tasks.multi_label import MultiLabelTask
from lit_react.tasks.question_answering import QuestionTask
from lit_react.tasks.relation_extraction import RelationTask
from lit_react.tasks.text_classification import ClassificationTask
from lit_react.tasks.token_classification import EntityTask
from lit_react.tasks.translation import TranslationTask

HOSTILE = "<script>alert('x')</script> &amp; $text {text} \N{PILE OF POO} \u2028 \x00 'quoted' \"twice\"\r\n\t ]]>"
NAMES = ["business", "a & <b>", "$100 ]]>"]
KINDS = {
    "class": (ClassificationTask(label_names=NAMES), {"text": HOSTILE}),
    "classes": (MultiLabelTask(label_names=NAMES), {"text": HOSTILE}),
    "relation": (RelationTask(label_names=NAMES), {"text": "<e1>Ana</e1> left <e2>Rome</e2>."}),
    "spans": (
        EntityTask(label_names=["LOC", "PER"]),
        {"text": "\N{PILE OF POO} Ana in Rome.", "tokens": ["\N{PILE OF POO}", "Ana", "in", "Rome", "."]},
    ),
    "span": (QuestionTask(max_length=384), {"text": "Who?", "context": f"{HOSTILE} Ana, then Ana again."}),
    "text": (TranslationTask(), {"text": HOSTILE}),
}
"""Name → task and a row of it."""


def asked(kind="class", row=0, round=0, guess=None):
    """A question as a run asks it; `guess` is what the last model thinks: name → probability."""
    return question_of(*KINDS[kind], row, round, 1.0, guess)


class Run:
    """A ledger with questions of one kind, and its desk.

    Args:
        folder: of the ledger, which may be there.
        kind: of the questions.
        guesses: row → name → probability.
    """

    def __init__(self, folder, kind="class", guesses=None):
        self.folder, self.ledger = folder, opened(folder / "ledger.sqlite", budget=1000.0)
        question = lambda split, row, round, price: asked(kind, row, round, (guesses or {}).get(row))  # noqa: E731
        self.desk = Desk(self.ledger, question, lambda split, row, label: str(label), "LabelStudio")

    def ask(self, *rows, round=0, wanted=1):
        self.ledger.ask(round, [query(row, cost=float(wanted), wanted=wanted) for row in rows])

    def answer(self, oracle):
        """What a run does with an oracle: open, label, record."""
        oracle.open(self.folder, self.desk)
        if waiting := self.desk.waiting():
            for answer in oracle.label(waiting):
                self.desk.take([answer])
        return self.answers()

    def answers(self):
        """Id → annotator → the label that holds."""
        return {
            each.question.id: {who: given.label for who, given in each.answers.items()} for each in self.desk.asked()
        }
