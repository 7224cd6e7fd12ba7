import json
import logging

import pytest
from ledgers import opened, query

from lit_react.annotation.answers import majority
from lit_react.annotation.desk import Desk, place
from lit_react.annotation.files import FileOracle
from lit_react.annotation.oracles import Answer, Oracle, Question
from lit_react.core.errors import UserError

NAMES = ["sports", "politik", "经济"]


class Sitting:
    """A file oracle that asks for one of some names, asked as a run asks it: by rows, answered by labels.

    Args:
        folder: of the run.
        question: (split, row) → what is shown.
        parse: (answer, split, row) → label.
    """

    def __init__(self, folder, question, parse):
        self.folder, self.oracle, self.ledger = folder, FileOracle(), opened(folder / "ledger.sqlite", budget=99)

        def asked(split, row, round, price):
            return Question(f"{split}-{row}", round, question(split, row), lambda a: parse(a, split, row), price)

        self.desk = Desk(self.ledger, asked, lambda split, row, label: str(label), self.oracle.annotator)
        self.open()

    def open(self):
        self.oracle.open(self.folder, self.desk)

    def label(self, round, rows):
        new = [where for where in rows if not self.ledger.asked_of(*where)]
        self.ledger.ask(round, [query(row, split=split) for split, row in new])
        waiting = [question for question in self.desk.waiting(round=round) if place(question.id) in rows]
        answers = self.oracle.label(waiting)
        before = self.labels
        self.desk.take(answers)
        return {where: label for where, label in self.labels.items() if where not in before}

    @property
    def labels(self):
        return majority(self.ledger.answers())

    @property
    def said(self):
        return [(given.row, given.annotator, given.label) for given in self.ledger.history()]


def queries(*rows, split="pool"):
    return [(split, row) for row in rows]


def asking(folder, names):
    """A file oracle that asks for one of some names."""

    def question(split, row):
        return {"text": f"{split} text\n“{row}”", "labels": names}

    def parse(answer, split, row):
        if str(answer) not in names:
            raise ValueError(f"unknown label {answer!r}: expected one of {', '.join(names)}")
        return names.index(str(answer))

    return Sitting(folder, question, parse)


@pytest.fixture
def oracle(tmp_path):
    return asking(tmp_path, NAMES)


def asked(tmp_path, round=0):
    lines = (tmp_path / f"round_{round:02d}" / "to_label.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def answer(tmp_path, *lines, round=0, name="labels.jsonl"):
    text = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
    (tmp_path / f"round_{round:02d}" / name).write_text(text, encoding="utf-8")


def test_queries_are_written_for_people_with_text_and_names(oracle, tmp_path):
    assert oracle.label(3, queries(17) + queries(4, split="validation")) == {}
    assert asked(tmp_path, 3) == [
        {"id": "pool-17", "label": None, "text": "pool text\n“17”", "labels": NAMES},
        {"id": "validation-4", "label": None, "text": "validation text\n“4”", "labels": NAMES},
    ]
    assert "经济" in (tmp_path / "round_03" / "to_label.jsonl").read_text(encoding="utf-8")
    assert [path.name for path in (tmp_path / "round_03").iterdir()] == ["to_label.jsonl"]


def test_a_filled_in_copy_of_the_queries_is_a_complete_answer(oracle, tmp_path):
    oracle.label(0, queries(5, 2))
    answer(tmp_path, *({**line, "label": "经济"} for line in asked(tmp_path)))
    assert oracle.label(0, queries(5, 2)) == {("pool", 5): 2, ("pool", 2): 2}


def test_part_of_the_answers_is_taken_and_the_rest_waits(oracle, tmp_path):
    oracle.label(0, queries(1, 2, 3))
    answer(
        tmp_path,
        {"id": "pool-2", "label": "politik"},
        "",
        {"id": "pool-1", "label": None},
        {"id": "pool-3", "label": ""},
    )
    assert oracle.label(0, queries(1, 2, 3)) == {("pool", 2): 1}


def test_lines_of_earlier_sittings_stay_known_and_are_not_given_again(oracle, tmp_path):
    oracle.label(0, queries(1, 2))
    answer(tmp_path, {"id": "pool-1", "label": "sports"})
    assert oracle.label(0, queries(1, 2)) == {("pool", 1): 0}
    answer(tmp_path, {"id": "pool-1", "label": "sports"}, {"id": "pool-2", "label": "politik"})
    assert oracle.label(0, queries(2)) == {("pool", 2): 1}
    assert [line["id"] for line in asked(tmp_path)] == ["pool-1", "pool-2"]


def test_the_file_for_people_is_left_alone_when_nothing_is_new(oracle, tmp_path):
    oracle.label(0, queries(1, 2))
    before = (tmp_path / "round_00" / "to_label.jsonl").stat()
    oracle.label(0, queries(2))
    assert (tmp_path / "round_00" / "to_label.jsonl").stat().st_mtime_ns == before.st_mtime_ns


def test_queries_asked_later_in_a_round_are_added(oracle, tmp_path):
    oracle.label(0, queries(1))
    oracle.label(0, queries(1, 9))
    assert [line["id"] for line in asked(tmp_path)] == ["pool-1", "pool-9"]


def test_the_same_answer_twice_is_taken_with_a_warning(oracle, tmp_path, caplog):
    oracle.label(0, queries(1))
    answer(tmp_path, {"id": "pool-1", "label": "sports"}, {"id": "pool-1", "label": "sports"})
    with caplog.at_level(logging.WARNING, "lit_react"):
        assert oracle.label(0, queries(1)) == {("pool", 1): 0}
    assert len(caplog.records) == 1
    assert "pool-1 is answered twice" in caplog.text


def test_a_line_that_is_changed_later_corrects_the_answer_and_null_takes_it_back(oracle, tmp_path, caplog):
    oracle.label(0, queries(1, 2, 9))
    answer(tmp_path, {"id": "pool-1", "label": "sports"}, {"id": "pool-2", "label": "politik"})
    oracle.label(0, queries(1, 2, 9))
    oracle.open()
    assert not caplog.records
    answer(tmp_path, {"id": "pool-1", "label": "politik"}, {"id": "pool-2", "label": None})
    oracle.open()
    assert oracle.labels == {("pool", 1): 1}
    assert oracle.said[2:] == [(1, "people", 1), (2, "people", None)]
    assert "round_00: 1 answers corrected or added, 1 taken back (label null)" in caplog.text
    answer(tmp_path, {"id": "pool-2", "label": "politik"})  # a line that is gone changes nothing
    oracle.open()
    assert oracle.label(0, queries(2)) == {("pool", 2): 1}
    assert oracle.labels == {("pool", 1): 1, ("pool", 2): 1}


@pytest.mark.parametrize("line", [{"id": "pool-1", "label": "no class"}, "no object", {"id": "note", "label": "x"}])
def test_a_line_that_means_nothing_stops_no_later_sitting(oracle, tmp_path, line):
    oracle.label(0, queries(1))
    answer(tmp_path, {"id": "pool-1", "label": "sports"})
    bought = oracle.label(0, queries(1))
    answer(tmp_path, line)
    oracle.open()
    assert oracle.labels == bought


def test_several_people_have_files_of_their_own_or_say_who_they_are(oracle, tmp_path):
    oracle.ledger.ask(0, [query(1, wanted=2), query(2, wanted=2)])
    oracle.oracle.label(oracle.desk.waiting())
    answer(tmp_path, {"id": "pool-1", "label": "sports"}, name="labels.ann.jsonl")
    answer(
        tmp_path,
        {"id": "pool-1", "label": "politik", "annotator": "bob", "note": "hard"},
        {"id": "pool-2", "label": "sports", "annotator": "bob"},
    )
    oracle.label(0, queries(1, 2))
    assert oracle.said == [(1, "ann", 0), (1, "bob", 1), (2, "bob", 0)]
    assert oracle.ledger.history()[1].note == "hard"
    assert [question.id for question in oracle.desk.waiting()] == ["pool-2"]


def test_a_skip_closes_a_question_that_has_no_label(oracle, tmp_path):
    oracle.label(0, queries(1, 2))
    answer(tmp_path, {"id": "pool-1", "label": None, "skip": "no text at all"}, {"id": "pool-2", "label": "sports"})
    assert oracle.label(0, queries(1, 2)) == {("pool", 2): 0}
    assert oracle.desk.waiting() == []
    assert oracle.ledger.history()[0].note == "no text at all"


def test_a_skip_that_names_a_new_class_is_its_label_once_the_run_has_it(oracle, tmp_path):
    oracle.label(0, queries(1))
    answer(tmp_path, {"id": "pool-1", "label": None, "skip": "new class: weather"})
    oracle.label(0, queries(1))
    oracle.ledger.close()
    joined = asking(tmp_path, [*NAMES, "weather"])
    joined.desk.take([Answer("pool-1", "weather")])  # as a run does when the class joins
    joined.open()
    assert joined.labels == {("pool", 1): len(NAMES)}, "the line is not read as a skip again"
    assert len(joined.said) == 2


def test_a_byte_order_mark_and_windows_line_ends_are_accepted(oracle, tmp_path):
    oracle.label(0, queries(1))
    (tmp_path / "round_00" / "labels.jsonl").write_bytes(b'\xef\xbb\xbf{"id": "pool-1", "label": "sports"}\r\n')
    assert oracle.label(0, queries(1)) == {("pool", 1): 0}


def test_a_number_answers_where_the_name_is_that_number(tmp_path):
    oracle = asking(tmp_path, ["1", "5"])
    oracle.label(0, queries(1))
    answer(tmp_path, {"id": "pool-1", "label": 5})
    assert oracle.label(0, queries(1)) == {("pool", 1): 1}


def test_an_answer_is_what_the_parser_makes_of_it_for_its_row(tmp_path):
    words = {("pool", 1): "the cup", ("validation", 1): "the market", ("pool", 2): "the sale"}

    def parse(answer, split, row):
        if not isinstance(answer, list):
            raise ValueError(f"{answer!r}: expected a list of words")
        return [[word, words[split, row].index(word)] for word in answer]

    oracle = Sitting(tmp_path, lambda split, row: {"text": words[split, row], "hint": "words"}, parse)
    both = queries(1) + queries(1, split="validation")
    oracle.label(0, both)
    assert [(line["text"], line["hint"]) for line in asked(tmp_path)] == [("the cup", "words"), ("the market", "words")]
    answer(tmp_path, {"id": "pool-1", "label": ["cup"]}, {"id": "validation-1", "label": []})
    assert oracle.label(0, both) == {("pool", 1): [["cup", 4]], ("validation", 1): []}
    oracle.label(0, queries(2))
    answer(tmp_path, {"id": "pool-1", "label": ["cup"]}, {"id": "pool-2", "label": "sale"})
    with pytest.raises(UserError, match=r"labels\.jsonl:2: 'sale': expected a list of words"):
        oracle.label(0, queries(2))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"id": "pool-2", "label": ', "not a JSON object"),
        ("[1, 2]", 'expected {"id": …, "label": …}'),
        ({"label": "sports"}, 'expected {"id": …, "label": …}'),
        ({"id": "pool-2"}, 'expected {"id": …, "label": …}'),
        ({"id": ["pool-2"], "label": "sports"}, 'expected {"id": …, "label": …}'),
        ({"id": "pool-77", "label": "sports"}, "id 'pool-77' was not asked"),
        ({"id": "pool-2", "label": "Sport"}, "unknown label 'Sport': expected one of sports, politik, 经济"),
        ({"id": "pool-2", "label": "sports", "text": "pool text “1”"}, "another text than that of pool-2 in to_label"),
        ({"id": "pool-2", "label": ["sports"]}, "unknown label"),
        ({"id": "pool-1", "label": "politik"}, "pool-1 has another label in labels.jsonl:1"),
    ],
)
def test_a_wrong_answer_is_named_by_its_line_and_no_answer_counts(oracle, tmp_path, line, message):
    oracle.label(0, queries(1, 2))
    answer(tmp_path, {"id": "pool-1", "label": "sports"}, "", line)
    with pytest.raises(UserError) as caught:
        oracle.label(0, queries(1, 2))
    assert str(caught.value).startswith(f"{tmp_path / 'round_00' / 'labels.jsonl'}:3: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_all_wrong_labels_are_counted_at_once(oracle, tmp_path):
    oracle.label(0, queries(1, 2, 3))
    answer(tmp_path, *({"id": f"pool-{row}", "label": "Sport"} for row in (1, 2, 3)))
    with pytest.raises(UserError, match=r":1: unknown label 'Sport'.* \(and 2 more lines are wrong\)"):
        oracle.label(0, queries(1, 2, 3))


def test_a_text_may_come_back_with_other_white_space(oracle, tmp_path):
    oracle.label(0, queries(1))
    answer(tmp_path, {"id": "pool-1", "label": "sports", "text": " pool  text “1” "})
    assert oracle.label(0, queries(1)) == {("pool", 1): 0}


def test_what_becomes_of_a_bought_line_stops_no_later_sitting(oracle, tmp_path):
    oracle.label(0, queries(1, 2))
    changed = {"id": "pool-1", "label": "Sport", "text": "another"}
    answer(tmp_path, changed, {"id": "pool-2", "label": "sports"})
    assert oracle.label(0, queries(2)) == {("pool", 2): 0}


def test_bytes_that_are_no_text_are_named_by_their_line(oracle, tmp_path):
    oracle.label(0, queries(1))
    (tmp_path / "round_00" / "labels.jsonl").write_bytes(b'\n{"id": "pool-1", "label": "\xff"}\n')
    with pytest.raises(UserError, match=r"labels\.jsonl:2: not UTF-8 text: it reads .*; save it as UTF-8$"):
        oracle.label(0, queries(1))


def test_the_pending_message_says_what_to_fill_in_and_to_run_again(oracle, tmp_path):
    message = oracle.oracle.waiting(4, answered=3, asked=20)
    assert "3 of 20" in message
    assert str(tmp_path / "round_04" / "labels.jsonl") in message
    assert "missing 17" in message
    assert "run the same command again" in message
    assert "\n" not in message


def test_an_annotator_has_the_name_of_its_class_unless_it_says_another():
    class Clerk(Oracle):
        def label(self, questions):
            return {}

    class Named(Clerk):
        annotator = "our clerk"

    assert (Clerk.annotator, Named.annotator) == ("Clerk", "our clerk")
