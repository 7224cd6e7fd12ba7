"""A small stream of opinions, and a reader that goes by words: the third of three weeks ends with bad news of banks."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from lit_react.applications.monitoring import Monitor, Reading, Rules
from lit_react.applications.posts import Stream
from lit_react.applications.shares import ShareReader

BEGIN = datetime(2024, 3, 4, tzinfo=UTC)
SURGE = 12 * 24
"""The hour in which it begins."""
TOPICS, SENTIMENTS = ["banks", "shops"], ["bad", "good"]
RULES = Rules(TOPICS, SENTIMENTS, "bad", 3600, 3600.0, 10.0, 1.0)


def post(hour: float, text: str, **others: str) -> dict[str, str]:
    return {"time": (BEGIN + timedelta(hours=hour)).isoformat(), "text": text, **others}


def posts(hours: int = 14 * 24, gap: range = range(0)) -> list[dict[str, str]]:
    """Four an hour and topic, a fifth of them bad; after the surge ten times as many of banks are. None in a gap."""
    generator, found = np.random.default_rng(0), []
    for hour in (hour for hour in range(hours) if hour not in gap):
        for topic in TOPICS:
            times = 10 if topic == "banks" and hour >= SURGE else 1
            for sentiment, rate in (("bad", 0.8 * times), ("good", 3.2)):
                for number in range(generator.poisson(rate)):
                    found.append(post(hour + number / 60, f"{sentiment} {topic} {hour} {number}"))
    return sorted(found, key=lambda each: each["time"])


def write(path: Path, rows: Iterable[dict[str, str]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def read(texts: list[str]) -> list[Reading | None]:
    """Bad is what has the word, of banks what has that word, and 漢 is in no script that was learned."""
    found: list[Reading | None] = []
    for text in texts:
        bad = 0.9 if "bad" in text else 0.1
        topic, sentiment = TOPICS["banks" not in text], SENTIMENTS[bad < 0.5]
        reading = Reading(topic, sentiment, bad, np.array([bad, 1 - bad], dtype=np.float32))
        found.append(None if "漢" in text else reading)
    return found


def shares() -> ShareReader:
    """Of a classifier that is right about nine of ten labels."""
    labels = np.repeat([0, 1], 50)
    said = np.where(np.arange(100) % 10 == 0, 1 - labels, labels)
    held_out = np.where(said[:, None] == [0, 1], 0.9, 0.1)
    return ShareReader(None, np.array([0.5, 0.5]), held_out, labels)


def watched(folder: Path, file: Path, size: int = 256, reader=read, rules: Rules = RULES) -> Monitor:
    """A monitor that has read what is there."""
    monitor = Monitor(folder, rules, reader)
    try:
        for batch, place in Stream(str(file)).batches(monitor.place, size):
            monitor.take(batch, place)
    except BaseException:
        monitor.close()
        raise
    return monitor
