"""`predict`: texts, labels and probabilities, written to a file."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from lightning.pytorch.callbacks import BasePredictionWriter
from torch import distributed

from lit_react.errors import UserError
from lit_react.files import write_atomically, write_lines


class PredictionWriter(BasePredictionWriter):
    """Writes the predictions of all processes to one file, in the order of the rows.

    Args:
        path: `.jsonl` or `.parquet`; each row has `text`, `label` and `probabilities` (name → share).
    """

    def __init__(self, path: Path = Path("predictions.jsonl")) -> None:
        super().__init__(write_interval="epoch")
        if path.suffix not in {".jsonl", ".parquet"}:
            raise UserError(f"predictions.path: {path} has an unknown format, expected .jsonl or .parquet")
        self.path = path
        self.texts: Sequence[str] = ()  # set before `predict`

    def write_on_epoch_end(
        self, trainer: L.Trainer, pl_module: Any, predictions: Sequence[Any], batch_indices: Sequence[Any]
    ) -> None:
        """Gather, sort by row, write."""
        rows = np.concatenate([batch["row"].cpu().numpy() for batch in predictions])
        probabilities = np.concatenate([batch["probabilities"].cpu().numpy() for batch in predictions])
        if trainer.world_size > 1:
            shares: list[Any] = [None] * trainer.world_size
            distributed.all_gather_object(shares, (rows, probabilities))
            rows, probabilities = (np.concatenate(parts) for parts in zip(*shares, strict=True))
        if not trainer.is_global_zero:
            return
        order = np.argsort(rows)
        names = pl_module.names
        texts = self.texts[:]
        records = [
            {
                "text": texts[int(rows[i])],
                "label": names[int(probabilities[i].argmax())],
                "probabilities": {name: round(float(p), 6) for name, p in zip(names, probabilities[i], strict=True)},
            }
            for i in order
        ]
        self._write(records)
        print(f"{len(records)} predictions: {self.path}")

    def _write(self, records: list[dict[str, Any]]) -> None:
        if self.path.suffix == ".jsonl":
            write_lines(self.path, records)
            return
        buffer = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(records), buffer)
        write_atomically(self.path, buffer.getvalue())
