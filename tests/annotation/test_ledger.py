"""What a ledger holds: queries, answers, the budget."""

import json
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from ledgers import opened, query, without_times


def test_queries_come_back_in_asking_order_with_all_they_hold(ledger):
    first = [query(7), query(3, cost=0.5), query(3, split="validation", policy="validation")]
    later = [query(1, policy="margin", q_value=0.25)]
    ledger.ask(0, first)
    ledger.ask(1, later)
    assert ledger.pending(0) == first
    assert ledger.pending(1) == later
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
    before = ledger.purchases()
    ledger.answer({("pool", 1): 2}, "bob")
    assert ledger.purchases() == before


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
def test_an_equal_answer_changes_nothing_and_another_is_refused(ledger, label, other):
    ledger.ask(0, [query(1)])
    ledger.answer({("pool", 1): label}, "ann")
    before, content = ledger.purchases(), without_times(ledger)
    again = dict(reversed(label.items())) if isinstance(label, dict) else json.loads(json.dumps(label))
    ledger.answer({("pool", 1): again}, "bob")
    with pytest.raises(ValueError, match="pool row 1 has label"):
        ledger.answer({("pool", 1): other}, "bob")
    assert ledger.purchases() == before
    assert without_times(ledger) == content


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ({("pool", 2): 0, ("pool", 1): 3}, "has label 2, now 3"),
        ({("pool", 2): 0, ("pool", 9): 1}, "never asked"),
        ({("pool", 2): 0, ("pool", 3): None}, "without a label"),
    ],
)
def test_a_wrong_answer_is_refused_and_no_other_answer_with_it(ledger, labels, message):
    ledger.ask(0, [query(1), query(2), query(3)])
    ledger.answer({("pool", 1): 2}, "ann")
    with pytest.raises(ValueError, match=message):
        ledger.answer(labels, "bob")
    assert [q.row for q in ledger.pending(0)] == [2, 3]


def test_times_are_utc_and_the_annotator_is_kept(ledger):
    ledger.ask(0, [query(1), query(2)])
    ledger.answer({("pool", 1): 0}, "ann")
    answered, waiting = ledger.purchases()
    assert answered["annotator"] == "ann"
    assert answered["asked_at"].endswith("+00:00")
    assert answered["answered_at"] >= answered["asked_at"]
    assert (waiting["label"], waiting["annotator"], waiting["answered_at"]) == (None, None, None)


STEPS = st.lists(
    st.tuples(
        st.integers(0, 3),
        st.lists(st.tuples(st.integers(0, 8), st.sampled_from([0.1, 0.7, 1.0, 3.3])), max_size=4),
        st.dictionaries(st.tuples(st.just("pool"), st.integers(0, 8)), st.integers(0, 2), max_size=3),
    ),
    max_size=6,
)


def played(path, steps):
    """Play the steps, refused ones too, beside a plain model of what must be there."""
    bought, labels = {}, {}
    with opened(path, budget=5.0) as ledger:
        for round, rows, answers in steps:
            costs = dict(rows)
            fits = sum(bought.values()) + sum(cost for _, cost in rows) <= 5.0 + 1e-8
            if len(costs) == len(rows) and not costs.keys() & bought.keys() and fits:
                ledger.ask(round, [query(row, cost=cost) for row, cost in rows])
                bought |= costs
            else:
                with pytest.raises(ValueError, match="round"):
                    ledger.ask(round, [query(row, cost=cost) for row, cost in rows])
            given_labels = {row: label for (_, row), label in answers.items()}
            if all(row in bought and labels.get(row, new) == new for row, new in given_labels.items()):
                ledger.answer(answers, "gold")
                labels |= given_labels
            else:
                with pytest.raises(ValueError, match="pool row"):
                    ledger.answer(answers, "gold")
            assert ledger.labeled("pool", 3) == labels
            assert {q.row for round in range(4) for q in ledger.pending(round)} == bought.keys() - labels.keys()
            assert ledger.spent == pytest.approx(sum(bought.values()))
            assert ledger.spent <= 5.0 * (1 + 1e-9)
        return without_times(ledger)


@settings(max_examples=25, deadline=None)
@given(steps=STEPS)
def test_any_sequence_keeps_the_budget_and_gives_the_same_purchases_twice(steps):
    with tempfile.TemporaryDirectory() as folder:
        assert played(Path(folder) / "a.sqlite", steps) == played(Path(folder) / "b.sqlite", steps)
