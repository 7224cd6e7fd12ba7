"""`monitor`: the models of runs read a stream of posts."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Literal

from lit_react.cli.labels import result_of
from lit_react.core.bounds import expect
from lit_react.core.quiet import quiet
from lit_react.core.terminal import plain

PERIODS = {"hour": 3600, "day": 86400}
BATCH = 256
"""Posts that are read at once; a slow stream's are read as they come."""

REFRESH = 60.0
"""Seconds after which the page of a stream that goes on is written again."""


def monitor(
    *,
    sentiment: Path,
    stream: str,
    folder: Path,
    topic: Path | None = None,
    negative: str = "negative",
    text_column: str = "text",
    time_column: str = "time",
    id_column: str = "id",
    follow: bool = False,
    period: Literal["hour", "day"] = "hour",
    late_hours: float = 1.0,
    quiet_days: float = 14.0,
    false_alerts: float = 1.0,
    webhook: str | None = None,
) -> None:
    """Count the posts of a stream by topic and sentiment, and tell when negative ones surge in a topic.

    In the folder are then `trends.html`, `trends.png`, `alerts.jsonl` and `monitor.sqlite`, which keeps every post. The
    same command goes on where the last one ended, or was killed; each post counts once.

    Args:
        sentiment: folder of a run whose classes are sentiments.
        stream: .jsonl or .csv file of posts, or - for JSON lines from standard input (what comes again counts once).
        folder: where the counts are; for its owner alone.
        topic: folder of a run whose classes are topics; without, there is one topic.
        negative: name of the class whose surges are told.
        text_column: column of the text.
        time_column: column of the time: ISO 8601 (UTC where it names no zone), or seconds since 1970.
        id_column: column that tells posts apart; those without are told apart by their text, for seven days.
        follow: wait for more at the end of the file, until stopped.
        period: what surges are looked for in.
        late_hours: hours behind the newest post after which a post no longer counts.
        quiet_days: days at the beginning that are taken for usual; no alert comes before they are over.
        false_alerts: wanted in 30 quiet days, of all topics together.
        webhook: address that alerts are posted to as JSON, without any post's text.
    """
    expect("late_hours", late_hours, at_least=0)
    expect("quiet_days", quiet_days, above=0)
    expect("false_alerts", false_alerts, above=0, at_most=30)
    from lit_react.applications.monitoring import Monitor, Rules
    from lit_react.applications.opinions import Opinions
    from lit_react.applications.posts import Stream
    from lit_react.applications.trends import write_trends
    from lit_react.applications.webhook import Webhook

    quiet()
    read = Opinions(result_of(sentiment), result_of(topic) if topic else None, negative)
    rules = Rules(read.topics, read.names, negative, PERIODS[period], late_hours * 3600, quiet_days, false_alerts)
    watch, posts = Monitor(folder, rules, read), Stream(stream, text_column, time_column, id_column, follow)
    sender = Webhook(watch.file.path, webhook) if webhook else None
    written = -REFRESH
    try:
        for batch, place in posts.batches(watch.place, BATCH):
            if batch or place != watch.place:
                watch.take(batch, place)
            if time.monotonic() - written > REFRESH:
                write_trends(watch, read.shares)
                written = time.monotonic()
    finally:
        if sender:
            sender.close()
    write_trends(watch, read.shares)
    print(plain(f"{watch.told()}\n{len(watch.alerts())} alerts: {folder / 'alerts.jsonl'}\n{folder / 'trends.html'}"))
    watch.close()
