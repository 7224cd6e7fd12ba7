"""Columns: those that nobody names stop nothing, and the types in which other programs write strings."""

import datetime
import decimal
import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from source_files import ROWS, error, write
from tiny import load_source

from lit_react.core.errors import UserError
from lit_react.data.classes import number_classes
from lit_react.data.memory import as_split
from lit_react.data.tables import Split

STRINGS = pa.array(["b", "a", "b"])
OTHERS = {
    "views": STRINGS.cast(pa.string_view()),
    "lists of views": pa.array([["x"], [], None], pa.large_list(pa.string_view())),
    "empty lists": pa.array([[], [], []]),
    "list views": pa.array([[1], [2], [3]], pa.list_view(pa.int64())),
    "pairs": pa.array([[1, 2]] * 3, pa.list_(pa.int64(), 2)),
    "runs": pa.RunEndEncodedArray.from_arrays(pa.array([3], pa.int32()), pa.array(["x"])),
    "categories": pa.DictionaryArray.from_arrays([0, 0, 0], pa.array(["x"]).cast(pa.string_view())),
    "decimals": pa.array([decimal.Decimal("1.5")] * 3),
    "times": pa.array([datetime.time(1)] * 3),
    "uuids": pa.ExtensionArray.from_storage(pa.uuid(), pa.array([b"0" * 16] * 3, pa.binary(16))),
    "nothing": pa.nulls(3),
}
NOT_KEPT = {
    "maps": pa.array([[("a", 1)]] * 3, pa.map_(pa.string(), pa.int64())),
    "no text": pa.array([b"\xff"] * 3).cast(pa.binary()).view(pa.string()),
    "intervals": pa.array([(1, 2, 3)] * 3, pa.month_day_nano_interval()),
}


@pytest.mark.parametrize("kind", [pa.string_view(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())])
def test_strings_are_strings_in_every_arrow_type_and_in_lists(tmp_path, kind):
    source = load_source(write(tmp_path / "d.parquet", {"text": ROWS["text"], "label": STRINGS.cast(kind)}))
    assert (source.label_names, source.pool["label"][:]) == (["a", "b"], [1, 0, 1])
    lists = pa.array([["b"], [], ["a"]], pa.large_list(pa.string())).cast(pa.list_(kind))
    split = Split(pa.table({"text": ROWS["text"], "label": lists}), "pool")
    assert number_classes({"pool": split}, "text", "label").pool["label"][:] == [1, None, 0]


@pytest.mark.parametrize("name", [*OTHERS, *NOT_KEPT])
def test_columns_that_nobody_names_stop_nothing(name, caplog):
    split = Split(pa.table({**ROWS, "other": {**OTHERS, **NOT_KEPT}[name]}), "pool")
    pool = number_classes({"pool": split}, "text", "label").pool
    assert pool["label"][:] == [1, 0, 1]
    assert len(pool.select([2])[0]) == (2 if name in NOT_KEPT else 3)
    assert ("pool: column 'other' holds" in caplog.text) == (name in NOT_KEPT)


@pytest.mark.parametrize(
    ("first", "second", "told"),
    [
        (1, "a", "'other' is a str, in the lines before it is a number"),
        ([1], ["a"], "'other' is a list of str, in the lines before it is a list of number"),
        ({"a": 1}, [1], "'other' is a list of number, in the lines before it is a dict"),
        (True, 1, "'other' is a number, in the lines before it is a bool"),
        ({"a": 1}, {"a": "x"}, "column 'other' has values of several types: expected one"),
        (2**80, 1, "column 'other' has values of several types: expected one"),
        ("\ud800", "x", "column 'other' has values of several types: expected one"),
    ],
)
def test_json_values_of_several_types_stop_a_run_only_where_they_are_named(tmp_path, first, second, told):
    rows = [{"text": "x", "label": "a", "other": value} for value in (None, first, second)]
    data = write(tmp_path / "d.jsonl", text="\n".join(map(json.dumps, rows)))
    pool = load_source(data).pool
    assert [value and json.loads(value) for value in pool["other"][:]] == [None, first, second]
    assert told in error(data, label_column="other")


def test_the_same_holds_for_frames():
    frame = pd.DataFrame({"text": ["x", "y"], "label": ["a", None], 3: [1, "z"], "score": [0.5, np.nan]})
    pool = number_classes({"pool": as_split(frame, "frame")}, "text", "label").pool
    assert pool[:] == {"text": ["x", "y"], "label": [0, None], "3": ["1", '"z"'], "score": [0.5, None]}
    with pytest.raises(UserError, match="frame: column '3' has values of several types"):
        number_classes({"pool": as_split(frame, "frame")}, "text", "3")


def test_columns_without_a_name_or_with_one_that_is_taken_are_kept_under_others(tmp_path):
    source = load_source(write(tmp_path / "d.csv", text=",text,label,note,,note\n0,x,a,p,,q\n"))
    assert source.pool[0] == {
        "text": "x", "label": 0, "Unnamed: 0": "0", "note": "p", "Unnamed: 4": "", "note.5": "q",
    }  # fmt: skip
    assert "column 'note' is there twice" in error(str(tmp_path / "d.csv"), label_column="note")
    source = load_source(str(tmp_path / "d.csv"), label_column="")
    assert (source.label_names, source.pool[0]["Unnamed: 0"]) == (None, "0")


def test_fields_of_objects_are_columns_too(tmp_path):
    rows = [{"data": {"text": "x", "topic": "a"}}, {"data": {"text": "y"}}]
    data = write(tmp_path / "d.jsonl", text="\n".join(map(json.dumps, rows)))
    source = load_source(data, text_column="data.text", label_column="data.topic")
    assert (source.pool["text"][:], source.pool["label"][:]) == (["x", "y"], [0, None])
    assert "no column 'text': its columns are data.text, data.topic" in error(data)


@pytest.mark.parametrize("option", ["validation", "test"])
def test_a_split_that_nothing_uses_is_not_read(tmp_path, option, monkeypatch):
    from lit_react.data.datamodule import PoolDataModule
    from lit_react.tasks import SentenceClassification

    write(tmp_path / "train.csv", {"text": ["x", "y"], "label": ["a", "b"]})
    write(tmp_path / f"{option}.csv", text="text\nz\n")
    task = SentenceClassification().task
    sizes = {"validation_size": None, "test_size": None}
    with pytest.raises(UserError) as caught:
        PoolDataModule(str(tmp_path), **sizes).prepare(task)
    assert f"{option}.csv: no column 'label': its columns are text; to go on without it" in str(caught.value)
    assert f"--data.{option}_size 0, or --data.source {tmp_path / 'train.csv'}" in str(caught.value)
    for way_on in ({"source": str(tmp_path)} | sizes | {f"{option}_size": 0}, {"source": str(tmp_path / "train.csv")}):
        assert len(PoolDataModule(**way_on).prepare(task).splits.pool) == 2
