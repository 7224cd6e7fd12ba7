import json
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lit_react.data.ledger import Ledger, Query
from lit_react.errors import UserError


def opened(path, budget=10.0, fingerprint="data", **options):
    return Ledger(path, budget=budget, fingerprint=fingerprint, **options)


def query(row, split="pool", cost=1.0, policy="initial", q_value=None):
    return Query(split, row, cost, policy, q_value)


def without_times(ledger):
    return [{key: value for key, value in row.items() if not key.endswith("_at")} for row in ledger.purchases()]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run" / "ledger.sqlite"


@pytest.fixture
def ledger(path):
    with opened(path) as ledger:
        yield ledger


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


def test_everything_is_there_when_opened_again(path):
    with opened(path) as ledger:
        ledger.ask(0, [query(1)])
        content = without_times(ledger)
    with opened(path, budget=20.0) as ledger:
        assert without_times(ledger) == content
        assert ledger.left_for(1) == 19.0


def test_writes_are_synced_to_the_disk_in_wal_mode(ledger):
    assert ledger._db.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    assert ledger._db.execute("PRAGMA synchronous").fetchone()[0] == 2


def written_by_another_program(path):
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE songs (name)")
    connection.close()


def damaged(path):
    with opened(path, budget=1e6) as ledger:
        ledger.ask(0, [query(row, policy="x" * 100) for row in range(500)])
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: path.write_bytes(b"no database at all, but long enough " * 100), "not a database"),
        (lambda path: path.mkdir(), "cannot use the ledger"),
        (written_by_another_program, "not a ledger"),
        (damaged, "ledger"),
    ],
)
def test_a_file_that_is_no_sound_ledger_is_refused_in_one_line(path, make, message):
    path.parent.mkdir()
    make(path)
    with pytest.raises(UserError, match=message) as caught:
        opened(path, budget=1e6)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_foreign_database_is_left_as_it_was(path):
    path.parent.mkdir()
    written_by_another_program(path)
    before = path.read_bytes()
    with pytest.raises(UserError):
        opened(path)
    assert path.read_bytes() == before


def test_a_ledger_of_a_later_version_is_refused(path):
    opened(path).close()
    connection = sqlite3.connect(path)
    connection.execute("UPDATE meta SET value = '99' WHERE key = 'schema_version'")
    connection.commit()
    connection.close()
    with pytest.raises(UserError, match="version 99: expected 2"):
        opened(path)


@pytest.mark.parametrize("read_only", [False, True])
def test_a_ledger_of_other_data_is_refused(path, read_only):
    with opened(path) as ledger:
        ledger.ask(0, [query(1)])
    with pytest.raises(UserError, match="was bought for other data"):
        opened(path, fingerprint="other", read_only=read_only)
    opened(path).close()  # a refusal leaves no lock


def test_a_ledger_in_which_nothing_was_bought_may_serve_other_data(path):
    opened(path).close()
    with opened(path, fingerprint="other") as ledger:
        ledger.ask(0, [query(1)])
    with pytest.raises(UserError, match="was bought for other data"):
        opened(path)


def test_a_budget_below_what_was_spent_is_refused(path):
    with opened(path) as ledger:
        ledger.ask(0, [query(1, cost=4.0)])
    with pytest.raises(UserError, match="already spent 4"):
        opened(path, budget=3.0)
    opened(path, budget=4.0).close()


@pytest.mark.parametrize("budget", [-1.0, float("nan")])
def test_a_budget_that_is_no_amount_is_refused(path, budget):
    with pytest.raises(UserError, match="budget: expected"):
        opened(path, budget=budget)


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot use the ledger"):
        opened(tmp_path / "file" / "ledger.sqlite")


def test_a_reader_sees_committed_rows_and_cannot_write(ledger, path):
    with opened(path, read_only=True) as reader:
        ledger.ask(0, [query(1)])
        assert reader.pending(0) == [query(1)]
        assert without_times(reader) == without_times(ledger)
        with pytest.raises(UserError, match="readonly"):
            reader.ask(0, [query(2)])


def test_a_reader_creates_no_files(path):
    with pytest.raises(UserError, match="no ledger there"):
        opened(path, read_only=True)
    assert not path.parent.exists()
    opened(path).close()
    before = sorted(path.parent.iterdir())
    opened(path, read_only=True).close()
    assert sorted(path.parent.iterdir()) == before


def test_a_closed_ledger_can_be_closed_again(path):
    ledger = opened(path)
    ledger.close()
    ledger.close()
    opened(path).close()


CHILD = """
import os, signal, sys
from pathlib import Path
from lit_react.data.ledger import Ledger, Query
from lit_react.errors import UserError
path, what = Path(sys.argv[1]), sys.argv[2]
try:
    ledger = Ledger(path, budget=10, fingerprint="data", read_only=what == "read")
except UserError as error:
    sys.exit(f"error: {error}")
if what == "read":
    print([query.row for query in ledger.pending(0)])
elif what == "ask and be killed":
    ledger.ask(0, [Query("pool", 5, 1.0, "initial"), Query("pool", 2, 1.0, "initial")])
    os.kill(os.getpid(), signal.SIGKILL)
"""


def child(path, what):
    return subprocess.run([sys.executable, "-c", CHILD, str(path), what], capture_output=True, text=True, timeout=120)


def test_what_was_asked_outlives_a_kill_and_the_lock_does_not(path):
    assert child(path, "ask and be killed").returncode == -9
    with opened(path) as ledger:
        assert [q.row for q in ledger.asked(0)] == [5, 2]
        ledger.ask(1, [query(1)])


def test_two_processes_cannot_buy_on_one_ledger_but_others_can_read(ledger, path):
    ledger.ask(0, [query(6)])
    refused = child(path, "write")
    assert refused.returncode == 1
    assert "in use by another process" in refused.stderr
    assert refused.stderr.count("\n") == 1
    reader = child(path, "read")
    assert (reader.returncode, reader.stdout.strip()) == (0, "[6]")


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


def test_a_ledger_of_version_1_goes_on_with_its_labels(tmp_path) -> None:
    path = tmp_path / "ledger.sqlite"
    with Ledger(path, budget=10, fingerprint="data") as ledger:
        ledger.ask(0, [Query("pool", 3, 1.0, "initial"), Query("pool", 5, 1.0, "initial")])
    with sqlite3.connect(path) as db:  # as version 1 had it
        db.execute("ALTER TABLE purchases RENAME TO newer")
        columns = "split TEXT NOT NULL, row INTEGER NOT NULL, round INTEGER, position INTEGER, label INTEGER, cost REAL"
        rest = "policy TEXT, q_value REAL, annotator TEXT, asked_at TEXT, answered_at TEXT, PRIMARY KEY (split, row)"
        db.execute(f"CREATE TABLE purchases ({columns}, {rest})")
        db.execute("INSERT INTO purchases SELECT * FROM newer")
        db.execute("DROP TABLE newer")
        db.execute("UPDATE purchases SET label = 2, annotator = 'people' WHERE row = 3")
        db.execute("UPDATE meta SET value = '1' WHERE key = 'schema_version'")
    with Ledger(path, budget=10, fingerprint="data") as ledger:
        assert ledger.labeled("pool", 0) == {3: 2}
        assert [query.row for query in ledger.pending(0)] == [5]
        ledger.answer({("pool", 5): 1, ("pool", 3): 2}, "people")
    with Ledger(path, budget=10, fingerprint="data", read_only=True) as ledger:
        assert ledger.labeled("pool", 0) == {3: 2, 5: 1}
