"""What a monitor has counted, to look at: `trends.html`, one file that needs nothing else, and `trends.png`."""

from __future__ import annotations

import io
from dataclasses import dataclass
from html import escape
from typing import Any

import matplotlib
import numpy as np
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure

from lit_react.applications.monitoring import DAY, Monitor, moment, told_of
from lit_react.applications.shares import ShareReader
from lit_react.core.files import write_atomically
from lit_react.core.terminal import plain

SHOWN = 5
"""Posts that stand behind a point: those that the model finds the most negative."""

DAYS = 90
"""Days on the page, the last ones."""

BAR, LINE, ALERT = "#b3b3b3", "#0072B2", "#D55E00"

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 64rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
svg { width: 100%; height: auto } h1 { font-size: 1.4rem } h2 { font-size: 1.1rem }
section { border-left: 3px solid #ddd; padding: .1rem 1rem; margin: 1rem 0; overflow-wrap: anywhere }
section:target { border-color: #D55E00; background: #fff6f0 } .alert { color: #B34700 } time { color: #666 }
"""


@dataclass(frozen=True)
class Point:
    """A day of a topic: posts, those that count as negative, and the adjusted share of these with its error."""

    topic: str
    day: int
    posts: int
    negative: int
    share: float
    error: float

    @property
    def anchor(self) -> str:
        """Where the page has the posts behind it."""
        return f"{self.topic.encode().hex()}-{self.day}"


def points_of(monitor: Monitor, reader: ShareReader) -> list[Point]:
    """The last days of each topic; days without any post have none."""
    names, found = monitor.rules.sentiments, []
    place = names.index(monitor.rules.negative)
    a_day = DAY // monitor.rules.period
    rows = monitor.file.select(
        "SELECT topic, period / ? AS day, group_concat(hex(probabilities), ''), count(*), sum(sentiment = ?)"
        " FROM posts WHERE period >= ? GROUP BY topic, day ORDER BY topic, day",
        a_day,
        monitor.rules.negative,
        (int(monitor.newest // DAY) - DAYS + 1) * a_day,
    )
    for topic, day, joined, posts, negative in rows:
        probabilities = np.frombuffer(bytes.fromhex(joined), dtype=np.float32).reshape(-1, len(names))
        shares, errors = reader.estimate(probabilities.astype(np.float64))
        found.append(Point(topic, day, posts, negative, float(shares[place]), float(errors[place])))
    return found


def figure_of(monitor: Monitor, points: list[Point]) -> Figure:
    """A panel a topic: the adjusted share of negative posts with 95 % intervals, the posts, and when alerts came."""
    topics = monitor.rules.topics
    figure = Figure(figsize=(9, 1 + 2.1 * len(topics)), layout="constrained")
    panels = figure.subplots(len(topics), 1, sharex=True, squeeze=False)[:, 0]
    for axes, topic in zip(panels, topics, strict=True):
        own = [point for point in points if point.topic == topic]
        days = np.array([point.day for point in own], dtype="datetime64[D]")
        volume = axes.twinx()
        volume.bar(days, [point.posts for point in own], color=BAR, alpha=0.35, width=0.9)
        volume.set_ylabel("posts a day", color="#777777", fontsize=8)
        axes.set_zorder(volume.get_zorder() + 1)
        axes.patch.set_visible(False)
        for run in np.split(
            np.arange(len(own)), np.flatnonzero(np.diff(days.astype(int)) > 1) + 1
        ):  # no line over a gap
            shares, errors = np.array([[own[i].share, own[i].error] for i in run]).reshape(-1, 2).T
            axes.plot(days[run], shares, color=LINE, linewidth=1.2)
            low, high = np.clip([shares - 1.96 * errors, shares + 1.96 * errors], 0, 1)
            axes.fill_between(days[run], low, high, color=LINE, alpha=0.18, linewidth=0)
        axes.scatter(days, [p.share for p in own], s=16, color=LINE, zorder=3, urls=[f"#{p.anchor}" for p in own])
        for alert in monitor.alerts():
            if alert["topic"] == topic and len(days) and np.datetime64(alert["period"][:10]) >= days[0]:
                axes.axvline(np.datetime64(alert["period"][:-1]), color=ALERT, linewidth=1.6)
        axes.set_ylim(0, 1)
        axes.set_ylabel(f"{monitor.rules.negative} share", color=LINE, fontsize=8, parse_math=False)
        axes.set_title(plain(topic), loc="left", fontsize=10, parse_math=False)
        for each in (axes, volume):
            each.spines[["top"]].set_visible(False)
            each.tick_params(labelsize=8)
    locator = AutoDateLocator(maxticks=10)
    panels[-1].xaxis.set_major_locator(locator)
    panels[-1].xaxis.set_major_formatter(ConciseDateFormatter(locator))
    return figure


def write_trends(monitor: Monitor, reader: ShareReader) -> None:
    """Write both files; the page has no scripts and may load nothing, and all that is from the stream is escaped."""
    points = points_of(monitor, reader)
    picture, drawing, figure = io.BytesIO(), io.StringIO(), figure_of(monitor, points)
    figure.savefig(picture, format="png", dpi=110)
    with matplotlib.rc_context({"svg.hashsalt": "trends"}):  # the same counts are the same file
        figure.savefig(drawing, format="svg", metadata={"Date": None, "Creator": None})
    svg = drawing.getvalue().replace('target="_blank"', "")  # the posts are on the same page
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    parts = [
        f'<!doctype html><html lang="en"><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" '
        f'content="{policy}"><meta name="viewport" content="width=device-width"><title>Opinion by topic</title>'
        f"<style>{STYLE}</style><h1>Opinion by topic</h1><p>{escape(monitor.told())}</p>"
        "<p>Blue: share adjusted for what the classifier confuses, and how far held-out labels say that it may be off "
        "(1.96 standard errors); grey: posts; orange: alerts. A point leads to posts behind it.</p>",
        svg[svg.index("<svg") :],
        "<h2>Alerts</h2>" + "".join(map(_alert, monitor.alerts())),
        "<h2>The posts behind the points</h2>",
        *(_behind(monitor, point) for point in points),
    ]
    write_atomically(monitor.folder / "trends.png", picture.getvalue())
    write_atomically(monitor.folder / "trends.html", "\n".join(parts).encode())


def _alert(alert: dict[str, Any]) -> str:
    topic, told = escape(plain(alert["topic"])), told_of(alert)
    return f'<p class="alert"><b>{topic}</b>: {told}; it seems to have begun at {alert["since"]}</p>'


def _behind(monitor: Monitor, point: Point) -> str:
    """The most negative posts of a day."""
    a_day = DAY // monitor.rules.period
    rows = monitor.file.select(
        "SELECT at, text FROM posts WHERE period >= ? AND period < ? AND topic = ? AND sentiment = ?"
        " ORDER BY negative DESC, id LIMIT ?",
        point.day * a_day,
        (point.day + 1) * a_day,
        point.topic,
        monitor.rules.negative,
        SHOWN,
    )
    listed = "".join(f"<p><time>{moment(at)}</time> {escape(plain(text))}</p>" for at, text in rows)
    counted = f"{point.negative} of {point.posts} read as negative; adjusted {point.share:.2f} ± {point.error:.2f}"
    head = f"{escape(plain(point.topic))}, {moment(point.day * DAY)[:10]}"
    return f'<section id="{point.anchor}"><b>{head}</b>: {counted}{listed}</section>'
