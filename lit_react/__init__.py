"""Reinforcement-aware active learning on PyTorch Lightning."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from lit_react.core.version import __version__

if TYPE_CHECKING:
    from lit_react.acquisition.agents import Agent
    from lit_react.acquisition.callback import AcquisitionCallback
    from lit_react.acquisition.proposals import Batches
    from lit_react.acquisition.rewards import Reward
    from lit_react.acquisition.stopping import StoppingRule
    from lit_react.acquisition.strategies import Strategy
    from lit_react.annotation.costs import Cost
    from lit_react.annotation.drafts import Drafts
    from lit_react.annotation.label_studio import LabelStudio
    from lit_react.annotation.language_model import LLM
    from lit_react.annotation.oracles import Answer, Oracle, Question
    from lit_react.annotation.page import Page
    from lit_react.augmentation.augmentation import Augmentation
    from lit_react.augmentation.part import Part
    from lit_react.core.errors import LabelsPending, UserError
    from lit_react.data.datamodule import PoolDataModule
    from lit_react.data.task import Task
    from lit_react.run.active_learning import ActiveLearning
    from lit_react.tasks import (
        LinearProbe,
        MultiLabelClassification,
        QuestionAnswering,
        RelationExtraction,
        SentenceClassification,
        Summarization,
        TextClassification,
        TokenClassification,
        Translation,
    )


TASKS = (
    "LinearProbe",
    "MultiLabelClassification",
    "QuestionAnswering",
    "RelationExtraction",
    "SentenceClassification",
    "Summarization",
    "TextClassification",
    "TokenClassification",
    "Translation",
)

PUBLIC = {
    "ActiveLearning": "run.active_learning",
    "PoolDataModule": "data.datamodule",
    "AcquisitionCallback": "acquisition.callback",
    **dict.fromkeys(TASKS, "tasks"),
    "Task": "data.task",
    "Strategy": "acquisition.strategies",
    "Batches": "acquisition.proposals",
    "Agent": "acquisition.agents",
    "Reward": "acquisition.rewards",
    "StoppingRule": "acquisition.stopping",
    "Oracle": "annotation.oracles",
    "LabelStudio": "annotation.label_studio",
    "Page": "annotation.page",
    "LLM": "annotation.language_model",
    "Question": "annotation.oracles",
    "Answer": "annotation.oracles",
    "Cost": "annotation.costs",
    "Drafts": "annotation.drafts",
    "Augmentation": "augmentation.augmentation",
    "Part": "augmentation.part",
    "LabelsPending": "core.errors",
    "UserError": "core.errors",
}
"""Public name → module that has it; imported at the first use, for some take seconds."""

__all__ = [
    "LLM",
    "AcquisitionCallback",
    "ActiveLearning",
    "Agent",
    "Answer",
    "Augmentation",
    "Batches",
    "Cost",
    "Drafts",
    "LabelStudio",
    "LabelsPending",
    "LinearProbe",
    "MultiLabelClassification",
    "Oracle",
    "Page",
    "Part",
    "PoolDataModule",
    "Question",
    "QuestionAnswering",
    "RelationExtraction",
    "Reward",
    "SentenceClassification",
    "StoppingRule",
    "Strategy",
    "Summarization",
    "Task",
    "TextClassification",
    "TokenClassification",
    "Translation",
    "UserError",
    "__version__",
]


def __getattr__(name: str) -> Any:
    if name not in PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{PUBLIC[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *PUBLIC})
