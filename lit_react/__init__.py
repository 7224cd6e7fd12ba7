"""Reinforcement-aware active learning on PyTorch Lightning."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lit_react.acquisition.callback import AcquisitionCallback
    from lit_react.acquisition.rewards import Reward
    from lit_react.acquisition.strategies import Strategy
    from lit_react.annotation.costs import Cost
    from lit_react.annotation.oracles import Oracle, Question
    from lit_react.core.errors import LabelsPending, UserError
    from lit_react.data.datamodule import PoolDataModule
    from lit_react.run.active_learning import ActiveLearning
    from lit_react.tasks import TextClassification

__version__ = "0.1.0"

PUBLIC = {
    "ActiveLearning": "run.active_learning",
    "PoolDataModule": "data.datamodule",
    "AcquisitionCallback": "acquisition.callback",
    "TextClassification": "tasks",
    "Strategy": "acquisition.strategies",
    "Reward": "acquisition.rewards",
    "Oracle": "annotation.oracles",
    "Question": "annotation.oracles",
    "Cost": "annotation.costs",
    "LabelsPending": "core.errors",
    "UserError": "core.errors",
}
"""Public name → module that has it; imported at the first use, for some take seconds."""

__all__ = [
    "AcquisitionCallback",
    "ActiveLearning",
    "Cost",
    "LabelsPending",
    "Oracle",
    "PoolDataModule",
    "Question",
    "Reward",
    "Strategy",
    "TextClassification",
    "UserError",
]


def __getattr__(name: str) -> Any:
    if name not in PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{PUBLIC[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *PUBLIC})
