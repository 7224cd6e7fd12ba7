"""What was bought: one SQLite file that outlives crashes and is the single truth about labels and money."""

from __future__ import annotations

import json
import math
import sqlite3
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lit_react.core.errors import UserError

Label = Any
"""What was bought for one row, as JSON has it: a class id, a list of spans, a text. The task knows which."""

SCHEMA_VERSION = "3"
WAIT_SECONDS = 10.0
SLACK = 1e-9  # relative to the budget: sums of floats are not exact
CREATE = (
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL)",
    """CREATE TABLE purchases (
        split TEXT NOT NULL CHECK (split IN ('pool', 'validation')),
        row INTEGER NOT NULL CHECK (row >= 0),
        round INTEGER NOT NULL CHECK (round >= 0),
        position INTEGER NOT NULL,
        label TEXT,
        cost REAL NOT NULL CHECK (cost >= 0),
        policy TEXT NOT NULL,
        q_value REAL,
        annotator TEXT,
        asked_at TEXT NOT NULL,
        answered_at TEXT,
        PRIMARY KEY (split, row)
    )""",
)


@dataclass(frozen=True)
class Query:
    """One label that is asked for.

    Attributes:
        split: `pool` or `validation`.
        row: row relative to that split's table.
        cost: annotation cost, in the units of the budget.
        policy: name of what chose it: `initial`, `validation`, `facility_location`, …
        q_value: what the Q-network promised of its batch; None where none was asked.
    """

    split: str
    row: int
    cost: float
    policy: str
    q_value: float | None = None


class Ledger:
    """Purchases in the order they were made. A row is asked once, the money is committed then.

    One process writes, any number read; a second writer is refused. Whatever `ask` or `answer` recorded is on
    the disk when it returns, and a call that raises recorded nothing. `run` names the run that it was made
    for: no other ledger has that name.

    Args:
        path: the SQLite file; beside it a writer keeps an empty `<name>.lock`.
        budget: what all labels together may cost; may change when a ledger is opened again.
        fingerprint: names the data that the rows belong to; an existing ledger must have the same.
        read_only: see what is committed, create nothing, write nothing.

    Raises:
        UserError: the file is missing (`read_only`), no ledger, of other data, in use, or spent more than `budget`.
    """

    def __init__(self, path: Path, *, budget: float, fingerprint: str, read_only: bool = False) -> None:
        if not budget >= 0:
            raise UserError(f"budget: expected a number from 0 up, got {budget}")
        self.path = Path(path)
        self.budget = float(budget)
        self.read_only = read_only
        self._connections: list[sqlite3.Connection] = []
        if read_only and not self.path.is_file():
            raise UserError(f"{path}: no ledger there")
        try:
            with self._clear_errors():
                if not read_only:
                    self._lock()
                self._open(fingerprint)
        except BaseException:
            self.close()
            raise

    def _lock(self) -> None:
        """Hold a lock that the system drops with the process; readers do not look at it."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        lock = sqlite3.connect(self.path.with_name(self.path.name + ".lock"), timeout=0, isolation_level=None)
        self._connections.append(lock)
        lock.execute("PRAGMA journal_mode = MEMORY")
        lock.execute("BEGIN EXCLUSIVE")

    def _open(self, fingerprint: str) -> None:
        mode = "rw" if self.read_only else "rwc"
        self._db = sqlite3.connect(
            f"{self.path.absolute().as_uri()}?mode={mode}", uri=True, timeout=WAIT_SECONDS, isolation_level=None
        )
        self._connections.append(self._db)
        self._db.row_factory = sqlite3.Row
        if self.read_only:
            self._db.execute("PRAGMA query_only = ON")
        tables = {name for (name,) in self._db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if not tables >= {"meta", "purchases"} and (tables or self.read_only):
            raise UserError(f"{self.path}: not a ledger: expected one that lit-react wrote, or no file")
        if not self.read_only:
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
        if not tables:
            self._create(fingerprint)
        meta = dict(self._db.execute("SELECT key, value FROM meta").fetchall())
        if meta.get("schema_version") != SCHEMA_VERSION:
            version = meta.get("schema_version")
            raise UserError(f"{self.path}: ledger version {version}: expected {SCHEMA_VERSION}; choose another folder")
        self.run = meta["run"]
        if meta.get("fingerprint") != fingerprint and not self.read_only and not self.purchases():
            self._db.execute("UPDATE meta SET value = ? WHERE key = 'fingerprint'", (fingerprint,))
        elif meta.get("fingerprint") != fingerprint:
            raise UserError(
                f"{self.path}: this ledger was bought for other data (texts, their order or the names of the labels); "
                "give the data as it was, or another folder"
            )
        if self.read_only:
            return
        fault = self._db.execute("PRAGMA quick_check(1)").fetchone()[0]
        if fault != "ok":
            raise UserError(f"{self.path}: the ledger is damaged: {' '.join(fault.split())}")
        if self.spent > self.budget * (1 + SLACK):
            raise UserError(
                f"rounds.budget {self.budget:g}: {self.path} already spent {self.spent:g}: expected at least that"
            )

    def _create(self, fingerprint: str) -> None:
        with self._transaction():
            for statement in CREATE:
                self._db.execute(statement)
            meta = {"schema_version": SCHEMA_VERSION, "fingerprint": fingerprint, "run": uuid.uuid4().hex}
            self._db.executemany("INSERT INTO meta VALUES (?, ?)", meta.items())

    @contextmanager
    def _clear_errors(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.IntegrityError, sqlite3.ProgrammingError):  # mistakes of ours, not of the file
            raise
        except (sqlite3.DatabaseError, OSError) as error:
            if getattr(error, "sqlite_errorname", "").startswith("SQLITE_BUSY"):
                raise UserError(
                    f"{self.path} is in use by another process: end that run, or give another folder"
                ) from error
            raise UserError(f"{self.path}: cannot use the ledger: {error}") from error

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._clear_errors():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    def ask(self, round: int, queries: Sequence[Query]) -> None:
        """Commit to buying labels, in this order; they are on the disk when this returns.

        `round` is the one whose fit first may use the labels; 0 for initial and validation labels.

        Raises:
            ValueError: a row was asked before or does not exist, a cost is negative, or the total exceeds the
                budget; nothing is recorded.
            UserError: the file cannot be written.
        """
        with self._transaction():
            count = "SELECT COUNT(*) FROM purchases WHERE round = ?"
            first = self._db.execute(count, (int(round),)).fetchone()[0]
            now = _now()
            rows = []
            for place, q in enumerate(queries, first):
                q_value = None if q.q_value is None else float(q.q_value)
                rows.append((q.split, int(q.row), int(round), place, float(q.cost), q.policy, q_value, now))
            try:
                self._db.executemany(
                    "INSERT INTO purchases (split, row, round, position, cost, policy, q_value, asked_at) "
                    "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    rows,
                )
            except sqlite3.IntegrityError as error:
                raise ValueError(f"round {round}: a row is asked twice or a value is out of range: {error}") from error
            if not self.spent <= self.budget * (1 + SLACK):
                raise ValueError(f"round {round}: total cost {self.spent:g} exceeds the budget {self.budget:g}")

    def answer(self, labels: Mapping[tuple[str, int], Label], annotator: str) -> None:
        """Record answers, (split, row) → label, all or none; they are on the disk when this returns.

        An answer that is already recorded changes nothing.

        Raises:
            ValueError: a row was not asked, has another label already, or the label is None.
            UserError: the file cannot be written.
        """
        with self._transaction():
            now = _now()
            for (split, row), label in labels.items():
                where = (split, int(row))
                found = self._db.execute("SELECT label FROM purchases WHERE split = ? AND row = ?", where).fetchone()
                if found is None:
                    raise ValueError(f"{split} row {row} was answered but never asked")
                if label is None:
                    raise ValueError(f"{split} row {row} was answered without a label")
                written = json.dumps(label, ensure_ascii=False, sort_keys=True)
                if found["label"] is None:
                    self._db.execute(
                        "UPDATE purchases SET label = ?, annotator = ?, answered_at = ? WHERE split = ? AND row = ?",
                        (written, annotator, now, *where),
                    )
                elif found["label"] != written:
                    raise ValueError(f"{split} row {row} has label {found['label']}, now {written} was given")

    def pending(self, round: int) -> list[Query]:
        """Return what was asked for a round and is not answered, in the order of asking."""
        return self._queries("round = ? AND label IS NULL", int(round))

    def asked(self, round: int) -> list[Query]:
        """Return what was asked in one round, answered or not, in the order of asking."""
        return self._queries("round = ?", int(round))

    def _queries(self, condition: str, *values: int) -> list[Query]:
        columns = "split, row, cost, policy, q_value"
        query = f"SELECT {columns} FROM purchases WHERE {condition} ORDER BY round, position"
        return [Query(*row) for row in self._select(query, *values)]

    def labeled(self, split: str, up_to_round: int) -> dict[int, Label]:
        """Return the answered rows of a split that the fit of a round may use: row → label, rows ascending."""
        found = self._select(
            "SELECT row, label FROM purchases WHERE split = ? AND round <= ? AND label IS NOT NULL ORDER BY row",
            split,
            int(up_to_round),
        )
        return {row: json.loads(label) for row, label in found}

    @property
    def spent(self) -> float:
        """Cost of all that was asked, answered or not."""
        return math.fsum(cost for (cost,) in self._select("SELECT cost FROM purchases"))

    def spent_by(self, round: int) -> float:
        """Cost of all that was asked up to a round and in it; later rounds' queries don't count."""
        return math.fsum(cost for (cost,) in self._select("SELECT cost FROM purchases WHERE round <= ?", int(round)))

    def left_for(self, round: int) -> float:
        """What is left of the budget for the query of a round, never below 0; later rounds' queries don't count."""
        return max(0.0, self.budget - self.spent_by(round - 1))

    def purchases(self) -> list[dict[str, Any]]:
        """Return the whole table, one dict a purchase, in the order of asking; `label` None where none is known."""
        found = [dict(row) for row in self._select("SELECT * FROM purchases ORDER BY round, position")]
        return [row | {"label": json.loads(row["label"] or "null")} for row in found]

    def _select(self, query: str, *values: str | int) -> list[sqlite3.Row]:
        with self._clear_errors():
            return self._db.execute(query, values).fetchall()

    def close(self) -> None:
        """Close the file and let another process write; closing twice does no harm."""
        while self._connections:  # the data first, the lock last
            self._connections.pop().close()

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def has_purchases(path: Path) -> bool:
    """Whether a ledger is there in which something was asked for; true for a damaged one: opening it tells.

    One that is still empty is that of a process that was killed while it made it.
    """
    if not path.is_file():
        return False
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True)) as db:
            made = db.execute("SELECT COUNT(*) FROM sqlite_master WHERE name = 'purchases'").fetchone()[0]
            return made > 0 and db.execute("SELECT COUNT(*) FROM purchases").fetchone()[0] > 0
    except sqlite3.DatabaseError:
        return True


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
