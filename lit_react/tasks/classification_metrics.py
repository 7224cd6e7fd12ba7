"""Metrics of a multi-class task."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torchmetrics import MetricCollection
from torchmetrics.classification import (
    MulticlassAccuracy,
    MulticlassCalibrationError,
    MulticlassConfusionMatrix,
    MulticlassF1Score,
)


class ClassificationMetrics(nn.Module):
    """Accuracy, macro-F1 and expected calibration error as scalars; per-class F1 and confusion matrix beside them.

    Args:
        names: name of each of the C classes.
    """

    def __init__(self, names: list[str]) -> None:
        super().__init__()
        self.names, num_classes = names, len(names)
        self.scalars = MetricCollection(
            {
                "accuracy": MulticlassAccuracy(num_classes, average="micro"),
                "macro_f1": MulticlassF1Score(num_classes, average="macro"),
                "ece": MulticlassCalibrationError(num_classes, n_bins=15, norm="l1"),
            }
        )
        self.tables = MetricCollection(
            {
                "per_class_f1": MulticlassF1Score(num_classes, average="none"),
                "confusion_matrix": MulticlassConfusionMatrix(num_classes),
            }
        )

    def update(self, probabilities: Tensor, labels: Tensor) -> None:
        """Add a batch: probabilities float32 [b, C], labels int64 [b]."""
        self.scalars.update(probabilities, labels)
        self.tables.update(probabilities, labels)

    def compute(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Scalars by name; per-class F1 by class and the confusion matrix (rows are true classes)."""
        tables = {name: value.tolist() for name, value in self.tables.compute().items()}
        tables["per_class_f1"] = dict(zip(self.names, tables["per_class_f1"], strict=True))
        return self.scalars.compute(), {"labels": self.names, **tables}

    def reset(self) -> None:
        """Forget what was measured."""
        self.scalars.reset()
        self.tables.reset()
