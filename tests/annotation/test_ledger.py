"""What a ledger holds: queries, answers, the budget."""

import json
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from ledgers import opened, query

from lit_react.annotation.answers import Given


def test_queries_come_back_in_asking_order_with_all_they_hold(ledger):
    first = [query(7), query(3, cost=0.5), query(3, split="validation", policy="validation")]
    later = [query(1, policy="margin", q_value=0.25)]
    ledger.ask(0, first)
    ledger.ask(1, later)
    assert ledger.pending(0) == first
    assert ledger.pending(1) == [*first, *later]
    assert ledger.asked(0) == first
    assert ledger.asked(1) == later
    assert ledger.asked(2) == []


def test_a_round_asked_in_two_parts_keeps_its_order(ledger):
    ledger.ask(0, [query(9), query(8)])
    ledger.ask(0, [query(1)])
    assert [q.row for q in ledger.asked(0)] == [9, 8, 1]


def test_labels_come_ascending_by_row_up_to_a_round_and_per_split(ledger):
    ledger.ask(0, [query(7), query(3), query(5, split="validation")])
    ledger.ask(2, [query(1)])
    ledger.answer({("pool", 7): 1, ("pool", 1): 2, ("validation", 5): 0}, "gold")
    assert ledger.labeled("pool", up_to_round=1) == {7: 1}
    assert list(ledger.labeled("pool", 2).items()) == [(1, 2), (7, 1)]
    assert ledger.labeled("validation", 2) == {5: 0}
    assert [q.row for q in ledger.pending(0)] == [3]


def test_nothing_labeled_gives_nothing(ledger):
    ledger.ask(0, [query(1)])
    assert ledger.labeled("pool", 9) == {}


def test_asked_rows_are_spent_money_before_they_are_answered(ledger):
    ledger.ask(0, [query(0, cost=2.5), query(1, cost=0.5)])
    assert (ledger.spent, ledger.left_for(0), ledger.left_for(1)) == (3.0, 10.0, 7.0)
    assert (ledger.spent_by(-1), ledger.spent_by(0), ledger.spent_by(1)) == (0.0, 3.0, 3.0)


def test_numpy_numbers_are_accepted_and_stored_as_numbers(ledger):
    ledger.ask(np.int64(1), [query(np.int64(4), cost=np.float32(0.5), q_value=np.float32(0.25))])
    ledger.answer({("pool", np.int64(4)): 2}, "gold")
    (bought,) = ledger.purchases()
    assert {k: bought[k] for k in ("row", "round", "cost", "q_value", "label")} == {
        "row": 4,
        "round": 1,
        "cost": 0.5,
        "q_value": 0.25,
        "label": 2,
    }
    json.dumps(bought)


def test_a_row_is_never_bought_twice(ledger):
    ledger.ask(0, [query(1)])
    with pytest.raises(ValueError, match="asked twice"):
        ledger.ask(1, [query(2), query(1)])
    with pytest.raises(ValueError, match="asked twice"):
        ledger.ask(1, [query(3), query(3)])
    assert [q.row for q in ledger.pending(0)] == [1]
    ledger.ask(1, [query(1, split="validation")])  # another table's row


@pytest.mark.parametrize(
    "wrong",
    [
        query(-1),
        query(1, split="test"),
        query(1, cost=-1.0),
        query(1, cost=float("nan")),
        query(1, cost=float("inf")),
        query(1, cost=11.0),
    ],
)
def test_a_wrong_query_is_refused_and_nothing_of_its_batch_is_recorded(ledger, wrong):
    with pytest.raises(ValueError, match="round 0"):
        ledger.ask(0, [query(0), wrong])
    assert ledger.purchases() == []


def test_a_budget_made_of_float_sums_can_be_spent_to_the_last_unit(path):
    with opened(path, budget=0.3) as ledger:
        ledger.ask(0, [query(row, cost=0.1) for row in range(3)])
        assert ledger.left_for(1) == 0
        with pytest.raises(ValueError, match="exceeds the budget"):
            ledger.ask(0, [query(3, cost=1e-6)])


def test_the_same_answer_again_changes_nothing(ledger):
    ledger.ask(0, [query(1)])
    ledger.answer({("pool", 1): 2}, "ann")
    before = ledger.history()
    ledger.answer({("pool", 1): 2}, "ann")
    assert ledger.history() == before


JSON = st.recursive(
    st.booleans() | st.integers(-9, 9) | st.text(max_size=4) | st.floats(allow_nan=False, allow_infinity=False),
    lambda values: st.lists(values | st.none(), max_size=3) | st.dictionaries(st.text(max_size=3), values, max_size=3),
    max_leaves=6,
)


@settings(max_examples=25, deadline=None)
@given(labels=st.dictionaries(st.integers(0, 5), JSON, min_size=1))
@example(
    labels={0: [["PER", 0, 2], ["LOC", 4, 5]], 1: "Ein „Text“\n经济", 2: {"text": "cup", "start": 3}, 3: [], 4: ""}
)
def test_lists_texts_and_dictionaries_are_labels_and_come_back_equal(labels):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.sqlite"
        with opened(path) as ledger:
            ledger.ask(0, [query(row) for row in sorted(labels)])
            ledger.answer({("pool", row): label for row, label in labels.items()}, "gold")
        with opened(path, read_only=True) as ledger:
            assert same(ledger.labeled("pool", 0), labels)
            assert same({bought["row"]: bought["label"] for bought in ledger.purchases()}, labels)
            assert ledger.pending(0) == []


def same(found, expected):
    """Equal, and of the same types: 1 is neither 1.0 nor true."""
    return json.dumps(found, sort_keys=True) == json.dumps(expected, sort_keys=True)


@pytest.mark.parametrize(
    ("label", "other"),
    [
        ([["PER", 0, 2]], [["PER", 0, 3]]),
        ([], [[]]),
        ("a text", "a text "),
        ({"text": "cup", "start": 3}, {"text": "cup", "start": 4}),
    ],
)
def test_an_equal_answer_changes_nothing_and_another_corrects_it_for_nothing(ledger, label, other):
    ledger.ask(0, [query(1)])
    ledger.answer({("pool", 1): label}, "ann")
    again = dict(reversed(label.items())) if isinstance(label, dict) else json.loads(json.dumps(label))
    ledger.answer({("pool", 1): again}, "ann")
    assert len(ledger.history()) == 1
    ledger.answer({("pool", 1): other}, "ann")
    assert [(given.label, given.cost) for given in ledger.history()] == [(label, 1.0), (other, 0.0)]
    assert ledger.labeled("pool", 0) == {1: other}
    assert ledger.spent == 1.0


def test_an_answer_to_what_was_not_asked_is_refused_and_no_other_answer_with_it(ledger):
    ledger.ask(0, [query(2)])
    with pytest.raises(ValueError, match="pool row 9 was answered but never asked"):
        ledger.answer({("pool", 2): 0, ("pool", 9): 1}, "ann")
    assert [q.row for q in ledger.pending(0)] == [2]


def test_a_skip_closes_the_question_and_gives_the_money_back(ledger):
    ledger.ask(0, [query(1, cost=3.0), query(2), query(4, split="validation")])
    ledger.record([Given("pool", 1, "ann", note="not a text"), Given("validation", 4, "ann")])
    assert [q.row for q in ledger.pending(0)] == [2]
    assert (ledger.labeled("pool", 0), ledger.spent) == ({}, 1.0)
    ledger.answer({("pool", 1): 0}, "ann")  # who can tell after all pays
    assert (ledger.labeled("pool", 0), ledger.spent) == ({1: 0}, 4.0)


def test_money_that_a_skip_gave_back_may_be_spent_and_the_ledger_opens_again(path):
    with opened(path, budget=3.0) as ledger:
        ledger.ask(0, [query(row) for row in range(3)])
        ledger.record([Given("pool", row, "ann") for row in range(2)])
        ledger.answer({("pool", 2): 0}, "ann")
        ledger.begin_fit(0)
        ledger.ask(1, [query(row) for row in (4, 5)])
    with opened(path, budget=3.0) as ledger:
        assert ledger.spent == 3.0


def test_what_is_said_during_a_fit_does_not_forbid_the_query_that_it_chose(ledger):
    ledger.ask(0, [query(row) for row in range(4)])
    ledger.answer({("pool", row): 0 for row in range(4)}, "ann")
    ledger.begin_fit(0)
    ledger.record([Given("pool", 0, "ann", undo=True), Given("pool", 1, "bob", 1)])
    left = ledger.left_for(1)
    ledger.ask(1, [query(10 + row) for row in range(int(left))])
    assert left == 6.0


def test_a_fit_that_began_without_a_label_learns_what_there_is_when_it_begins_again(ledger):
    ledger.ask(0, [query(0)])
    ledger.record([Given("pool", 0, "ann")])
    ledger.begin_fit(0)
    ledger.answer({("pool", 0): 1}, "ann")
    assert ledger.labeled("pool", 0) == {}
    ledger.begin_fit(0)
    assert ledger.labeled("pool", 0) == {0: 1}


def test_what_is_taken_back_waits_again_and_costs_nothing_more(ledger):
    ledger.ask(0, [query(1)])
    ledger.answer({("pool", 1): 2}, "ann")
    ledger.record([Given("pool", 1, "ann", undo=True), Given("pool", 1, "bob", undo=True)])
    assert ledger.pending(0) == [query(1)]
    ledger.answer({("pool", 1): 2}, "ann")
    assert (ledger.labeled("pool", 0), ledger.spent, ledger.pending(0)) == ({1: 2}, 1.0, [])
    assert [given.undo for given in ledger.history()] == [False, True, False]


def test_several_annotators_answer_what_wants_several_answers(ledger):
    ledger.ask(0, [query(1, cost=3.0, wanted=3), query(2)])
    ledger.answer({("pool", 1): 0, ("pool", 2): 0}, "ann")
    assert ledger.pending(0) == [query(1, cost=3.0, wanted=3)]
    ledger.answer({("pool", 1): 4}, "bob")
    assert ledger.labeled("pool", 0) == {1: 0, 2: 0}  # of equal counts the first
    ledger.answer({("pool", 1): 4}, "cid")
    assert (ledger.labeled("pool", 0), ledger.pending(0)) == ({1: 4, 2: 0}, [])
    assert {given.annotator: given.cost for given in ledger.answers()["pool", 1]} == {"ann": 1, "bob": 1, "cid": 1}
    assert ledger.purchases()[0]["annotator"] == "ann, bob, cid"


def test_a_further_opinion_is_asked_about_a_bought_row(ledger):
    ledger.ask(0, [query(1)])
    ledger.answer({("pool", 1): 0}, "ann")
    ledger.ask(2, [query(1, again=True), query(5)])
    assert ledger.pending(1) == []
    assert ledger.pending(2) == [query(1, again=True), query(5)]
    ledger.answer({("pool", 1): 0}, "bob")
    assert ledger.pending(2) == [query(5)]
    assert ledger.spent == 3.0


def test_a_fit_learns_what_was_answered_when_it_began(ledger):
    ledger.ask(0, [query(1), query(2)])
    ledger.answer({("pool", 1): 0, ("pool", 2): 0}, "ann")
    ledger.begin_fit(0)
    ledger.answer({("pool", 1): 5}, "ann")
    ledger.answer({("pool", 2): 3}, "bob")
    ledger.begin_fit(0)  # a resumed run
    assert (ledger.labeled("pool", 0), ledger.labeled("pool", 1)) == ({1: 0, 2: 0}, {1: 5, 2: 0})
    assert (ledger.spent_by(0), ledger.spent_by(1)) == (2.0, 3.0)


def test_answers_have_costs_of_their_own(ledger):
    ledger.ask(0, [query(1, cost=2.0), query(2, cost=2.0)])
    ledger.record([Given("pool", 1, "model", 0, cost=0.25, confidence=0.5), Given("pool", 2, "model", cost=0.5)])
    assert ledger.spent == 0.75
    assert [bought["cost"] for bought in ledger.purchases()] == [0.25, 0.5]


def test_times_are_utc_and_the_annotator_is_kept(ledger):
    ledger.ask(0, [query(1), query(2)])
    ledger.answer({("pool", 1): 0}, "ann")
    answered, waiting = ledger.purchases()
    assert answered["annotator"] == "ann"
    assert answered["asked_at"].endswith("+00:00")
    assert answered["answered_at"] >= answered["asked_at"]
    assert (waiting["label"], waiting["annotator"], waiting["answered_at"]) == (None, None, None)


ROWS, ANNOTATORS = st.integers(0, 3), st.sampled_from(["ann", "bob"])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("ask"), ROWS, st.sampled_from([0.5, 1.0, 2.0]), st.integers(1, 2)),
        st.tuples(st.just("label"), ROWS, ANNOTATORS, st.integers(0, 2)),
        st.tuples(st.just("skip"), ROWS, ANNOTATORS, st.none()),
        st.tuples(st.just("undo"), ROWS, ANNOTATORS, st.none()),
        st.tuples(st.just("fit")),
        st.tuples(st.just("kill")),
    ),
    max_size=25,
)


class InMemory:
    """What a ledger is to be, in three dictionaries."""

    def __init__(self):
        self.queries, self.answers, self.paid, self.learned = {}, {}, {}, []
        self.before, self.asked_since = 0.0, 0.0  # the last fit began

    def play(self, ledger, kind, row=0, *more):
        left = ledger.budget - min(self.spent, self.before + self.asked_since)
        if kind == "ask" and row not in self.queries and more[0] <= left:
            ledger.ask(len(self.learned), [query(row, cost=more[0], wanted=more[1])])
            self.queries[row], self.asked_since = more, self.asked_since + more[0]
        elif kind == "ask":
            with pytest.raises(ValueError, match="round"):
                ledger.ask(len(self.learned), [query(row, cost=more[0], wanted=more[1])])
        elif kind == "fit":
            ledger.begin_fit(len(self.learned))
            self.learned.append(self.labels)
            self.before, self.asked_since = sum(self.paid.values()), 0.0
        elif row not in self.queries:
            with pytest.raises(ValueError, match="never asked"):
                ledger.record([Given("pool", row, more[0], more[1], undo=kind == "undo")])
        else:
            annotator, label = more
            ledger.record([Given("pool", row, annotator, label, undo=kind == "undo")])
            if kind == "undo":
                self.answers.pop((row, annotator), None)
            else:
                if self.answers.get((row, annotator), "nothing") != label:
                    self.answers.pop((row, annotator), None)
                    self.answers[row, annotator] = label
                if kind == "label":
                    cost, wanted = self.queries[row]
                    self.paid[row, annotator] = cost / wanted

    @property
    def open(self):
        given = Counter(row for row, _ in self.answers)
        return {row: wanted - given[row] for row, (_, wanted) in self.queries.items() if given[row] < wanted}

    @property
    def spent(self):
        price = {row: cost / wanted for row, (cost, wanted) in self.queries.items()}
        return sum(self.paid.values()) + sum(price[row] * missing for row, missing in self.open.items())

    @property
    def labels(self):
        labels = {}
        for (row, _), label in self.answers.items():
            if label is not None:
                labels.setdefault(row, []).append(label)
        return {row: max(dict.fromkeys(given), key=given.count) for row, given in labels.items()}


@settings(max_examples=60, deadline=None)
@given(steps=STEPS)
def test_any_sequence_of_answers_corrections_undos_skips_and_kills_leaves_what_a_dictionary_has(steps):
    with tempfile.TemporaryDirectory() as folder:
        path, model = Path(folder) / "ledger.sqlite", InMemory()
        ledger = opened(path, budget=5.0)
        for kind, *more in steps:
            if kind == "kill":
                ledger.close()
                ledger = opened(path, budget=5.0)
            else:
                model.play(ledger, kind, *more)
            assert {q.row for q in ledger.pending(99)} == model.open.keys()
            assert ledger.spent == pytest.approx(model.spent)
            assert ledger.labeled("pool", 99) == dict(sorted(model.labels.items()))
            holds = ledger.answers()
            assert all(ledger.answers_of("pool", row) == holds.get(("pool", row), []) for row in model.queries)
        assert [ledger.labeled("pool", fit) for fit in range(len(model.learned))] == model.learned
        ledger.close()
