"""`predict`: texts, labels and probabilities, written to a file."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning as L
import pyarrow as pa
import pyarrow.parquet as pq
from lightning.pytorch.callbacks import BasePredictionWriter
from torch import distributed

from lit_react.core.errors import UserError
from lit_react.core.files import write_atomically, write_lines
from lit_react.core.terminal import plain
from lit_react.run.result import by_row


class PredictionWriter(BasePredictionWriter):
    """Writes the predictions of all processes to one file, in the order of the rows.

    Args:
        path: `.jsonl` or `.parquet`; a row has what the task says, see `Task.prediction`, and what the source has
            under other names (in `.jsonl` as text, where JSON knows no such value).
    """

    def __init__(self, path: Path = Path("predictions.jsonl")) -> None:
        super().__init__(write_interval="epoch")
        if path.suffix not in {".jsonl", ".parquet"}:
            raise UserError(f"predictions.path: {path} has an unknown format, expected .jsonl or .parquet")
        self.path = path
        self.table: Sequence[dict[str, Any]] = ()  # the split, set before `predict`

    def write_on_epoch_end(
        self, trainer: L.Trainer, pl_module: Any, predictions: Sequence[Any], batch_indices: Sequence[Any]
    ) -> None:
        """Gather, sort by row, write."""
        outputs = by_row(predictions)
        if trainer.world_size > 1:
            shares: list[Any] = [None] * trainer.world_size
            distributed.all_gather_object(shares, outputs)
            outputs = {row: output for share in shares for row, output in share.items()}
        if not trainer.is_global_zero:
            return
        records = [self._record(pl_module, outputs[row], self.table[row]) for row in sorted(outputs)]
        self._write(records)
        print(f"{len(records)} predictions: {plain(self.path)}")

    def _record(self, module: Any, output: dict[str, Any], row: dict[str, Any]) -> dict[str, Any]:
        prediction = module.task.prediction(output, row)
        own = {*prediction, "text", "label"}
        return prediction | {name: value for name, value in row.items() if name not in own}

    def _write(self, records: list[dict[str, Any]]) -> None:
        if self.path.suffix == ".jsonl":
            write_lines(self.path, records, default=str)
            return
        buffer = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(records), buffer)
        write_atomically(self.path, buffer.getvalue())
