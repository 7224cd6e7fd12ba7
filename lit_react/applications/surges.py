"""When a topic has more negative posts than usual: CUSUM (Page 1954) on the likelihood of marked Poisson counts.

No library is used: those that are kept (`river.drift.PageHinkley`, `ruptures`) weigh all values alike and take a
threshold as a bare number; here hours have few posts and a rhythm, some days are busier than others, a post is negative
with a probability, and the threshold follows from the false alerts that are wanted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

TIMES = 2.0
"""The usual number of negative posts that a surge is tuned to has; others are found as well, a little later."""

BUSY, PRIOR = 0.25, 30.0
"""Days over which it is looked how busy all topics together are, and the usual posts that are added to those seen."""

STRETCH = 30
"""Days over which false alerts are counted."""

PATHS = 1000
"""Quiet stretches that are drawn to set a threshold, of each topic."""

Floats = NDArray[np.float64]
Ids = NDArray[np.int64]


def evidence(negative: Floats | float) -> Floats:
    """What posts say for a surge, in nats, given the probability that each is negative."""
    return np.log1p((TIMES - 1) * np.asarray(negative, dtype=np.float64))


@dataclass
class Surges:
    """What is usual, and how far each topic is from it; all of it is plain enough for JSON.

    Attributes:
        posts: of all topics, for each period of a day.
        negative: topic → negative posts, for each period of a day.
        threshold: of a sum of log-likelihood ratios, in nats.
        recent: posts, and the usual number, of the last periods.
        sums: topic → its sum.
        since: topic → the period after which its sum was last zero.
        surging: topic whose sum has reached the threshold → when. After a day the sum starts anew, so that a surge that
            goes on is told again, and a false alert hides none for long; or once it has fallen to zero.
    """

    posts: list[float]
    negative: dict[str, list[float]]
    threshold: float
    recent: list[list[float]] = field(default_factory=list)
    sums: dict[str, float] = field(default_factory=dict)
    since: dict[str, int] = field(default_factory=dict)
    surging: dict[str, int] = field(default_factory=dict)

    def usual(self, topic: str, period: int) -> float:
        """Negative posts in a period, counted from midnight of any day, as busy as the last ones were."""
        return self.negative[topic][period % len(self.posts)] * busy(self.recent)

    def step(self, period: int, posts: float, told: Mapping[str, float]) -> list[str]:
        """Topics in which a surge begins with one more period, given all its posts and the evidence of each topic."""
        self.recent = [*self.recent, [posts, self.posts[period % len(self.posts)]]][-span(len(self.posts)) :]
        begun = []
        for topic in self.negative:
            if period >= self.surging.get(topic, period) + len(self.posts):
                self.sums[topic] = 0.0
            before = self.sums.get(topic, 0.0)
            if before == 0:
                self.surging.pop(topic, None)
                self.since[topic] = period
            gain = told.get(topic, 0.0) - (TIMES - 1) * self.usual(topic, period)
            self.sums[topic] = min(max(before + gain, 0.0), self.threshold)
            if self.sums[topic] >= self.threshold and topic not in self.surging:
                self.surging[topic] = period
                begun.append(topic)
        return begun


def busy(recent: Sequence[Sequence[float]]) -> float:
    """Posts by the usual number of them, in some periods."""
    return (sum(posts for posts, _ in recent) + PRIOR) / (sum(usual for _, usual in recent) + PRIOR)


def span(periods: int) -> int:
    """Periods of `BUSY` days."""
    return max(1, round(BUSY * periods))


@dataclass(frozen=True)
class Quiet:
    """The quiet beginning, float64 [T, D, P] each: topics, days, periods of a day; NaN where nothing came of any topic.

    Attributes:
        posts: how many.
        negative: sum of their probabilities of being negative.
        evidence: sum of what they say for a surge.
    """

    posts: Floats
    negative: Floats
    evidence: Floats

    @property
    def usual_posts(self) -> Floats:
        """Of all topics, float64 [P]."""
        return _rhythm(np.nan_to_num(self.posts).sum(axis=0), ~np.isnan(self.posts[0]))

    def usual_negative(self, topic: int, days: Ids) -> Floats:
        """Negative posts in the periods of a day, float64 [..., P], by the days int64 [D, ...].

        Their rhythm is that of all posts of the topic, as negative ones are few.
        """
        posts, negative = np.nan_to_num(self.posts[topic])[days], np.nan_to_num(self.negative[topic])[days]
        share = (negative.sum(axis=(0, -1)) + 0.5) / (posts.sum(axis=(0, -1)) + 1)
        return _rhythm(posts, ~np.isnan(self.posts[0])[days]) * share[..., None]

    def highest(self, generator: np.random.Generator) -> Floats:
        """The highest sums of each topic in drawn quiet stretches, float64 [T, 3, PATHS].

        Drawn are both what is taken for usual, so that a short beginning has a higher threshold, and what comes then:
        whole days, which keep what their hours have in common; each period from any day, as a few days put together
        whole show too few of the high sums that come once in months; and certain negative posts by Poisson's law, as
        few days have no period as high as one that comes once in months.
        """
        topics, days, periods = self.posts.shape
        there, told, how_busy = ~np.isnan(self.posts[0]), np.nan_to_num(self.evidence), self._busy()
        found = np.zeros((topics, 3, PATHS))
        for topic in range(topics):
            mean = self.usual_negative(topic, np.arange(days))
            usual = self.usual_negative(topic, generator.integers(days, size=(days, PATHS)))
            for highest, drawn in zip(found[topic], (1, periods), strict=False):
                sums = np.zeros(PATHS)
                for _ in range(STRETCH):
                    day = np.broadcast_to(generator.integers(days, size=(drawn, PATHS)), (periods, PATHS))
                    for period in range(periods):
                        now = day[period], period
                        gains = told[topic][now] - (TIMES - 1) * usual[:, period] * how_busy[now]
                        sums = np.maximum(sums + gains * there[now], 0.0)
                        np.maximum(highest, sums, out=highest)
            sums = np.zeros(PATHS)
            for period in [*range(periods)] * STRETCH:
                gains = evidence(1.0) * generator.poisson(mean[period], PATHS) - (TIMES - 1) * usual[:, period]
                sums = np.maximum(sums + gains, 0.0)
                np.maximum(found[topic, 2], sums, out=found[topic, 2])
        return found

    def _busy(self) -> Floats:
        """How busy each period was, float64 [D, P], by itself and those before it."""
        posts, usual, found = self.posts.sum(axis=0), self.usual_posts, np.ones(self.posts.shape[1:])
        recent: list[list[float]] = []
        for day, period in np.argwhere(~np.isnan(posts)).tolist():
            recent = [*recent, [posts[day, period], usual[period]]][-span(len(usual)) :]
            found[day, period] = busy(recent)
        return found

    def surges(self, topics: Mapping[str, int], threshold: float) -> Surges:
        """By all the days, before the first period; watched are topics by name, with their places in the arrays."""
        days = np.arange(self.posts.shape[1])
        negative = {name: self.usual_negative(place, days).tolist() for name, place in topics.items()}
        return Surges(self.usual_posts.tolist(), negative, threshold)


def threshold_of(highest: Floats, false_alerts: float) -> float:
    """The least at which so many alerts, above 0, are expected in a quiet stretch of T topics, by Poisson's law.

    Nats are the same for all topics, so they have one threshold, which a few days determine better than one each.

    Args:
        highest: float64 [T, k, n], of each topic, by k ways to draw.
        false_alerts: of all topics together.
    """
    drawn = highest.swapaxes(0, 1).reshape(highest.shape[1], -1)
    level = np.quantile(drawn, np.exp(-false_alerts / len(highest)), axis=1, method="higher").max()
    return float(np.nextafter(level, np.inf))


def _rhythm(counts: Floats, there: NDArray[np.bool_]) -> Floats:
    """Means of the periods of a day, smoothed over three, float64 [..., P], by [D, ..., P] both."""
    sums, days = counts.sum(axis=0), there.sum(axis=0).astype(np.float64)
    mean = sums.sum(axis=-1, keepdims=True) / np.maximum(days.sum(axis=-1, keepdims=True), 1)
    sums, days = (each + np.roll(each, 1, -1) + np.roll(each, -1, -1) for each in (sums, days))
    return np.asarray(np.where(days > 0, sums / np.maximum(days, 1), mean), dtype=np.float64)
