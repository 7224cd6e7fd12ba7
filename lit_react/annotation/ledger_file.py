"""The file of a ledger: its tables, who may write it, and that what is committed is on the disk."""

from __future__ import annotations

import sqlite3
import threading
import uuid
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Self

from lit_react.core.errors import UserError
from lit_react.core.sqlite import keep_on_disk, transaction

SCHEMA_VERSION = "4"
CREATE = (
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL)",
    """CREATE TABLE queries (
        split TEXT NOT NULL CHECK (split IN ('pool', 'validation')),
        row INTEGER NOT NULL CHECK (row >= 0),
        round INTEGER NOT NULL CHECK (round >= 0),
        position INTEGER NOT NULL,
        wanted INTEGER NOT NULL CHECK (wanted > 0),
        cost REAL NOT NULL CHECK (cost >= 0),
        policy TEXT NOT NULL,
        q_value REAL,
        asked_at TEXT NOT NULL,
        PRIMARY KEY (split, row, round)
    )""",
    """CREATE TABLE answers (
        id INTEGER PRIMARY KEY,
        split TEXT NOT NULL,
        row INTEGER NOT NULL,
        annotator TEXT NOT NULL,
        label TEXT,
        undo INTEGER NOT NULL CHECK (undo IN (0, 1)),
        cost REAL NOT NULL CHECK (cost >= 0),
        seconds REAL,
        confidence REAL,
        note TEXT NOT NULL,
        answered_at TEXT NOT NULL
    )""",
    "CREATE INDEX of_row ON answers (split, row, annotator)",
    "CREATE TABLE fits (round INTEGER PRIMARY KEY, last_answer INTEGER NOT NULL)",
)
WAIT_SECONDS = 10.0


class LedgerFile:
    """An SQLite file in WAL mode with `synchronous = FULL`. Threads of the process may share it.

    Args:
        path: the file; beside it a writer keeps an empty `<name>.lock`.
        fingerprint: names the data that its rows belong to; a ledger in which something was asked must have the same.
            None (`read_only`): whatever they are.
        grown_from: names of the same data when they had fewer rows at their end; it may have one of these instead.
        read_only: see what is committed, create nothing, write nothing.

    Raises:
        UserError: the file is missing (`read_only`), no ledger, of other data, damaged, or another process writes it.
    """

    def __init__(self, path: Path, fingerprint: str | None, grown_from: Sequence[str] = (), *, read_only: bool) -> None:
        self.path, self.read_only = Path(path), read_only
        self._connections: list[sqlite3.Connection] = []
        self._in_use = threading.RLock()
        if read_only and not self.path.is_file():
            raise UserError(f"{path}: no ledger there")
        try:
            with self._clear_errors():
                if not read_only:
                    self._lock()
                self._open(fingerprint)
            self._check_meta(fingerprint, grown_from)
            if not read_only:
                self._check_pages()
        except BaseException:
            self.close()
            raise

    def _lock(self) -> None:
        """Hold a lock that the system drops with the process; readers do not look at it."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        lock = self.path.with_name(self.path.name + ".lock")
        self._connections.append(sqlite3.connect(lock, timeout=0, isolation_level=None, check_same_thread=False))
        self._connections[-1].execute("PRAGMA journal_mode = MEMORY")
        self._connections[-1].execute("BEGIN EXCLUSIVE")

    def _open(self, fingerprint: str | None) -> None:
        self._db = sqlite3.connect(
            f"{self.path.absolute().as_uri()}?mode={'rw' if self.read_only else 'rwc'}",
            uri=True,
            timeout=WAIT_SECONDS,
            isolation_level=None,
            check_same_thread=False,
        )
        self._connections.append(self._db)
        self._db.row_factory = sqlite3.Row
        if self.read_only:
            self._db.execute("PRAGMA query_only = ON")
        found = {name for (name,) in self._db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if "meta" not in found and (found or self.read_only):
            raise UserError(f"{self.path}: not a ledger: expected one that lit-react wrote, or no file")
        if not self.read_only:
            keep_on_disk(self._db)
        if not found and fingerprint is not None:
            self._create(fingerprint)

    def _create(self, fingerprint: str) -> None:
        with self.transaction() as db:
            for statement in CREATE:
                db.execute(statement)
            meta = {"schema_version": SCHEMA_VERSION, "fingerprint": fingerprint, "run": uuid.uuid4().hex}
            db.executemany("INSERT INTO meta VALUES (?, ?)", meta.items())

    def _check_meta(self, fingerprint: str | None, grown_from: Sequence[str]) -> None:
        meta = {row["key"]: row["value"] for row in self.select("SELECT key, value FROM meta")}
        version = meta.get("schema_version")
        if version != SCHEMA_VERSION:
            raise UserError(f"{self.path}: ledger version {version}: expected {SCHEMA_VERSION}; choose another folder")
        self.run = meta["run"]
        if fingerprint is None or meta["fingerprint"] == fingerprint:
            return
        grown = meta["fingerprint"] in grown_from
        if not grown and (self.read_only or self.select("SELECT 1 FROM queries LIMIT 1")):
            raise UserError(
                f"{self.path}: this ledger was bought for other data (texts, their order or the names of the labels); "
                "give the data as it was, or another folder"
            )
        if self.read_only:
            return
        with self.transaction() as db:
            db.execute("UPDATE meta SET value = ? WHERE key = 'fingerprint'", (fingerprint,))

    def _check_pages(self) -> None:
        fault = self.select("PRAGMA quick_check(1)")[0][0]
        if fault != "ok":
            raise UserError(f"{self.path}: the ledger is damaged: {' '.join(fault.split())}")

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
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All that is done inside is on the disk afterwards; where it raises, none of it is."""
        with self._in_use, self._clear_errors(), transaction(self._db):
            yield self._db

    def select(self, query: str, **values: str | int) -> list[sqlite3.Row]:
        """The rows of a query, with values by name (`:name`)."""
        with self._in_use, self._clear_errors():
            return self._db.execute(query, values).fetchall()

    def close(self) -> None:
        """Close the file and let another process write; closing twice does no harm."""
        with self._in_use:
            while self._connections:  # the data first, the lock last
                self._connections.pop().close()

    def __enter__(self) -> Self:
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
            names = {name for (name,) in db.execute("SELECT name FROM sqlite_master")}
            asked = names & {"queries", "purchases"}  # the table of another version
            return any(db.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0] for table in asked)
    except sqlite3.DatabaseError:
        return True
