"""What people say of some topics over time: posts are counted by topic and sentiment, and negative surges told."""

from __future__ import annotations

import fcntl
import json
import logging
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lit_react.applications.posts import Place, Post
from lit_react.applications.surges import Detector
from lit_react.core.errors import UserError
from lit_react.core.files import write_lines

log = logging.getLogger("lit_react")

DAY = 86400
FEWEST = 50
"""Posts of a topic in the quiet beginning below which it is not watched."""

MONTH = 30
"""Days over which false alerts are counted."""

FORGET = 7 * DAY
"""Seconds of the stream's time after which a post may come again and counts again."""

AHEAD = 300
"""Seconds that a post may be ahead of this machine's clock."""

TOLD = 5
"""Unreadable records that are told of one by one."""

TABLES = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS posts (
    id INTEGER PRIMARY KEY, digest BLOB NOT NULL, at REAL NOT NULL, period INTEGER NOT NULL, topic TEXT NOT NULL,
    sentiment TEXT NOT NULL, probabilities BLOB NOT NULL, text TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS of_digest ON posts (digest, at);
CREATE INDEX IF NOT EXISTS of_period ON posts (period, topic, sentiment);
CREATE TABLE IF NOT EXISTS alerts (id INTEGER PRIMARY KEY, alert TEXT NOT NULL, sent INTEGER NOT NULL);
"""


@dataclass(frozen=True)
class Rules:
    """How posts are counted and when an alert is given.

    Attributes:
        topics: names of the topics.
        sentiments: names of the sentiments, in the order of their probabilities.
        negative: the one whose surges are told.
        period: seconds of a period.
        late: seconds behind the newest post after which a post no longer counts.
        quiet_days: length of the beginning that is taken for usual; periods without any post are not of it.
        false_alerts: wanted in 30 quiet days, of all topics together.
    """

    topics: list[str]
    sentiments: list[str]
    negative: str
    period: int
    late: float
    quiet_days: float
    false_alerts: float


@dataclass(frozen=True)
class Reading:
    """What the models say of a post: the topic, and the probabilities of the sentiments, float32 [S]."""

    topic: str
    probabilities: NDArray[np.float32]


Read = Callable[[list[str]], list[Reading | None]]
"""Posts to what the models say of each; None: it is in a script that they have not learned."""


class Monitor:
    """Counts of a stream in a folder. A batch of posts, the place after it and its alerts are one transaction.

    A period is judged once no post of it can count any more, so that counts, alerts and what is late depend on the
    posts and their order alone, not on batches or restarts.

    Args:
        folder: for `monitor.sqlite` and `alerts.jsonl`; it is for its owner alone.
        rules: the same as before, where there is one already.
        read: the models.

    Raises:
        UserError: another process has the folder, or it was begun with other rules.
    """

    def __init__(self, folder: Path, rules: Rules, read: Read) -> None:
        self.folder, self.rules, self.read = folder, rules, read
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = (folder / "monitor.lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise UserError(f"folder: another process writes {folder}") from error
        self.file = folder / "monitor.sqlite"
        self.db = connect(self.file)
        self.db.executescript(TABLES)
        begun = self._meta("rules", asdict(rules))
        if changed := [name for name, value in asdict(rules).items() if begun[name] != value]:
            name = changed[0]
            raise UserError(f"folder: {folder} was begun with {name} {begun[name]!r}, got {getattr(rules, name)!r}")
        with self._transaction():
            self._put("rules", begun)
        self._load()
        self._write_alerts()  # a killed process may have committed some and not written them

    def _load(self) -> None:
        """What the last transaction left."""
        self.place = Place(**self._meta("place", {}))
        self.tally = Counter(self._meta("tally", {}))
        self.newest: float = self._meta("newest", 0.0)
        self.detectors: dict[str, dict[str, Any] | None] | None = self._meta("detectors", None)

    @property
    def judged(self) -> int:
        """The first period that posts still count in."""
        return int((self.newest - self.rules.late) // self.rules.period)

    def take(self, batch: Sequence[Post | str], place: Place) -> None:
        """Count a batch of posts; after an error nothing of it is."""
        try:
            with self._transaction():
                before = self.judged
                self._count(batch)
                self._judge(before)
                self.place = place
                for name, value in (("place", asdict(place)), ("tally", self.tally), ("newest", self.newest)):
                    self._put(name, value)
                self._put("detectors", self.detectors)
        except BaseException:
            self._load()
            raise
        if self.tally["alerts"]:
            self._write_alerts()

    def _count(self, batch: Sequence[Post | str]) -> None:
        kept: list[Post] = []
        seen: dict[bytes, float] = {}
        for post in batch:
            self.tally["records"] += 1
            if isinstance(post, str):
                self.tally["unreadable"] += 1
                if self.tally["unreadable"] <= TOLD:
                    log.warning("stream: %s; it is left out", post)
            elif post.at > time.time() + AHEAD:
                self.tally["ahead of the clock"] += 1
            elif post.at // self.rules.period < self.judged:
                self.tally["late"] += 1
            elif self._last_seen(post, seen) >= self.newest - FORGET:
                self.tally["repeated"] += 1
            else:
                self.newest = max(self.newest, post.at)
                seen[post.digest] = post.at
                kept.append(post)
        for post, reading in zip(kept, self.read([post.text for post in kept]) if kept else [], strict=True):
            self.tally["foreign" if reading is None else "counted"] += 1
            if reading is not None:
                sentiment = self.rules.sentiments[int(reading.probabilities.argmax())]
                shares = reading.probabilities.astype(np.float32).tobytes()
                row = (post.digest, post.at, int(post.at // self.rules.period), reading.topic, sentiment, shares)
                columns = "digest, at, period, topic, sentiment, probabilities, text"
                self.db.execute(f"INSERT INTO posts ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?)", (*row, post.text))

    def _last_seen(self, post: Post, seen: dict[bytes, float]) -> float:
        """Seconds since 1970 of the newest post with the same digest, in this batch or before; else minus infinity."""
        found = self.db.execute("SELECT max(at) FROM posts WHERE digest = ?", (post.digest,)).fetchone()[0]
        return max(seen.get(post.digest, -np.inf), -np.inf if found is None else found)

    def _judge(self, before: int) -> None:
        """Look at the periods that have become complete; those without any post say nothing."""
        complete: dict[int, dict[str, tuple[int, int]]] = {}
        for period, topic, texts, negative in self.counts(before, self.judged):
            complete.setdefault(period, {})[topic] = texts, negative
        for period, counts in sorted(complete.items()):
            if self.detectors is None:
                self.detectors = self._fitted(period)
            for topic, state in (self.detectors or {}).items():
                if state is not None:
                    self._step(topic, state, period, *counts.get(topic, (0, 0)))

    def counts(self, first: int, end: int) -> list[tuple[int, str, int, int]]:
        """Of each period from `first` to before `end` and each topic there: posts, and negative ones."""
        return self.db.execute(
            "SELECT period, topic, count(*), sum(sentiment = ?) FROM posts WHERE period >= ? AND period < ?"
            " GROUP BY period, topic",
            (self.rules.negative, first, end),
        ).fetchall()

    def _fitted(self, period: int) -> dict[str, dict[str, Any] | None] | None:
        """A detector a topic by the periods before one; None: they are too few."""
        rules, a_day = self.rules, DAY / self.rules.period
        rows = self.counts(0, period)
        periods = sorted({row[0] for row in rows})
        if len(periods) < rules.quiet_days * a_day:
            return None
        found: dict[str, dict[str, Any] | None] = {}
        for topic in rules.topics:
            counted = {row[0]: row[2:] for row in rows if row[1] == topic}
            texts, negative = np.array([counted.get(each, (0, 0)) for each in periods], dtype=np.int64).T
            found[topic] = None
            if texts.sum() < FEWEST:
                log.warning(
                    "%s is not watched: %d posts in the quiet beginning, expected %d", topic, texts.sum(), FEWEST
                )
                continue
            wanted = rules.false_alerts / len(rules.topics)
            detector = Detector.of_quiet(texts, negative, round(MONTH * a_day), wanted, np.random.default_rng(0))
            found[topic] = {**asdict(detector), "sum": 0.0, "since": period, "surges": False}
        return found

    def _step(self, topic: str, state: dict[str, Any], period: int, texts: int, negative: int) -> None:
        """One period more; an alert where a surge begins, which ends when its sum has fallen to zero."""
        state["since"] = period if state["sum"] == 0 else state["since"]
        state["sum"] = Detector(state["share"], state["threshold"]).step(state["sum"], texts, negative)
        if state["sum"] >= state["threshold"] and not state["surges"]:
            self.tally["alerts"] += 1
            alert = {
                "id": self.tally["alerts"],
                "topic": topic,
                "period": moment(period * self.rules.period),
                "since": moment(state["since"] * self.rules.period),
                "texts": texts,
                "negative": negative,
                "usual_share": round(state["share"], 4),
            }
            self.db.execute("INSERT INTO alerts VALUES (?, ?, 0)", (alert["id"], json.dumps(alert)))
            log.warning("surge: %s, %d of %d negative in %s", topic, negative, texts, alert["period"])
        state["surges"] = state["sum"] >= state["threshold"] or (state["surges"] and state["sum"] > 0)

    def alerts(self) -> list[dict[str, Any]]:
        """All alerts so far, in their order."""
        return [json.loads(alert) for (alert,) in self.db.execute("SELECT alert FROM alerts ORDER BY id")]

    def _write_alerts(self) -> None:
        write_lines(self.folder / "alerts.jsonl", self.alerts())

    def told(self) -> str:
        """What became of the records so far, and how many periods had none."""
        rows = self.db.execute("SELECT DISTINCT period FROM posts ORDER BY period").fetchall()
        missing = np.diff([period for (period,) in rows]) - 1 if rows else np.zeros(0)
        tally = ", ".join(f"{count} {name}" for name, count in self.tally.items() if name != "records")
        gaps = f"; {missing.sum():.0f} periods without any post count as missing, not as zero" if missing.any() else ""
        return f"{self.tally['records']} records: {tally or 'nothing to count'}{gaps}"

    def _meta(self, key: str, default: Any) -> Any:
        found = self.db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return json.loads(found[0]) if found else default

    def _put(self, key: str, value: Any) -> None:
        self.db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, json.dumps(value)))

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self.db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self.db.execute("ROLLBACK")
            raise
        self.db.execute("COMMIT")

    def close(self) -> None:
        """Give the folder free."""
        self.db.close()
        self._lock.close()


def connect(file: Path) -> sqlite3.Connection:
    """A connection to a monitor's file; what is committed is on the disk."""
    db = sqlite3.connect(file, timeout=30, isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    return db


def moment(seconds: float) -> str:
    """ISO 8601, UTC, to the minute."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%MZ")
