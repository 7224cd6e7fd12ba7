"""What a run has brought, read from its folder."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor

from lit_react.annotation.agreement import Agreement, agreement
from lit_react.annotation.answers import Aggregate, Label, majority
from lit_react.annotation.ledger import DRAFT
from lit_react.annotation.new_classes import found_classes
from lit_react.core.errors import UserError
from lit_react.data.memory import as_split
from lit_react.data.pool import in_order
from lit_react.data.pool_data import PoolData
from lit_react.run.bought import Said, bought_labels, given_answers
from lit_react.run.folder import RunFolder
from lit_react.run.isolation import isolated
from lit_react.run.state import RunState
from lit_react.run.suspicious import COLUMNS, suspicious_labels
from lit_react.run.trainers import new_trainer
from lit_react.tasks.base import TaskModule


@dataclass(frozen=True, repr=False)
class RunResult:
    """Rounds, labels and predictions of a run, as its folder has them at the time of asking.

    Attributes:
        folder: of the run.
        data: the texts of the run.
        text_column: of the source; None: the task's.
        model: the recipe, without weights.
        trainer: options of the Trainer that predicts.
        aggregate: which label follows from several answers.
    """

    folder: RunFolder
    data: PoolData
    text_column: str | None
    model: TaskModule
    trainer: Mapping[str, Any]
    aggregate: Aggregate = majority

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.folder.path)!r}, {len(self.state.rounds)} rounds: {self.stopped})"

    @property
    def state(self) -> RunState:
        """The saved state."""
        return RunState.load(self.folder.path)

    @property
    def stopped(self) -> str | None:
        """Why the run ended; None while it goes on."""
        return self.state.stopped

    @property
    def rounds(self) -> pd.DataFrame:
        """A row a round.

        Columns: `round`; `labels` (of the pool) and `validation` (labels); `cost` of all labels so far, in cost units;
        metrics in [0, 1] by their logged names (`val/accuracy`, `test/accuracy`, …); `reward` of the purchase before
        the round, in units of the metric (NaN in the first); `strategy` that the next purchase came from; `seconds`
        of the whole round.
        """
        return pd.DataFrame(
            [
                {
                    "round": entry["round"],
                    "labels": entry["labeled"],
                    "validation": entry["validation"],
                    "cost": entry["cost"],
                    **entry["metrics"],
                    "reward": float("nan") if entry["reward"] is None else entry["reward"],
                    "strategy": entry["q"].get("proposal"),
                    "seconds": round(sum(entry["seconds"].values()), 3),
                }
                for entry in self.state.rounds
            ]
        )

    @property
    def _said(self) -> Said:
        return Said.read(self.folder.ledger, self.data)

    def labels(self) -> pd.DataFrame:
        """Every text that has an answer, in the order of asking.

        Columns: `id`; `text`; `label` (as people read it; none where all skipped it); those of the source that the task
        does not read (`source.NAME` where another column has the name); `annotators` whose answers hold; `answers`,
        how many have a label; `agreement`, the share of these that gave `label`; `confidence`, the mean of theirs;
        `note`; `seconds` and `cost` (in cost units) of all answers, corrections too; `round` whose fit was the first to
        learn it; `split` (`pool` or `validation`); `strategy` that chose it. Numbers are NaN where they are unknown.
        """
        return bought_labels(self._said, self.data, self.aggregate)

    def answers(self) -> pd.DataFrame:
        """Every answer that was ever given, in the order they came.

        Columns: as those of `labels`, but of the one answer; `holds`, whether it is the last of its annotator and was
        not taken back; `undo`, whether it takes back the one before; `at`, when it came (ISO 8601, UTC).
        """
        return given_answers(self._said, self.data)

    def agreement(self) -> pd.DataFrame:
        """How far annotators agree where several labeled a text: all together, then each two.

        Columns: those of `Agreement`; `annotators` is one string.
        """
        found = [{**asdict(each), "annotators": ", ".join(each.annotators)} for each in agreement(self._said.standing)]
        return pd.DataFrame(found, columns=[field.name for field in fields(Agreement)])

    def new_classes(self) -> dict[str, int]:
        """The names that annotators gave texts of no class of the run (notes `new class: …`), and of how many."""
        return found_classes(self._said.standing)

    def suspicious(self) -> pd.DataFrame:
        """Labels of the pool that look wrong, the worst first, for a second look; see `suspicious_labels`.

        Columns: `id`, `text`, `label`, the `likelier` label, and what a classifier that has not seen the label gives
        both, `probability` and `probability_of_likelier`. `answer` takes what the second look brings.
        """
        return pd.DataFrame(suspicious_labels(self.data, self.pool_labels()), columns=list(COLUMNS))

    def pool_labels(self) -> dict[int, Label]:
        """Row of the pool → the label that was bought for it; drafts that nobody went over are left out."""
        bought = {where for where, query in self._said.asked.items() if where[0] == "pool" and query.policy != DRAFT}
        labels = self.aggregate(self._said.standing)
        return {row: label for (split, row), label in labels.items() if (split, row) in bought}

    def predict(self, texts: Sequence[str] | pd.DataFrame) -> list[dict[str, Any]]:
        """What the run's model says of texts, as the command `predict` writes it.

        Args:
            texts: strings; or a frame with the columns that the task reads, of which the first is its text column.

        Returns:
            one dictionary a text, in their order: for classes `text`, `label` and `probabilities` (name → share).

        Raises:
            UserError: no round has ended yet.
        """
        if not self.folder.model.exists():
            raise UserError(f"{self.folder.model}: no such model; no round of this run has ended")
        column = self.text_column or self.model.task.text_column
        frame = texts if isinstance(texts, pd.DataFrame) else pd.DataFrame({column: list(texts)})
        if not len(frame):
            return []
        with isolated():
            module = self.model.fresh()
            module.restore(self.folder.model)
            rows = module.task.read({"pool": as_split(frame, "texts")}, column, "").pool
            table = module.task.encode(rows)
            trainer = new_trainer({**self.trainer, "callbacks": None, "devices": 1, "num_nodes": 1, "strategy": "auto"})
            batches = trainer.predict(module, in_order(table, np.arange(len(table)), None, self.data.eval_batch_size))
        outputs = by_row(batches or [])
        return [module.task.prediction(outputs[row], rows[row]) for row in range(len(rows))]


def by_row(batches: Iterable[Any]) -> dict[int, dict[str, Any]]:
    """Each row's part of what `predict_step` returned for some batches; tensors become NumPy arrays."""
    outputs: dict[int, dict[str, Any]] = {}
    for batch in batches:
        columns = {name: v.cpu().numpy() if isinstance(v, Tensor) else v for name, v in batch.items() if name != "row"}
        for i, row in enumerate(batch["row"].tolist()):
            outputs[row] = {name: values[i] for name, values in columns.items()}
    return outputs
