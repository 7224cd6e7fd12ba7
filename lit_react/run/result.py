"""What a run has brought, read from its folder."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor

from lit_react.annotation.answers import Aggregate, majority
from lit_react.annotation.desk import name_of
from lit_react.annotation.ledger import Ledger
from lit_react.core.errors import UserError
from lit_react.data.memory import as_split
from lit_react.data.pool import in_order
from lit_react.data.pool_data import PoolData
from lit_react.run.folder import RunFolder
from lit_react.run.isolation import isolated
from lit_react.run.state import RunState
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

    def labels(self) -> pd.DataFrame:
        """Every label that was bought, in the order of asking.

        Columns: `id`, `text`, `label` (as people read it), `annotator`, `round` whose fit was the first to learn it,
        `cost` in cost units, `split` (`pool` or `validation`), `strategy` that chose it.
        """
        columns = ["id", "text", "label", "annotator", "round", "cost", "split", "strategy"]
        if not self.folder.ledger.exists():
            return pd.DataFrame(columns=columns)
        with Ledger(self.folder.ledger, budget=0, fingerprint=self.data.fingerprint, read_only=True) as ledger:
            answered = [entry for entry in ledger.purchases(self.aggregate) if entry["label"] is not None]
        rows = []
        for entry in answered:
            row = self.data.row(entry["split"], entry["row"])
            text, label = self.data.task.describe(row, entry["label"])
            named = {name: entry[name] for name in ("annotator", "round", "cost", "split")}
            rows.append(
                {
                    "id": name_of(entry["split"], entry["row"]),
                    "text": text,
                    "label": label,
                    **named,
                    "strategy": entry["policy"],
                }
            )
        return pd.DataFrame(rows, columns=columns)

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
            trainer = new_trainer({**self.trainer, "callbacks": None, "devices": 1, "strategy": "auto"})
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
