"""One file per task: how its rows are encoded, its module, its labels, what the acquisition sees of a row."""

from lit_react.tasks.base import TaskModule
from lit_react.tasks.linear_probe import LinearProbe
from lit_react.tasks.multi_label import MultiLabelClassification
from lit_react.tasks.question_answering import QuestionAnswering
from lit_react.tasks.relation_extraction import RelationExtraction
from lit_react.tasks.sentence_classification import SentenceClassification
from lit_react.tasks.summarization import Summarization
from lit_react.tasks.text_classification import TextClassification
from lit_react.tasks.token_classification import TokenClassification
from lit_react.tasks.translation import Translation

__all__ = [
    "LinearProbe",
    "MultiLabelClassification",
    "QuestionAnswering",
    "RelationExtraction",
    "SentenceClassification",
    "Summarization",
    "TaskModule",
    "TextClassification",
    "TokenClassification",
    "Translation",
]
