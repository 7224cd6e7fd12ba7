import json
import logging

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lit_react.core.errors import UserError
from lit_react.data.answers import locate, read_questions
from lit_react.data.files import read_table
from lit_react.data.sources import load_tables

CONTEXT = "the cat saw the other cat ."


def read(path, rows, column="answers", part="pool"):
    path.write_text("".join(json.dumps({"question": "q", "context": CONTEXT} | row) + "\n" for row in rows))
    tables = {"pool": read_table(path), part: read_table(path)}
    return getattr(read_questions(tables, "question", column), part)


def squad(*texts, starts=()):
    return {"answers": {"text": list(texts), "answer_start": list(starts)}}


@given(st.text("ab", max_size=30), st.text("ab", min_size=1, max_size=3), st.none() | st.integers(-1, 40))
def test_the_nearest_occurrence_is_found(context, text, near):
    places = [start for start in range(len(context)) if context.startswith(text, start)]
    found = locate(context, text, near)
    if not places:
        assert found is None
    else:
        assert found in places
        assert abs(found - max(near or 0, 0)) == min(abs(place - max(near or 0, 0)) for place in places)


def test_columns_of_squad_and_flat_ones_say_the_same(tmp_path):
    nested = read(tmp_path / "a.jsonl", [squad("cat", "other cat", starts=[22, 16]), squad("saw", starts=[8])])
    rows = [
        {"answer_text": "cat", "answer_start": 22, "all_answer_texts": ["cat", "other cat"], "all_answer_starts": [22]},
        {"answer_text": "saw", "answer_start": 8, "all_answer_texts": [], "all_answer_starts": []},
    ]
    flat = read(tmp_path / "b.jsonl", rows, "answer_text")
    assert nested["label"][:] == flat["label"][:]
    assert nested["label"][0] == {"start": 22, "text": "cat", "answers": ["cat", "other cat"]}
    assert nested["text"][:] == ["q", "q"]
    assert nested["context"][:] == [CONTEXT, CONTEXT]


def test_a_csv_file_has_answers_too(tmp_path):
    (tmp_path / "a.csv").write_text("question,context,answer_text,answer_start\nq,a b b,b,3\nr,a b b,b,\ns,a b,,\n")
    pool = read_questions({"pool": read_table(tmp_path / "a.csv")}, "question", "answer_text").pool
    assert [label and label["start"] for label in pool["label"][:]] == [2, 2, None]


@pytest.mark.parametrize(("said", "found"), [(22, 22), (21, 22), (0, 4), (5, 4), (99, 22), (-1, 4), (None, 4)])
def test_an_offset_that_points_elsewhere_gives_way_to_the_nearest_occurrence(tmp_path, said, found):
    label = read(tmp_path / "a.jsonl", [squad("cat", starts=[said])])["label"][0]
    assert label == {"start": found, "text": "cat", "answers": ["cat"]}


def test_blanks_around_an_answer_are_no_part_of_it(tmp_path):
    label = read(tmp_path / "a.jsonl", [squad(" cat ", starts=[3])])["label"][0]
    assert (label["start"], label["text"]) == (4, "cat")


def test_the_first_answer_that_stands_in_the_context_is_learned(tmp_path):
    label = read(tmp_path / "a.jsonl", [squad("the dog", "other", starts=[4, 16])])["label"][0]
    assert label == {"start": 16, "text": "other", "answers": ["the dog", "other"]}


def test_pool_rows_whose_answers_are_not_in_the_context_have_no_label_and_are_counted(tmp_path, caplog):
    with caplog.at_level(logging.WARNING, "lit_react"):
        pool = read(tmp_path / "a.jsonl", [squad("dog", starts=[1]), squad("cat", starts=[4]), squad(), squad("cow")])
    assert [label is None for label in pool["label"][:]] == [True, False, True, True]
    assert [record.message for record in caplog.records] == [
        f"{tmp_path / 'a.jsonl'}: 2 answers are not in their contexts: these rows have no label"
    ]


def test_rows_to_measure_by_need_texts_and_no_place(tmp_path):
    test = read(tmp_path / "a.jsonl", [squad("dog", "cow"), squad("cat", starts=[4])], part="test")
    assert test["label"][0] == {"start": None, "text": "dog", "answers": ["dog", "cow"]}


@pytest.mark.parametrize(
    ("rows", "column", "message"),
    [
        ([squad("cat"), squad()], "answers", "a.jsonl:2: no answer: expected at least one"),
        ([squad("cat"), squad("a") | {"context": " "}], "answers", "a.jsonl:2: empty: expected a text in column 'con"),
        ([squad("cat")], "solutions", "no column 'solutions': its columns are question, context, answers"),
        ([{"answers": 3}], "answers", "column 'answers' holds int64: expected texts, or {text: "),
        ([{"answers": "cat", "answer_start": "four"}], "answers", "a.jsonl:1: 'four' is no offset"),
        ([{"answers": "cat", "context": None}], "answers", "no text: expected a string in column 'context'"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_row(tmp_path, rows, column, message):
    with pytest.raises(UserError) as told:
        read(tmp_path / "a.jsonl", rows, column, part="test")
    assert message in str(told.value)


def test_a_pool_may_lack_answers(tmp_path):
    pool = read(tmp_path / "a.jsonl", [{"id": 1}, {"id": 2}])
    assert pool["label"][:] == [None, None]
    assert read_questions({"pool": read_table(tmp_path / "a.jsonl")}, "question", "").pool["label"][:] == [None, None]


def test_a_column_of_answers_that_are_all_unknown_is_a_pool_without_labels(tmp_path):
    pool = read(tmp_path / "a.jsonl", [{"answers": None}, {"answers": None}])
    assert pool["label"][:] == [None, None]


# ---- which split is the pool


def test_the_pool_may_be_another_split(tmp_path):
    for name, count in (("validation", 2), ("trial", 3), ("extra", 4)):
        pq.write_table(pa.table({"question": ["q"] * count}), tmp_path / f"{name}.parquet")
    sizes = {
        train: {part: split.table.num_rows for part, split in load_tables(str(tmp_path), train=train)[0].items()}
        for train in ("train", "extra", "validation")
    }
    assert sizes == {
        "train": {"pool": 3, "validation": 2},
        "extra": {"pool": 4, "validation": 2},
        "validation": {"pool": 2},
    }
    with pytest.raises(UserError, match=r"no other file: expected other\.csv"):
        load_tables(str(tmp_path), train="other")
    with pytest.raises(UserError, match=r"split 'extra' of .* is the pool"):
        load_tables(str(tmp_path), train="extra", test="extra")
    (tmp_path / "alone").mkdir()
    (tmp_path / "extra.parquet").rename(tmp_path / "alone" / "test.parquet")
    assert set(load_tables(str(tmp_path / "alone"), train="validation")[0]) == {"pool"}, "a single file is the pool"
