"""One file per task: how its texts are encoded, its module, its metrics."""

from lit_react.tasks.base import TaskModule
from lit_react.tasks.linear_probe import LinearProbe
from lit_react.tasks.text_classification import TextClassification

__all__ = ["LinearProbe", "TaskModule", "TextClassification"]
