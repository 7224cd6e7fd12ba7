import json
from pathlib import Path

import pytest

from lit_react.core.errors import UserError
from lit_react.data.files import read_table
from lit_react.tasks import Summarization, Translation


def read(tmp_path: Path, rows: list[dict], task=Translation, part="pool", **columns):
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows) + "\n")
    tables = {"pool": read_table(path), part: read_table(path)}
    return getattr(task("nowhere").task.read(tables, **columns), part)


def test_a_target_is_a_text_and_an_empty_one_is_unknown(tmp_path) -> None:
    rows = [{"source": "a", "target": "ein"}, {"source": "b", "target": " "}, {"source": "c", "target": None}]
    table = read(tmp_path, rows)
    assert table["text"][:] == ["a", "b", "c"]
    assert table["label"][:] == ["ein", None, None]
    assert read(tmp_path, [{"source": "a"}])["label"][:] == [None]
    assert read(tmp_path, [{"source": "a", "references": []}] * 2)["label"][:] == [None, None]
    assert read(tmp_path, rows, label_column="")["label"][:] == [None] * 3


def test_a_label_has_the_summary_first_and_each_further_reference_once(tmp_path) -> None:
    rows = [
        {"document": "d", "summary": "one", "references": ["one", "two", "", "two"]},
        {"document": "e", "summary": None, "references": ["three"]},
        {"document": "f", "summary": "", "references": []},
    ]
    assert read(tmp_path, rows, Summarization)["label"][:] == [["one", "two"], ["three"], None]


def test_columns_of_lists_are_sentences_and_references(tmp_path) -> None:
    """As `allenai/scitldr` has them."""
    rows = [{"source": ["One.", "Two."], "target": ["a", "b"]}, {"source": ["Three."], "target": ["c"]}]
    table = read(tmp_path, rows, Summarization, text_column="source", label_column="target")
    assert table["text"][:] == ["One. Two.", "Three."]
    assert table["label"][:] == [["a", "b"], ["c"]]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"source": "a", "target": "x"}, {"source": "b", "target": ""}], r"rows.jsonl:2: no label: expected one"),
        ([{"source": "a"}], "no column 'target'"),
        ([{"source": "a", "target": 3}], "column 'target' holds int64: expected strings, or lists of strings"),
        ([{"source": ["a"], "target": "x"}, {"source": None, "target": "x"}], r"rows.jsonl:2: no text"),
        ([{"text": "a", "target": "x"}], "no column 'source'"),
    ],
)
def test_wrong_rows_are_named(tmp_path, rows, message) -> None:
    with pytest.raises(UserError, match=message):
        read(tmp_path, rows, part="validation")


def test_names_of_classes_are_refused(tmp_path) -> None:
    with pytest.raises(UserError, match=r"data.label_names: labels of TranslationTask have no names"):
        read(tmp_path, [{"source": "a"}], label_names=["yes"])
