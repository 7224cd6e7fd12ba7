"""The SQLite file of a monitor: what is committed is on the disk, and one process writes."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lit_react.core.errors import UserError
from lit_react.core.same_work import hold
from lit_react.core.sqlite import keep_on_disk, transaction

TABLES = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS posts (
    id INTEGER PRIMARY KEY, at REAL NOT NULL, period INTEGER NOT NULL, topic TEXT NOT NULL,
    sentiment TEXT NOT NULL, negative REAL NOT NULL, probabilities BLOB NOT NULL, text TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS of_period ON posts (period, topic, sentiment);
CREATE TABLE IF NOT EXISTS seen (digest BLOB PRIMARY KEY, at REAL NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS of_time ON seen (at);
CREATE TABLE IF NOT EXISTS alerts (id INTEGER PRIMARY KEY, alert TEXT NOT NULL, sent INTEGER NOT NULL);
"""


class MonitorFile:
    """`monitor.sqlite` in a folder.

    Args:
        folder: is made where there is none, for its owner alone.

    Raises:
        UserError: here and from each method: another process has the folder, or the file is damaged or has no room.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "monitor.sqlite"
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise UserError(f"folder: {folder} is no folder") from error
        self._lock = hold(folder)
        with self._clear_errors():
            self.db = connect(self.path)
            self.db.executescript(TABLES)

    def select(self, query: str, *values: Any) -> list[Any]:
        """The rows of a query, with values for its question marks."""
        with self._clear_errors():
            return self.db.execute(query, values).fetchall()

    def get(self, key: str, default: Any) -> Any:
        """What was put by a key."""
        found = self.select("SELECT value FROM meta WHERE key = ?", key)
        return json.loads(found[0][0]) if found else default

    def put(self, key: str, value: Any) -> None:
        """Keep what JSON can say, within a transaction."""
        self.db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, json.dumps(value)))

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All that is done inside is on the disk afterwards; where it raises, none of it is."""
        with self._clear_errors(), transaction(self.db):
            yield

    @contextmanager
    def _clear_errors(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.IntegrityError, sqlite3.ProgrammingError):  # mistakes of ours, not of the file
            raise
        except sqlite3.DatabaseError as error:
            raise UserError(f"folder: cannot use {self.path}: {error}") from error

    def close(self) -> None:
        """Let another process write."""
        self.db.close()
        self._lock.close()


def connect(path: Path) -> sqlite3.Connection:
    """A connection; what is committed is on the disk."""
    db = sqlite3.connect(path, timeout=30, isolation_level=None)
    keep_on_disk(db)
    return db
