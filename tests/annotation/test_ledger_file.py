"""The ledger's file: what it outlives, who may read and write it, which files are refused."""

import sqlite3
import subprocess
import sys

import pytest
from ledgers import opened, query, without_times

from lit_react.annotation.ledger import Ledger
from lit_react.annotation.ledger_file import has_purchases
from lit_react.core.errors import UserError


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
    with pytest.raises(UserError, match="version 99: expected 4"):
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
from lit_react.annotation.ledger import Ledger, Query
from lit_react.core.errors import UserError
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


def test_a_process_that_was_killed_while_it_made_the_ledger_has_bought_nothing(tmp_path) -> None:
    path = tmp_path / "ledger.sqlite"
    path.touch()
    assert not has_purchases(path)
    with Ledger(path, budget=1, fingerprint="x"):
        assert not has_purchases(path)
    path.write_bytes(b"not what it was" * 100)
    assert has_purchases(path)
