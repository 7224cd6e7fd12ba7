"""What people say of some topics over time: posts are counted by topic and sentiment, and negative surges told."""

from __future__ import annotations

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
from lit_react.applications.surges import Quiet, Surges, evidence, threshold_of
from lit_react.core.errors import UserError
from lit_react.core.files import write_lines
from lit_react.core.same_work import hold
from lit_react.core.terminal import plain

log = logging.getLogger("lit_react")

DAY = 86400
FEWEST = 50
"""Posts of a topic in the quiet beginning below which it is not watched."""

FORGET = 7 * DAY
"""Seconds of the stream's time after which a post may come again and counts again."""

AHEAD = 3600
"""Seconds that a post may be ahead of this machine's clock."""

JUMP, WITNESSES = DAY, 3
"""Seconds that a post may be ahead of all before it; after so many in a row, the stream had a gap."""

TOLD = 5
"""Unreadable records that are told of one by one."""

TABLES = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS posts (
    id INTEGER PRIMARY KEY, digest BLOB NOT NULL, at REAL NOT NULL, period INTEGER NOT NULL, topic TEXT NOT NULL,
    sentiment TEXT NOT NULL, negative REAL NOT NULL, probabilities BLOB NOT NULL, text TEXT NOT NULL
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
        sentiments: their names, in the order of their probabilities.
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
    """What the models say of a post.

    Attributes:
        topic: its topic.
        sentiment: the likeliest.
        negative: probability, by the same model, that it is the one whose surges are told.
        probabilities: float32 [S], of the sentiments, by the classifier that shares are estimated with.
    """

    topic: str
    sentiment: str
    negative: float
    probabilities: NDArray[np.float32]


Counts = Sequence[Any]
"""Of a topic and period: posts, their probabilities of being negative, and their evidence, added up."""

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
        self._lock = hold(folder)
        self.file = folder / "monitor.sqlite"
        self.db = connect(self.file)
        self.db.create_function("evidence", 1, lambda negative: float(evidence(negative)), deterministic=True)
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
        self.ahead: list[float] = self._meta("ahead", [])
        surges = self._meta("surges", None)
        self.surges = Surges(**surges) if surges else None

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
                self._put("place", asdict(place))
                self._put("surges", self.surges and asdict(self.surges))
                for name in ("tally", "newest", "ahead"):
                    self._put(name, getattr(self, name))
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
            elif self._jumps(post.at):
                self.tally["far ahead of the others"] += 1
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
                shares = reading.probabilities.astype(np.float32).tobytes()
                period = int(post.at // self.rules.period)
                row = (post.digest, post.at, period, reading.topic, reading.sentiment, reading.negative, shares)
                columns = "digest, at, period, topic, sentiment, negative, probabilities, text"
                self.db.execute(f"INSERT INTO posts ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", (*row, post.text))

    def _jumps(self, at: float) -> bool:
        """Whether a time is so far ahead of all others that it may be wrong: else all that come would be late."""
        if not self.newest or at <= self.newest + JUMP:
            self.ahead = []
            return False
        self.ahead.append(at)
        if len(self.ahead) < WITNESSES:
            return True
        self.newest, self.ahead = min(self.ahead), []
        return at > self.newest + JUMP

    def _last_seen(self, post: Post, seen: dict[bytes, float]) -> float:
        """Seconds since 1970 of the newest post with the same digest, in this batch or before; else minus infinity."""
        found = self.db.execute("SELECT max(at) FROM posts WHERE digest = ?", (post.digest,)).fetchone()[0]
        return max(seen.get(post.digest, -np.inf), -np.inf if found is None else found)

    def _judge(self, before: int) -> None:
        """Look at the periods that have become complete; those without any post say nothing."""
        complete: dict[int, dict[str, Counts]] = {}
        for period, topic, *counts in self.counts(before, self.judged):
            complete.setdefault(period, {})[topic] = counts
        for period, of_topics in sorted(complete.items()):
            self.surges = self.surges or self._quiet(period)
            if self.surges is not None:
                told = {topic: counts[2] for topic, counts in of_topics.items()}
                for topic in self.surges.step(period, sum(counts[0] for counts in of_topics.values()), told):
                    self._alert(self.surges, topic, period, of_topics.get(topic, (0, 0.0, 0.0)))

    def counts(self, first: int, end: int) -> list[tuple[int, str, int, float, float]]:
        """Of each period from `first` to before `end` and each topic there: posts, and the sums of `Quiet`."""
        return self.db.execute(
            "SELECT period, topic, count(*), sum(negative), sum(evidence(negative)) FROM posts"
            " WHERE period >= ? AND period < ? GROUP BY period, topic ORDER BY period, topic",
            (first, end),
        ).fetchall()

    def _quiet(self, end: int) -> Surges | None:
        """What is usual, by the periods before `end`; None: they are too few."""
        a_day = DAY // self.rules.period
        rows = self.db.execute("SELECT DISTINCT period FROM posts WHERE period < ? ORDER BY period", (end,)).fetchall()
        periods = np.array(rows, dtype=np.int64).ravel()
        if len(periods) < self.rules.quiet_days * a_day:
            return None
        days = np.unique(periods // a_day)
        sums = np.full((3, len(self.rules.topics), len(days), a_day), np.nan)
        sums[:, :, np.searchsorted(days, periods // a_day), periods % a_day] = 0.0
        for period, topic, *counts in self.counts(0, end):
            sums[:, self.rules.topics.index(topic), np.searchsorted(days, period // a_day), period % a_day] = counts
        watched = {}
        for place, (topic, posts) in enumerate(zip(self.rules.topics, np.nansum(sums[0], axis=(1, 2)), strict=True)):
            if posts >= FEWEST:
                watched[topic] = place
            else:
                log.warning("%s is not watched: %d posts in the quiet beginning, expected %d", topic, posts, FEWEST)
        quiet = Quiet(*sums)
        highest = quiet.highest(np.random.default_rng(0))[list(watched.values())]
        return quiet.surges(watched, threshold_of(highest, self.rules.false_alerts) if watched else 0.0)

    def _alert(self, surges: Surges, topic: str, period: int, counts: Counts) -> None:
        posts, negative, _ = counts
        self.tally["alerts"] += 1
        alert = {
            "id": self.tally["alerts"],
            "topic": topic,
            "period": moment(period * self.rules.period),
            "since": moment(surges.since[topic] * self.rules.period),
            "posts": posts,
            "negative": round(negative, 1),
            "usual": round(surges.usual(topic, period), 1),
        }
        self.db.execute("INSERT INTO alerts VALUES (?, ?, 0)", (alert["id"], json.dumps(alert)))
        log.warning("surge: %s, %s", plain(topic), told_of(alert))

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


def told_of(alert: dict[str, Any]) -> str:
    """How many posts an alert is about."""
    return f"{alert['negative']} negative posts of {alert['posts']} in {alert['period']}, usual is {alert['usual']}"


def moment(seconds: float) -> str:
    """ISO 8601, UTC, to the minute."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%MZ")
