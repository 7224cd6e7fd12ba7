"""The file of `predict`, written part by part."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from tiny import QUIET

from lit_react.core.errors import UserError
from lit_react.data import datamodule, tables
from lit_react.data.datamodule import PoolDataModule
from lit_react.run.prediction import PredictionFile
from lit_react.run.trainers import new_trainer
from lit_react.tasks import LinearProbe

TEXTS = ["shares fell", "the match", "a film about shares and a match", "votes", "the film"]


@pytest.fixture(scope="module")
def probe(tiny_bert: str) -> LinearProbe:
    module = LinearProbe(tiny_bert, max_length=8)
    module.task = module.task.named(["business", "sport", "film"])
    module.configure_model()
    torch.nn.init.normal_(module.head.weight, generator=torch.Generator().manual_seed(0))
    return module


def predicted(probe: LinearProbe, rows: list[dict] | str, path: Path) -> list[dict]:
    """What is written of some rows, or of lines of JSON."""
    source = path.with_name("new.jsonl")
    source.write_text(rows if isinstance(rows, str) else "".join(json.dumps(row) + "\n" for row in rows))
    data = PoolDataModule(predict=str(source))
    data.connect(probe.task)
    PredictionFile(path).write(new_trainer(QUIET), probe, data)
    if path.suffix == ".parquet":
        return pq.read_table(path).to_pylist()
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_parts_make_the_same_file_as_one(probe, tmp_path, monkeypatch, suffix):
    rows = [{"text": text, "id": number, "note": None if number < 4 else "last"} for number, text in enumerate(TEXTS)]
    whole = predicted(probe, rows, tmp_path / f"whole{suffix}")
    monkeypatch.setattr(tables, "BATCH", 2)
    assert predicted(probe, rows, tmp_path / f"parts{suffix}") == whole
    assert [(row["text"], row["id"], row["note"]) for row in whole] == [tuple(row.values()) for row in rows]
    assert {row["label"] for row in whole} <= {"business", "sport", "film"}


def test_the_pool_is_predicted_where_no_file_is_named(probe, tmp_path, monkeypatch, news_csv):
    data = PoolDataModule(str(news_csv), test_size=100)
    data.connect(probe.task)
    for part in (10_000, 30):
        monkeypatch.setattr(datamodule, "BATCH", part)
        PredictionFile(tmp_path / f"{part}.jsonl").write(new_trainer(QUIET), probe, data)
    lines = (tmp_path / "30.jsonl").read_text()
    assert lines == (tmp_path / "10000.jsonl").read_text()
    assert [json.loads(line)["text"] for line in lines.splitlines()] == data.fixed.splits.pool["text"][:]


def test_a_wrong_row_behind_the_first_part_leaves_the_old_file_and_nothing_else(probe, tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "BATCH", 2)
    path = tmp_path / "predictions.jsonl"
    path.write_text("old")
    with pytest.raises(UserError, match=r"new\.jsonl:5: not a JSON object"):
        predicted(probe, '{"text": "a"}\n' * 4 + "{broken\n", path)
    assert path.read_text() == "old"
    assert {file.name for file in tmp_path.iterdir()} == {"new.jsonl", "predictions.jsonl"}


def test_columns_of_several_types_need_lines(probe, tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "BATCH", 2)
    rows = [{"text": "a", "n": 1}, {"text": "b", "n": 2}, {"text": "c", "n": "three"}]
    with pytest.raises(UserError, match=r"predictions\.path: .*n.*; expected one type in a column, or a \.jsonl file"):
        predicted(probe, rows, tmp_path / "predictions.parquet")
    assert [row["n"] for row in predicted(probe, rows, tmp_path / "predictions.jsonl")] == [1, 2, "three"]


def test_numbers_with_and_without_a_point_share_a_column(probe, tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "BATCH", 1)
    predicted(probe, [{"text": "a", "n": 1}, {"text": "b", "n": 2.5}], tmp_path / "predictions.parquet")
    assert pq.read_table(tmp_path / "predictions.parquet")["n"].to_pylist() == [1.0, 2.5]
    assert pq.read_schema(tmp_path / "predictions.parquet").field("n").type == pa.float64()


def test_values_are_as_they_were_whatever_others_their_part_has(probe, tmp_path):
    rows = [{"text": "a", "id": 1, "meta": {}}, {"text": "b", "id": "two\ud800", "meta": {}}]
    found = predicted(probe, rows, tmp_path / "predictions.jsonl")
    assert [(row["id"], row["meta"]) for row in found] == [(1, {}), ("two\ud800", {})]


@pytest.mark.parametrize("value", [{}, 2**70, "\ud800"])
def test_what_parquet_cannot_hold_is_told_in_one_line(probe, tmp_path, value):
    with pytest.raises(UserError, match=r"predictions\.path: .*a \.jsonl file"):
        predicted(probe, [{"text": "a", "meta": value}], tmp_path / "predictions.parquet")
    assert not (tmp_path / "predictions.parquet").exists()
