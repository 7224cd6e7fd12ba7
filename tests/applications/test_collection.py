"""The file of texts that a served model did not answer."""

import json
import multiprocessing
from pathlib import Path

import pytest

from lit_react.applications.collection import Collection
from lit_react.core.errors import UserError
from lit_react.data.datamodule import PoolDataModule
from lit_react.tasks.text_classification import ClassificationTask


def texts(path: Path) -> list[str]:
    return [json.loads(line)["text"] for line in path.read_text().splitlines()]


def add_all(path: Path, numbers: range) -> None:
    collection = Collection(path)
    for number in numbers:
        collection.add([{"text": f"text {number}"}])


def test_a_text_is_there_once_whoever_adds_it_and_whenever(tmp_path: Path) -> None:
    one, other = Collection(tmp_path / "pool.jsonl"), Collection(tmp_path / "pool.jsonl")
    one.add([{"text": "a"}, {"text": "a"}, {"text": "b"}])
    other.add([{"text": "b"}, {"text": "c\n"}])
    one.add([{"text": "c\n"}])
    Collection(tmp_path / "pool.jsonl").add([{"text": "a"}])
    assert texts(tmp_path / "pool.jsonl") == ["a", "b", "c\n"]


def test_processes_share_a_file(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    shares = [context.Process(target=add_all, args=(tmp_path / "pool.jsonl", range(n, n + 30))) for n in (0, 10, 20)]
    for share in shares:
        share.start()
    for share in shares:
        share.join()
    assert sorted(texts(tmp_path / "pool.jsonl")) == sorted(f"text {number}" for number in range(50))


def test_it_is_bounded_and_mends_a_line_that_was_cut_off(tmp_path: Path) -> None:
    (tmp_path / "pool.jsonl").write_text('{"text": "a"}\n{"text": "to')
    collection = Collection(tmp_path / "pool.jsonl", most=2)
    collection.add([{"text": "b"}, {"text": "c"}])
    assert texts(tmp_path / "pool.jsonl") == ["a", "b"]


def test_a_file_of_others_keeps_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "pool.jsonl"
    path.write_text('{"text": "a"}\n{"text": "b"}')  # no end of line after the last
    Collection(path).add([{"text": "b"}, {"text": "c"}])
    assert texts(path) == ["a", "b", "c"]
    path.write_text('[{"text": "a"}, {"text": "b"')
    with pytest.raises(UserError, match="ends in no JSON line: expected JSON lines, or no file"):
        Collection(path)
    assert path.read_text() == '[{"text": "a"}, {"text": "b"'


def test_rows_are_answered_where_the_file_cannot_be_written_any_more(tmp_path: Path, caplog) -> None:
    collection = Collection(tmp_path / "folder" / "pool.jsonl")
    (tmp_path / "folder" / "pool.jsonl").unlink()
    (tmp_path / "folder").rmdir()
    collection.try_to_add([])
    for _ in range(2):
        collection.try_to_add([{"text": "a"}])
    assert caplog.text.count("cannot be written, rows are lost") == 1


def test_a_file_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"collect: .*pool.jsonl cannot be written: Not a directory|File exists"):
        Collection(tmp_path / "file" / "pool.jsonl")


def test_what_was_collected_is_a_pool_again(tmp_path: Path) -> None:
    Collection(tmp_path / "pool.jsonl").add([{"text": 'a "quoted", <b>text</b>\n'}, {"text": "你好"}])
    data = PoolDataModule(str(tmp_path / "pool.jsonl"), label_names=["no", "yes"])
    pool = data.prepare(ClassificationTask()).splits.pool
    assert pool["text"][:] == ['a "quoted", <b>text</b>\n', "你好"]
    assert pool["label"][:] == [None, None]
