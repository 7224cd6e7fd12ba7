"""A run's model that reads rows as they come, and says of which it would rather not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import lightning as L
import numpy as np
import pandas as pd
import torch
from lightning.fabric.utilities import move_data_to_device
from numpy.typing import NDArray

from lit_react.annotation.label_errors import Fit
from lit_react.applications.abstention import FEWEST, Confidence, Scope
from lit_react.core.errors import UserError
from lit_react.core.logistic_regression import LinearClassifier
from lit_react.core.precision import fast_precision
from lit_react.data.encoding import kept_by_nobody
from lit_react.data.memory import as_split
from lit_react.data.pool import Rows, in_order, rows_and_classes
from lit_react.data.pool_data import PoolData
from lit_react.data.task import Task
from lit_react.run.result import RunResult, by_row
from lit_react.tasks.starting_classifier import Known, classifier_from_names

Row = dict[str, Any]


@dataclass(frozen=True)
class Abstention:
    """When a served model abstains; a part that is None never does."""

    confidence: Confidence | None
    scope: Scope | None

    @classmethod
    def of_run(cls, result: RunResult, precision: float) -> Abstention:
        """By the bought labels of a run's pool; `precision` 0: confidence is not looked at."""
        labels = result.pool_labels()
        rows = np.sort(np.fromiter(labels, dtype=np.int64, count=len(labels)))
        embeddings = result.data.embeddings_of(rows) if len(rows) >= FEWEST else np.zeros((0, 1), dtype=np.float32)
        confidence = None
        if precision and len(embeddings) and result.data.task.labels_are_classes:
            classes = rows_and_classes(labels)[1]
            classes_there = len(result.data.class_names or [])
            fit = second_reader(result.data, rows)
            confidence = Confidence.fitted(embeddings, classes, classes_there, fit, precision)
        return cls(confidence, Scope.of_rows(embeddings))

    def described(self, precision: float) -> list[str]:
        """A line for each part."""
        sure, scope = self.confidence, self.scope
        if sure is None:
            wants = f"it needs {FEWEST} bought labels of two classes, one class each"
            lines = [f"never unsure: {'--precision is 0' if not precision else wants}"]
        elif np.isinf(sure.threshold):
            lines = [f"always unsure: no threshold has precision {precision:g} on the bought labels, give a lower one"]
        else:
            lines = [
                f"unsure below {sure.threshold:.3f}: precision {sure.precision:.3f} at coverage {sure.coverage:.3f} of "
                f"held-out labels, calibration error {sure.error:.3f} ({sure.raw_error:.3f} before scaling)"
            ]
        told = (
            f"out of scope below cosine {scope.threshold:.3f}"
            if scope
            else f"never out of scope: below {FEWEST} labels"
        )
        return [*lines, told]


def second_reader(data: PoolData, labeled: Rows) -> Fit:
    """How a classifier is fitted to bought labels: with the names of the classes and the pool where they say something.

    `labeled` are the rows of the pool, int64 [n], whose labels were bought.
    """
    names, count = data.name_embeddings, len(data.class_names or [])
    others = np.setdiff1d(data.sample, labeled) if names is not None else labeled[:0]
    unlabeled = data.embeddings_of(others)

    def fit(embeddings: NDArray[np.float32], labels: Rows) -> LinearClassifier:
        return classifier_from_names(Known(embeddings, labels, unlabeled, names, count), seed=0)[0]

    return fit


class Reader:
    """The exported model of a run in memory, and what it abstains by.

    Args:
        result: of the run.
        abstention: of the run.
        accelerator: of Lightning: `auto`, `cpu`, `gpu`.

    Raises:
        UserError: no round has ended yet.
    """

    def __init__(self, result: RunResult, abstention: Abstention, accelerator: str = "auto") -> None:
        if not result.folder.model.exists():
            raise UserError(f"{result.folder.model}: no such model; no round of this run has ended")
        self.fabric = L.Fabric(accelerator=accelerator, devices=1, precision=fast_precision(accelerator))  # type: ignore[arg-type]
        self.module = result.model.fresh()
        self.module.restore(result.folder.model)
        self.module.configure_model()
        self.module.task = self.module.task.keeping_encoder()
        self.module.eval().to(self.fabric.device)
        self.column = result.text_column or self.module.task.text_column
        self.task, self.abstention = result.data.task.keeping_encoder(), abstention

    def answers(self, rows: Sequence[Row]) -> list[Row | UserError]:
        """What `predict` writes of each row, and why it abstains; or what is wrong with the row, in one line.

        Beside the words of `Task.prediction` there are `abstains` (None, `unsure` or `out of scope`), `confidence` (of
        the label, calibrated) and `similarity` (cosine to the nearest bought row), the last two None where unknown.

        Args:
            rows: with the columns that the task reads, as a file for `predict` has them.
        """
        try:
            with kept_by_nobody(), torch.inference_mode():
                return list(self._answers(rows))
        except (UserError, ValueError) as error:
            if len(rows) == 1:
                return [UserError(" ".join(str(error).split()))]
            return [answer for row in rows for answer in self.answers([row])]

    def _answers(self, rows: Sequence[Row]) -> list[Row]:
        task = self.module.task
        read = task.read({"pool": as_split(pd.DataFrame(list(rows)), "the request")}, self.column, "").pool
        table = task.encode(read)
        found = []
        for batch in in_order(table, np.arange(len(table)), None, len(rows)):
            with self.fabric.autocast():
                found.append(self.module.predict_step(move_data_to_device(batch, self.fabric.device), 0))
        outputs = by_row(found)
        predictions = [task.prediction(outputs[row], read[row]) for row in range(len(read))]
        if self.abstention.scope is None:
            return [{**said, "abstains": None, "confidence": None, "similarity": None} for said in predictions]
        embeddings = np.asarray(self.task.embed(read))
        return [
            {**said, **self._doubt(said, embedding, float(similarity))}
            for said, embedding, similarity in zip(
                predictions, embeddings, self.abstention.scope.similarity(embeddings), strict=True
            )
        ]

    def _doubt(self, said: Row, embedding: Any, similarity: float) -> Row:
        scope, sure = self.abstention.scope, self.abstention.confidence
        assert scope is not None, "there are bought rows"
        confidence = None if sure is None else sure.of(self.module.names.index(said["label"]), embedding)
        why = None
        if similarity < scope.threshold:
            why = "out of scope"
        elif sure is not None and confidence is not None and confidence < sure.threshold:
            why = "unsure"
        rounded = None if confidence is None else round(confidence, 6)
        return {"abstains": why, "confidence": rounded, "similarity": round(similarity, 6)}


def columns_of(task: Task, column: str) -> dict[str, Any]:
    """What a request has: the text column (`list`: of words), and what else the task reads."""
    words = task.text_column == "tokens" and "tokens" in task.inputs
    others = [name for name in task.inputs[1:] if name != "tokens"]
    return {column: list if words else str} | dict.fromkeys(others, str)
