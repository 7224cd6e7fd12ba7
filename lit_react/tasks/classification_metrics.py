"""Metrics of a multi-class task."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torchmetrics import MetricCollection
from torchmetrics.classification import (
    MulticlassAccuracy,
    MulticlassCalibrationError,
    MulticlassConfusionMatrix,
    MulticlassF1Score,
)


class ClassificationMetrics(MetricCollection):
    """Accuracy, macro-F1 and expected calibration error as scalars; per-class F1 and confusion matrix beside them.

    It is updated with probabilities float32 [b, C] and labels int64 [b].

    Args:
        names: name of each of the C classes.
    """

    def __init__(self, names: list[str]) -> None:
        count = len(names)
        super().__init__(
            {
                "accuracy": MulticlassAccuracy(count, average="micro"),
                "macro_f1": MulticlassF1Score(count, average="macro"),
                "ece": MulticlassCalibrationError(count, n_bins=15, norm="l1"),
                "per_class_f1": MulticlassF1Score(count, average="none"),
                "confusion_matrix": MulticlassConfusionMatrix(count),
            }
        )
        self.names = names

    def compute(self) -> tuple[dict[str, Tensor], dict[str, Any]]:  # type: ignore[override]
        """Scalars by name; per-class F1 by class and the confusion matrix (rows are true classes)."""
        scalars = super().compute()
        per_class, matrix = scalars.pop("per_class_f1").tolist(), scalars.pop("confusion_matrix").tolist()
        tables = {"per_class_f1": dict(zip(self.names, per_class, strict=True)), "confusion_matrix": matrix}
        return scalars, {"labels": self.names, **tables}
