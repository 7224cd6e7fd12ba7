"""Metrics of tasks with classes."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torchmetrics import Metric, MetricCollection
from torchmetrics.classification import (
    MulticlassAccuracy,
    MulticlassCalibrationError,
    MulticlassConfusionMatrix,
    MulticlassF1Score,
)


class NamedMetrics(MetricCollection):
    """Metrics of C classes: scalars, and beside them what has a value for each class.

    Args:
        metrics: by name.
        names: of the classes.
    """

    def __init__(self, metrics: dict[str, Metric], names: list[str]) -> None:
        super().__init__(metrics)  # type: ignore[arg-type]
        self.names = names

    def compute(self) -> tuple[dict[str, Tensor], dict[str, Any]]:  # type: ignore[override]
        """Scalars by name; `labels`, a dictionary by class for each vector, lists for each matrix."""
        found = super().compute()
        scalars = {name: value for name, value in found.items() if value.ndim == 0}
        tables = {
            name: dict(zip(self.names, value.tolist(), strict=True)) if value.ndim == 1 else value.tolist()
            for name, value in found.items()
            if value.ndim
        }
        return scalars, {"labels": self.names, **tables}


class ClassificationMetrics(NamedMetrics):
    """Accuracy, macro-F1 and expected calibration error; per-class F1 and confusion matrix (rows are true classes).

    It is updated with probabilities float32 [b, C] and labels int64 [b].
    """

    def __init__(self, names: list[str]) -> None:
        count = len(names)
        metrics: dict[str, Metric] = {
            "accuracy": MulticlassAccuracy(count, average="micro"),
            "macro_f1": MulticlassF1Score(count, average="macro"),
            "ece": MulticlassCalibrationError(count, n_bins=15, norm="l1"),
            "per_class_f1": MulticlassF1Score(count, average="none"),
            "confusion_matrix": MulticlassConfusionMatrix(count),
        }
        super().__init__(metrics, names)
