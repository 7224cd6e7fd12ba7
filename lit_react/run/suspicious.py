"""Bought labels that look wrong, for a second look."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lit_react.annotation.answers import Label
from lit_react.annotation.desk import name_of
from lit_react.annotation.label_errors import FEWEST, label_errors, out_of_fold
from lit_react.data.pool import rows_and_classes
from lit_react.data.pool_data import PoolData

COLUMNS = ("id", "text", "label", "likelier", "probability", "probability_of_likelier")


def suspicious_labels(data: PoolData, labels: Mapping[int, Label]) -> list[dict[str, Any]]:
    """The labels of the pool that confident learning takes for wrong, the worst first.

    It reads the embeddings of the pretrained encoder, not the model of a round, which has learned the errors too. None
    where labels are not one class each, or are few.

    Args:
        data: the texts of the run.
        labels: row of the pool → its label.

    Returns:
        dicts of `COLUMNS`; both labels as people read them, both probabilities out of fold.
    """
    if not data.task.labels_are_classes or len(labels) < FEWEST or len(set(labels.values())) < 2:
        return []
    rows, classes = rows_and_classes(labels)
    probabilities = out_of_fold(data.embeddings_of(rows), classes, len(data.class_names or []))
    found = []
    for position, likelier in zip(*label_errors(classes, probabilities), strict=True):
        row, label = int(rows[position]), int(classes[position])
        text, said = data.task.describe(data.row("pool", row), label)
        other = data.task.describe(data.row("pool", row), int(likelier))[1]
        shares = [round(float(probabilities[position, c]), 4) for c in (label, likelier)]
        found.append(dict(zip(COLUMNS, (name_of("pool", row), text, said, other, *shares), strict=True)))
    return found
