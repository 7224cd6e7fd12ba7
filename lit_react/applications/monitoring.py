"""What people say of some topics over time: posts are counted by topic and sentiment, and negative surges told."""

from __future__ import annotations

import json
import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lit_react.applications.monitor_file import MonitorFile
from lit_react.applications.posts import Place, Post
from lit_react.applications.surges import Quiet, Surges, evidence, threshold_of
from lit_react.core.errors import UserError
from lit_react.core.files import write_lines
from lit_react.core.terminal import plain

log = logging.getLogger("lit_react")

DAY = 86400
FEWEST = 50
"""Posts of a topic in the quiet beginning below which it is not watched."""

FORGET = 7 * DAY
"""Seconds that posts are remembered for at least."""

AHEAD = 3600
"""Seconds that a post may be ahead of this machine's clock."""

JUMP, WITNESSES = DAY, 3
"""Seconds that a post may be ahead of all before it; after so many in a row, the stream had a gap."""

TOLD = 5
"""Unreadable records that are told of one by one."""


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

    @property
    def forget(self) -> float:
        """Seconds of the stream's time after which a post may come again and counts again: once an old one is late."""
        return max(FORGET, self.late + self.period)


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
        self.file = MonitorFile(folder)
        self.file.db.create_function("evidence", 1, lambda negative: float(evidence(negative)), deterministic=True)
        begun = self.file.get("rules", asdict(rules))
        if changed := [name for name, value in asdict(rules).items() if begun[name] != value]:
            name = changed[0]
            raise UserError(f"folder: {folder} was begun with {name} {begun[name]!r}, got {getattr(rules, name)!r}")
        with self.file.transaction():
            self.file.put("rules", begun)
        self._load()
        self._write_alerts()  # a killed process may have committed some and not written them

    def _load(self) -> None:
        """What the last transaction left."""
        self.place = Place(**self.file.get("place", {}))
        self.tally = Counter(self.file.get("tally", {}))
        self.newest: float = self.file.get("newest", 0.0)
        self.ahead: list[float] = self.file.get("ahead", [])
        surges = self.file.get("surges", None)
        self.surges = Surges(**surges) if surges else None

    @property
    def judged(self) -> int:
        """The first period that posts still count in."""
        return int((self.newest - self.rules.late) // self.rules.period)

    def take(self, batch: Sequence[Post | str], place: Place) -> None:
        """Count a batch of posts; after an error nothing of it is."""
        try:
            before, alerts = self.judged, self.tally["alerts"]
            new = self._new(batch)
            # outside the transaction, as it takes long and a webhook notes in the same file what was sent
            readings = self.read([post.text for post in new]) if new else []
            with self.file.transaction():
                self._keep(new, readings)
                self._judge(before)
                self.place = place
                self.file.put("place", asdict(place))
                self.file.put("surges", self.surges and asdict(self.surges))
                for name in ("tally", "newest", "ahead"):
                    self.file.put(name, getattr(self, name))
        except BaseException:
            self._load()
            raise
        if self.tally["alerts"] > alerts:
            self._write_alerts()

    def _new(self, batch: Sequence[Post | str]) -> list[Post]:
        """The posts that are to be read; the others are told."""
        new: list[Post] = []
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
            elif self._last_seen(post.digest, seen) >= max(self.newest, post.at) - self.rules.forget:
                self.tally["repeated"] += 1
            else:
                self.newest = max(self.newest, post.at)
                seen[post.digest] = post.at
                new.append(post)
        return new

    def _keep(self, new: Sequence[Post], readings: Sequence[Reading | None]) -> None:
        for post, reading in zip(new, readings, strict=True):
            self.tally["foreign" if reading is None else "counted"] += 1
            self.file.db.execute("INSERT OR REPLACE INTO seen VALUES (?, ?)", (post.digest, post.at))
            if reading is not None:
                shares = reading.probabilities.astype(np.float32).tobytes()
                period = int(post.at // self.rules.period)
                row = (post.at, period, reading.topic, reading.sentiment, reading.negative, shares, post.text)
                columns = "at, period, topic, sentiment, negative, probabilities, text"
                self.file.db.execute(f"INSERT INTO posts ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?)", row)
        self.file.db.execute("DELETE FROM seen WHERE at < ?", (self.newest - self.rules.forget,))

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

    def _last_seen(self, digest: bytes, seen: dict[bytes, float]) -> float:
        """When the newest post with a digest was, in this batch or before; minus infinity: there is none."""
        before = self.file.select("SELECT at FROM seen WHERE digest = ?", digest)
        return seen.get(digest, before[0][0] if before else -np.inf)

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
        return self.file.select(
            "SELECT period, topic, count(*), sum(negative), sum(evidence(negative)) FROM posts"
            " WHERE period >= ? AND period < ? GROUP BY period, topic ORDER BY period, topic",
            first,
            end,
        )

    def _quiet(self, end: int) -> Surges | None:
        """What is usual, by the periods before `end`; None: they are too few."""
        a_day = DAY // self.rules.period
        rows = self.file.select("SELECT DISTINCT period FROM posts WHERE period < ? ORDER BY period", end)
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
        self.file.db.execute("INSERT INTO alerts VALUES (?, ?, 0)", (alert["id"], json.dumps(alert)))
        log.warning("surge: %s, %s", plain(topic), told_of(alert))

    def alerts(self) -> list[dict[str, Any]]:
        """All alerts so far, in their order."""
        return [json.loads(alert) for (alert,) in self.file.select("SELECT alert FROM alerts ORDER BY id")]

    def _write_alerts(self) -> None:
        write_lines(self.folder / "alerts.jsonl", self.alerts())

    def told(self) -> str:
        """What became of the records so far, and how many periods had none."""
        rows = self.file.select("SELECT DISTINCT period FROM posts ORDER BY period")
        missing = np.diff([period for (period,) in rows]) - 1 if rows else np.zeros(0)
        tally = ", ".join(f"{count} {name}" for name, count in self.tally.items() if name != "records")
        gaps = f"; {missing.sum():.0f} periods without any post count as missing, not as zero" if missing.any() else ""
        return f"{self.tally['records']} records: {tally or 'nothing to count'}{gaps}"

    def close(self) -> None:
        """Give the folder free."""
        self.file.close()


def told_of(alert: dict[str, Any]) -> str:
    """How many posts an alert is about."""
    return f"{alert['negative']} negative posts of {alert['posts']} in {alert['period']}, usual is {alert['usual']}"


def moment(seconds: float) -> str:
    """ISO 8601, UTC, to the minute."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%MZ")
