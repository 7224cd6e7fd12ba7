"""JSON as people have it: a line each, over several lines, in an array; and where it is broken."""

import json

import pytest
from source_files import error, write
from tiny import load_source

from lit_react.data import json_objects
from lit_react.data.files import read_table

ROWS = [
    {"text": f"text {n} {'é]}' * n}", "label": "ab"[n % 2], "more": {"n": [{"m": None}, {"m": n}]}} for n in range(40)
]
FORMS = {
    "lines": "\n".join(map(json.dumps, ROWS)),
    "windows": "\r\n\r\n".join(map(json.dumps, ROWS)) + "\r\n",
    "array": json.dumps(ROWS),
    "pretty array": json.dumps(ROWS, indent=2, ensure_ascii=False),
    "pretty objects": "\n".join(json.dumps(row, indent=4) for row in ROWS),
    "lines with commas": ",\n".join(map(json.dumps, ROWS)) + ",",
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["d.json", "d.jsonl"])
@pytest.mark.parametrize("chunk", [1, 7, 1 << 20])
def test_objects_are_rows_in_every_form(tmp_path, monkeypatch, form, name, chunk):
    monkeypatch.setattr(json_objects, "CHUNK", chunk)
    path = tmp_path / name
    path.write_text(FORMS[form])
    split = read_table(path)
    assert split.table.to_pylist() == ROWS
    line = FORMS[form][: FORMS[form].index(ROWS[30]["text"][:7])].count("\n") + 1
    assert split.where(30) == f"{path}:{line - ('pretty' in form)}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[{"text": "x"},\n {"text": "y"}', "d.json:2: the array has no end: expected ]"),
        ('{"text": "x"}\n{"text": "y"', "d.json:2: not a JSON object: Expecting ',' delimiter (character 13)"),
        ('{"text": "x"}\n{"text": "y}\n{"text": "z"}\n', "d.json:2: not a JSON object: Invalid control character at"),
        ('[{"text": "x",\n  "label": a}]', "d.json:2: not a JSON object: Expecting value (character 12)"),
        ('{"text": "x"}\n["x", "a"]', "d.json:2: expected JSON objects, got a str"),
        ('{"text": "x"}\ntext', "d.json:2: not a JSON object: Expecting value (character 1)"),
        ('{"text": "x", "label": "a", "label": "b"}', "d.json:1: 'label' is there twice in an object"),
        ('{"text": ' + "[" * 100_000, "d.json:1: lists in lists without end"),
        ("[]", "d.json: empty: expected at least one row"),
    ],
)
@pytest.mark.parametrize("chunk", [5, 1 << 20])
def test_broken_json_is_named_by_line_and_character(tmp_path, monkeypatch, text, message, chunk):
    monkeypatch.setattr(json_objects, "CHUNK", chunk)
    assert message in error(write(tmp_path / "d.json", text=text))


def test_columns_that_come_late_or_change_between_batches_are_whole(tmp_path, monkeypatch):
    monkeypatch.setattr("lit_react.data.tables.BATCH", 2)
    values = [None, None, 1, 2, 0.5, 3, None]
    lists = [[], [], None, ["x"], [], ["y"], []]
    rows = [{"text": str(n), "label": "a"} for n in range(7)]
    for row, value, entries in zip(rows, values, lists, strict=True):
        row |= {"score": value, "lists": entries} if value is not None else {"lists": entries}
    rows[6]["late"] = {"a": 1}
    pool = load_source(write(tmp_path / "d.jsonl", text="\n".join(map(json.dumps, rows)))).pool
    assert (pool["score"][:], pool["lists"][:], pool["late"][:]) == (values, lists, [None] * 6 + [{"a": 1}])


def test_nan_is_no_value(tmp_path):
    source = load_source(write(tmp_path / "d.jsonl", text='{"text": "x", "label": NaN}\n{"text": "y", "label": "a"}'))
    assert source.pool["label"][:] == [None, 0]
