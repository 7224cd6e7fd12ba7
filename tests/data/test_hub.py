"""Sources on a hub, which a stand-in plays, and local copies of them."""

import itertools

import datasets
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from source_files import ROWS, error, write
from tiny import load_source

from lit_react.data.sources import load_tables


@pytest.fixture
def hub(monkeypatch):
    """A hub with one data set like SST-2, whose test labels are hidden; returns the calls it gets."""
    features = datasets.Features(
        sentence=datasets.Value("string"), label=datasets.ClassLabel(names=["negative", "positive"])
    )

    def split(*labels):
        return datasets.Dataset.from_dict({"sentence": ["x"] * len(labels), "label": labels}, features=features)

    calls = []

    def load_dataset(name, config, revision):
        calls.append((name, config, revision))
        return datasets.DatasetDict(train=split(1, 1), validation=split(0, 1, 0), test=split(-1, -1))

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    monkeypatch.delenv("LIT_REACT_DATA", raising=False)
    return calls


@pytest.mark.parametrize(
    ("source", "call"),
    [
        ("hf:glue", ("glue", None, None)),
        ("hf:nyu/glue:sst2", ("nyu/glue", "sst2", None)),
        ("hf:nyu/glue@v1.0", ("nyu/glue", None, "v1.0")),
        ("hf:nyu/glue:sst2@refs/pr/1", ("nyu/glue", "sst2", "refs/pr/1")),
    ],
)
def test_a_hub_name_holds_owner_config_and_revision(hub, source, call):
    loaded = load_source(source, text_column="sentence", test="validation")
    assert hub == [call]
    assert loaded.pool["label"][:] == [1, 1]
    assert loaded.test["label"][:] == [0, 1, 0]
    assert loaded.validation is None
    assert loaded.label_names == ["negative", "positive"]


def test_a_config_of_the_parquet_branch_is_a_folder(tmp_path, monkeypatch):
    """As in `allenai/scitldr`; a folder stands in for the hub, whose files and names datasets treats alike."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    for config, split in itertools.product(("AIC", "Abstract"), ("train", "validation", "test")):
        folder = tmp_path / "scitldr" / config / split
        folder.mkdir(parents=True)
        pq.write_table(pa.table({"text": [config], "label": [split]}), folder / "0000.parquet")
    tables, _ = load_tables(f"hf:{tmp_path}/scitldr:Abstract@refs/convert/parquet")
    found = {part: table.table.to_pylist() for part, table in tables.items()}
    names = {"pool": "train", "validation": "validation", "test": "test"}
    assert found == {part: [{"text": "Abstract", "label": name}] for part, name in names.items()}


def test_a_split_with_hidden_labels_is_no_test_split(hub):
    found = error("hf:sst2", text_column="sentence")
    assert found.startswith("hf:sst2 split 'test' row 1: no label")
    assert found.endswith("to go on without it, --data.test_size 0, or another file or split as data.test")


@pytest.mark.parametrize("source", ["hf:", "hf:a b", "hf:name:", "hf:name@"])
def test_a_hub_name_of_another_form_is_refused(source):
    assert error(source) == f"{source!r}: expected hf:owner/name[:config][@revision]"


@pytest.mark.parametrize(
    "reason",
    [
        datasets.exceptions.DatasetNotFoundError("Dataset 'x'\ndoesn't exist"),
        ValueError("Config name is missing.\nPlease pick one"),
        RuntimeError("Dataset scripts are no longer supported"),
        ConnectionError("Couldn't reach"),
    ],
)
def test_what_the_hub_refuses_is_told_in_one_line(monkeypatch, reason):
    def load_dataset(*_, **__):
        raise reason

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    found = error("hf:owner/x")
    assert found.startswith("hf:owner/x: the hub did not give this data set (")
    assert " ".join(str(reason).split()) in found


def test_a_hub_that_is_switched_off_is_told_at_once():
    """As it is for the tests, see conftest.py."""
    assert error("hf:owner/name").startswith("hf:owner/name: the hub did not give this data set (Couldn't reach")


def test_a_data_set_of_the_hub_without_train_split_lists_its_splits(monkeypatch):
    loaded = datasets.DatasetDict(test=datasets.Dataset.from_dict(ROWS))
    monkeypatch.setattr(datasets, "load_dataset", lambda *_, **__: loaded)
    assert "no split 'train' for the pool: its splits are test" in error("hf:owner/x")


def test_a_local_copy_stands_in_for_the_hub_where_it_exists(hub, tmp_path, monkeypatch):
    write(tmp_path / "copy" / "train.parquet")
    options = {"text_column": "sentence", "test": "validation", "local_copy": "copy"}
    assert load_source("hf:sst2", **options).label_names == ["negative", "positive"]  # the variable is not set
    monkeypatch.setenv("LIT_REACT_DATA", str(tmp_path))
    assert load_source("hf:sst2", text_column="sentence", local_copy="copy").label_names == ["a", "b"]
    assert len(load_source("hf:sst2", **{**options, "local_copy": "none"}).test) == 3  # no such folder
    assert len(hub) == 2
    assert "has no split 'validation'" in error("hf:sst2", **options)


def test_a_local_copy_without_train_file_is_refused(hub, tmp_path, monkeypatch):
    write(tmp_path / "copy" / "test.parquet")
    write(tmp_path / "copy" / "validation.parquet")
    monkeypatch.setenv("LIT_REACT_DATA", str(tmp_path))
    assert "no train file" in error("hf:sst2", local_copy="copy")
