"""`predict`: texts, labels and probabilities, written to a file part by part."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import lightning as L
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from torch import distributed

from lit_react.core.errors import UserError
from lit_react.core.files import put_in_place
from lit_react.core.terminal import plain
from lit_react.data.columns import first_line
from lit_react.data.datamodule import PoolDataModule
from lit_react.data.pool import in_order
from lit_react.run.result import by_row
from lit_react.tasks.base import TaskModule

Records = list[dict[str, Any]]
"""Some rows, each as the file has it."""


class PredictionFile:
    """The file of the predictions.

    Args:
        path: `.jsonl` or `.parquet`; a row has what the task says, see `Task.prediction`, and what the source has
            under other names (in `.jsonl` as text, where JSON knows no such value).
    """

    def __init__(self, path: Path = Path("predictions.jsonl")) -> None:
        if path.suffix not in FORMATS:
            raise UserError(f"predictions.path: {path} has an unknown format, expected .jsonl or .parquet")
        self.path = path

    def write(
        self, trainer: L.Trainer, module: TaskModule, data: PoolDataModule, checkpoint: str | None = None
    ) -> None:
        """Write what a module says of all rows that `predict` reads, in their order; one part is in memory at once.

        Every process predicts its share, the first one writes; the file is there once it is whole. A `checkpoint` has
        other weights than the module.

        Raises:
            UserError: rows are wrong, in one line; or values of a column have no common type, for `.parquet`.
        """
        parts = predictions(trainer, module, data, checkpoint)
        if not trainer.is_global_zero:
            for _ in parts:
                pass
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        partial = self.path.with_name(f".{self.path.name}.partial")
        try:
            count = FORMATS[self.path.suffix](partial, parts)
            put_in_place(partial, self.path)
        finally:
            partial.unlink(missing_ok=True)
        print(f"{count} predictions: {plain(self.path)}")


def predictions(
    trainer: L.Trainer, module: TaskModule, data: PoolDataModule, checkpoint: str | None = None
) -> Iterator[Records]:
    """Records of each part of the data; every process gets all of them."""
    for part, table, rows in data.predict_parts():
        processes = {"rank": trainer.global_rank, "world_size": trainer.world_size}
        one_each = np.resize(rows, max(len(rows), trainer.world_size))  # a process without rows would end the others
        loader = in_order(table, one_each, None, data.eval_batch_size, **processes)
        outputs = by_row(trainer.predict(module, loader, ckpt_path=checkpoint) or [])
        checkpoint = None  # the module has its weights now
        if trainer.world_size > 1:
            shares: list[Any] = [None] * trainer.world_size
            distributed.all_gather_object(shares, outputs)
            outputs = {row: output for share in shares for row, output in share.items()}
        yield [_record(module, outputs[row], own) for row, own in zip(rows.tolist(), part, strict=True)]


def _record(module: TaskModule, output: dict[str, Any], row: dict[str, Any]) -> dict[str, Any]:
    prediction = module.task.prediction(output, row)
    own = {*prediction, "text", "label"}
    return prediction | {name: value for name, value in row.items() if name not in own}


def _write_lines(path: Path, parts: Iterator[Records]) -> int:
    """JSON lines; how many. Half a character (a lone surrogate) stays what it was, escaped."""
    count = 0
    with path.open("w", encoding="utf-8", errors="backslashreplace") as file:
        for records in parts:
            file.writelines(json.dumps(record, ensure_ascii=False, default=str) + "\n" for record in records)
            count += len(records)
    return count


def _write_parquet(path: Path, parts: Iterator[Records]) -> int:
    """One table of the columns that any part has, of types that hold those of all parts; its rows."""
    with TemporaryDirectory(prefix=f"{path.name}-", dir=path.parent) as folder:
        files: list[Path] = []
        schema, count = pa.schema([]), 0
        try:
            for records in parts:
                files.append(Path(folder) / str(len(files)))
                table = pa.Table.from_pylist(records)
                schema = pa.unify_schemas([schema, table.schema], promote_options="permissive")
                pq.write_table(table, files[-1])
                count += len(records)
            with pq.ParquetWriter(path, schema) as writer:
                for file in files:
                    writer.write_table(pq.read_table(file, schema=schema))
        except (pa.ArrowException, OverflowError, UnicodeEncodeError) as error:
            reason = f"{first_line(error)}; expected one type in a column, or a .jsonl file"
            raise UserError(f"predictions.path: {reason}") from error
        return count


FORMATS = {".jsonl": _write_lines, ".parquet": _write_parquet}
"""Suffix → writes the parts to a file."""
