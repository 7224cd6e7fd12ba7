"""Entities as spans of characters, as doccano, Label Studio and Prodigy export them."""

import json

import pytest

from lit_react.core.errors import UserError
from lit_react.data.files import read_table
from lit_react.tasks import SentenceClassification, TokenClassification

TEXT = "Anna Ek visits the U.S. on Monday."
WORDS = ["Anna", "Ek", "visits", "the", "U", ".", "S", ".", "on", "Monday", "."]
TAGS = ["B-PER", "I-PER", "O", "O", "B-LOC", "I-LOC", "I-LOC", "I-LOC", "O", "O", "O"]


def read(tmp_path, *rows, column, text="text", name="d.jsonl"):
    path = tmp_path / name
    path.write_text(json.dumps(rows) if name.endswith(".json") else "\n".join(map(json.dumps, rows)))
    tables = {"pool": read_table(path).accepted(column)}
    return TokenClassification().task.read(tables, text, column, None)


def tags(source, row=0):
    names = ["O", *(f"{side}-{kind}" for kind in source.label_names for side in "BI")]
    label = source.pool["label"][row]
    return label if label is None else [names[tag] for tag in label]


def studio(*spans, **extra):
    results = [
        {"type": "labels", "value": {"start": s, "end": e, "labels": [k], "text": TEXT[s:e]}} for s, e, k in spans
    ]
    return {"result": [{"type": "choices", "value": {"choices": ["news"]}}, *results]} | extra


FORMS = {
    "doccano": ("label", [[0, 7, "PER"], [19, 23, "LOC"]]),
    "doccano, a cell of text": ("label", '[[19, 23, "LOC"], [0, 7, "PER"]]'),
    "doccano with relations": (
        "entities",
        [
            {"id": 3, "label": "LOC", "start_offset": 19, "end_offset": 23},
            {"label": "PER", "start_offset": 0, "end_offset": 7},
        ],
    ),
    "Prodigy": (
        "spans",
        [{"start": 0, "end": 7, "label": "PER"}, {"start": 19, "end": 23, "label": "LOC"}],
    ),
    "Label Studio": (
        "label",
        [{"start": 0, "end": 7, "text": "Anna Ek", "labels": ["PER"]}, {"start": 19.0, "end": 23, "labels": ["LOC"]}],
    ),
    "Label Studio in full": (
        "annotations",
        [studio((0, 2, "LOC"), was_cancelled=True), studio((0, 7, "PER"), (19, 23, "LOC"), was_cancelled=False)],
    ),
    "spaCy": ("label", {"entities": [[0, 7, "PER"], [19, 23, "LOC"]]}),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["d.jsonl", "d.json"])
def test_spans_of_characters_are_tags_of_words(tmp_path, form, name, caplog):
    column, value = FORMS[form]
    source = read(tmp_path, {"text": TEXT, column: value}, {"text": "no one"}, column=column, name=name)
    assert (source.label_names, source.pool["tokens"][0], tags(source)) == (["LOC", "PER"], WORDS, TAGS)
    assert (source.pool["text"][0], tags(source, 1)) == (TEXT, None)
    assert not caplog.records


def test_texts_in_objects_and_texts_that_nobody_annotated(tmp_path):
    rows = (
        {"data": {"text": TEXT}, "annotations": [studio((0, 7, "PER"))]},
        {"data": {"text": "x"}, "annotations": []},
    )
    source = read(tmp_path, *rows, column="annotations", text="data.text")
    assert [tags(source, row) for row in (0, 1)] == [["B-PER", "I-PER", *["O"] * 9], None]
    source = read(tmp_path, {"text": "x", "label": []}, {"text": "y", "label": [[0, 1, "A"]]}, column="label")
    assert [tags(source, row) for row in (0, 1)] == [["O"], ["B-A"]]


def test_spans_that_cut_words_take_them_whole_and_are_told_of(tmp_path, caplog):
    source = read(tmp_path, {"text": "a"}, {"text": "in Paris, today", "label": [[3, 6, "LOC"]]}, column="label")
    assert tags(source, 1) == ["O", "B-LOC", "O", "O"]
    assert "d.jsonl:2: entities of 1 texts begin or end within a word, which is taken whole" in caplog.text
    caplog.clear()
    source = read(tmp_path, {"text": "in Paris , 北京 é", "label": [[2, 9, "LOC"], [12, 13, "LOC"]]}, column="label")
    assert (tags(source), caplog.text) == (["O", "B-LOC", "O", "O", "B-LOC", "O"], ""), "spaces around a word cut none"


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ([[0, 99, "PER"]], "a span from 0 to 99 of type 'PER': expected 0 <= start < end <= 34"),
        ([[4, 4, "PER"]], "a span from 4 to 4"),
        ([[True, 4, "PER"]], "a span from True to 4"),
        ([[0, 4, ""]], "a span from 0 to 4 of type ''"),
        ([{"start": 0, "end": 4, "labels": ["A", "B"]}], r"a span from 0 to 4 of type \['A', 'B'\]: .*, and one type"),
        ([[4, 5, "PER"]], "a span from 5 to 4 has no word in it"),
        ([[0, 7, "PER"], [5, 7, "LOC"]], "the span 'Ek' overlaps another one"),
        (
            [{"start": 0, "end": 2, "label": "PER", "text": "Anna"}],
            "'An' stands from 0 to 2, where the span",
        ),
        ([[0, 4]], r"'\[0, 4\]': expected \[start, end, type\], or an object with start, end and label"),
        (["B-PER"], "'B-PER': expected"),
        ("PER", "'PER': expected spans of characters"),
        (3, "3: expected spans of characters"),
    ],
)
def test_what_is_no_span_is_refused_with_its_row(tmp_path, label, message):
    with pytest.raises(UserError, match=rf"d\.jsonl:2: column 'label': {message}"):
        read(tmp_path, {"text": "x", "label": None}, {"text": TEXT, "label": label}, column="label")


def test_rows_that_were_not_accepted_in_prodigy_are_left_out(tmp_path, caplog):
    rows = [
        {"text": str(n), "label": "AB"[n % 2], "answer": answer}
        for n, answer in enumerate(["accept", "reject", "ignore", "accept"])
    ]
    rows.append({"text": "4"})  # nobody has seen it yet
    path = tmp_path / "d.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    accepted = read_table(path).accepted("label")
    assert accepted.table["text"].to_pylist() == ["0", "3", "4"]
    assert accepted.where(1) == f"{path}:4"
    assert "d.jsonl: 2 rows whose answer is reject or ignore are left out" in caplog.text
    for column in ("answer", "topic"):
        assert read_table(path).accepted(column).table.num_rows == 5, (
            "the answers themselves, or texts alone, are asked for"
        )
    chosen = [{"text": "x", "accept": ["A"], "answer": "accept"}, {"text": "y", "accept": ["B"], "answer": "accept"}]
    path.write_text("\n".join(map(json.dumps, chosen)))
    source = SentenceClassification().task.read({"pool": read_table(path)}, None, "accept", None)
    assert (source.label_names, source.pool["label"][:]) == (["A", "B"], [0, 1])


def test_texts_alone_are_words_to_predict(tmp_path):
    assert read(tmp_path, {"text": TEXT}, {"text": ""}, column="").pool["tokens"][:] == [WORDS, []]
