"""Splits that are several files, and files that are read a few rows at a time."""

import gzip
from itertools import chain
from pathlib import Path

import pytest
from source_files import ROWS, error, write
from tiny import load_source

from lit_react.core.errors import UserError
from lit_react.data import files, tables
from lit_react.data.sources import load_pool, pool_batches


def shards(folder: Path, suffix: str, names: list[str]) -> str:
    """A folder with a file for each name, packed where the suffix says so; each has one row of `ROWS`."""
    for row, name in enumerate(names):
        columns = {column: values[row : row + 1] for column, values in ROWS.items()}
        path = Path(write(folder / f"{name}{suffix.removesuffix('.gz')}", columns))
        if suffix.endswith(".gz"):
            path.with_name(path.name + ".gz").write_bytes(gzip.compress(path.read_bytes()))
            path.unlink()
    return str(folder)


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl.gz", ".csv.gz", ".tsv"])
@pytest.mark.parametrize("pattern", ["part-{:05}-1f2e-c000", "{}", "train-{:05}-of-00003"])
def test_a_folder_of_shards_is_one_pool_in_the_order_of_their_names(tmp_path, suffix, pattern):
    source = shards(tmp_path / "pool", suffix, [pattern.format(number) for number in range(3)])
    assert load_source(source).pool["text"][:] == ROWS["text"]
    streamed = chain.from_iterable(part.texts("text").to_pylist() for part in pool_batches(source))
    assert list(streamed) == ROWS["text"]


def test_shards_of_several_splits_stand_side_by_side(tmp_path):
    for split in ("train", "test"):
        shards(tmp_path, ".parquet", [f"{split}-{number:05}-of-00002" for number in range(2)])
    source = load_source(str(tmp_path))
    assert (len(source.pool), len(source.test)) == (2, 2)


def test_a_column_that_some_shards_lack_is_null_there_and_empty_shards_are_nothing(tmp_path):
    write(tmp_path / "1.jsonl", {"text": ["one"], "label": ["a"]})
    write(tmp_path / "2.jsonl", text="")
    write(tmp_path / "3.jsonl", {"text": ["three"], "note": [3]})
    pool = load_source(str(tmp_path)).pool
    assert (pool["text"][:], pool["label"][:], pool["note"][:]) == (["one", "three"], [0, None], [None, 3])


def test_a_column_of_several_types_that_other_shards_lack_is_let_be(tmp_path):
    write(tmp_path / "1.jsonl", {"text": ["one"]})
    write(tmp_path / "2.jsonl", text='{"text": "two", "note": 1}\n{"text": "three", "note": "a"}\n')
    write(tmp_path / "3.jsonl", {"text": ["four"]})
    assert load_source(str(tmp_path)).pool["text"][:] == ["one", "two", "three", "four"]


def test_shards_that_are_missing_are_told(tmp_path, caplog):
    source = shards(tmp_path, ".csv.gz", ["train-00000-of-00003", "train-00002-of-00003"])
    assert len(load_source(source).pool) == 2
    assert "2 of the 3 shards of train are there" in caplog.text


@pytest.mark.parametrize(
    ("second", "message"),
    [
        ('{"text": "three", "label": [1]}\n', "2.jsonl: other columns than in "),
        ('{"text": "three", "label": 1}\n{"text": "four", "label": "a"}\n', "2.jsonl: other columns than in "),
        ('{"text": "three"}\n{"text": null}\n', "2.jsonl:2: no text"),
        ('{"text": "three"}\n{broken\n', "2.jsonl:2: not a JSON object"),
    ],
)
def test_a_shard_that_is_wrong_is_named(tmp_path, second, message):
    write(tmp_path / "1.jsonl", {"text": ["one", "two"], "label": ["a", "b"]})
    write(tmp_path / "2.jsonl", text=second)
    assert message in error(str(tmp_path))


def test_files_of_several_names_are_no_shards(tmp_path):
    for name in ("spam.csv", "ham.csv"):
        write(tmp_path / name)
    assert "no train file: expected train.csv" in error(str(tmp_path))
    assert "or files whose names differ in numbers only" in error(str(tmp_path))


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".parquet"])
def test_a_file_read_in_batches_has_the_rows_of_the_file_and_knows_their_places(tmp_path, monkeypatch, suffix):
    for module in (tables, files):
        monkeypatch.setattr(module, "BATCH", 2)
    path = write(tmp_path / f"texts{suffix}", {"text": list("abcde"), "n": list(range(5))})
    whole, _ = load_pool(path)
    parts = list(pool_batches(path))
    assert [part.table.num_rows for part in parts] == [2, 2, 1]
    assert [row for part in parts for row in part.table.to_pylist()] == whole.table.to_pylist()
    assert [part.where(row) for part in parts for row in range(part.table.num_rows)] == [
        whole.where(row) for row in range(5)
    ]


def test_batches_are_read_as_they_are_asked_for(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "BATCH", 2)
    parts = pool_batches(write(tmp_path / "texts.jsonl", text='{"text": "a"}\n' * 5 + "{broken\n"))
    assert [next(parts).table.num_rows for _ in range(2)] == [2, 2]
    with pytest.raises(UserError, match=r"texts\.jsonl:6: not a JSON object"):
        next(parts)


@pytest.mark.parametrize(("name", "text"), [("t.csv", "text\n"), ("t.jsonl", ""), ("t.csv", "")])
def test_a_file_without_rows_is_refused_in_batches_too(tmp_path, name, text):
    with pytest.raises(UserError, match=r"t\.(csv|jsonl): empty: expected at least one row"):
        list(pool_batches(write(tmp_path / name, text=text)))
