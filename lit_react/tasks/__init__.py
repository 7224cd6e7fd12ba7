"""One file a task: its rows, labels and metrics (`Task`, no weights), and the module that learns it beside them."""

from lit_react.tasks.base import TaskModule
from lit_react.tasks.encoder_classification import EncoderClassification, HeadOnEncoder
from lit_react.tasks.encoder_task import EncoderTask
from lit_react.tasks.linear_probe import LinearProbe
from lit_react.tasks.multi_label import MultiLabelClassification
from lit_react.tasks.question_answering import QuestionAnswering
from lit_react.tasks.relation_extraction import RelationExtraction
from lit_react.tasks.sentence_classification import SentenceClassification
from lit_react.tasks.setfit import SetFit
from lit_react.tasks.summarization import Summarization
from lit_react.tasks.text_classification import TextClassification
from lit_react.tasks.token_classification import TokenClassification
from lit_react.tasks.transformer import TransformerModule
from lit_react.tasks.translation import Translation

__all__ = [
    "EncoderClassification",
    "EncoderTask",
    "HeadOnEncoder",
    "LinearProbe",
    "MultiLabelClassification",
    "QuestionAnswering",
    "RelationExtraction",
    "SentenceClassification",
    "SetFit",
    "Summarization",
    "TaskModule",
    "TextClassification",
    "TokenClassification",
    "TransformerModule",
    "Translation",
]
