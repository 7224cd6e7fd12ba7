"""Delay until a negative surge is told, against plain thresholds on counts at equal false alerts, and errors of shares.

    LIT_REACT_DATA=... python scripts/benchmarks/monitoring.py [--repeats 40] [--labels 200] [--posts 6]

A post has its topic from an AG News text and its sentiment from a Financial PhraseBank sentence; neither is among the
labels that were bought. Each repeat buys other labels at random, fits logistic regressions on frozen embeddings, as
`LinearProbe` is, and draws posts with a daily rhythm, on days that differ: 14 quiet days by which everybody sets what
is usual; 120 quiet days on which each method's one knob is set, for all repeats together, to the most sensitive with at
most one alert in 30 days; 120 others, on which false alerts are counted; and for each size 14 days with a surge in one
topic, which begins at any hour and adds negative posts. CUSUM's knob is the false alerts that it is asked for. A
threshold is on negative posts an hour or a day, as many standard deviations above their mean as its knob says, and a
day's alert comes at its end. A surge that is not told in 14 days counts as 336 hours.
"""

from __future__ import annotations

import argparse
import os
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lit_react.applications.shares import ShareReader
from lit_react.applications.surges import STRETCH, Quiet, evidence, threshold_of
from lit_react.core.statistics import bootstrap_interval
from lit_react.data.datamodule import PoolDataModule
from lit_react.tasks.linear_probe import LinearProbe

DAY, QUIET, SURGE, STRETCHES = 24, 14 * 24, 14 * 24, 4
TIMES = (2, 3, 5)
"""What the rate of negative posts is multiplied by in a surge."""

NEGATIVE = 0
"""Class id of the sentiment."""

Floats = NDArray[np.float64]
Ids = NDArray[np.int64]


class Corpus:
    """Rows of one data set and what a classifier of some bought labels says of the others."""

    def __init__(self, name: str) -> None:
        data, module = PoolDataModule(Path(os.environ["LIT_REACT_DATA"]) / name, test_size=100), LinearProbe()
        data.connect(module.task)
        self.embeddings = np.asarray(data.fixed.embeddings)
        self.labels = np.asarray(data.fixed.known_labels()["pool"])
        self.classes = len(data.fixed.class_names or [])
        self.usual = np.bincount(self.labels) / len(self.labels)

    def buy(self, labels: int, generator: np.random.Generator) -> None:
        """Fit to labels of random rows; posts are drawn from the others."""
        order = generator.permutation(len(self.labels))
        bought, rest = order[:labels], order[labels:]
        self.reader = ShareReader.fitted(self.embeddings[bought], self.labels[bought], self.classes)
        self.probabilities = self.reader.classifier.probabilities(self.embeddings).astype(np.float64)
        self.said = self.probabilities.argmax(axis=1)
        self.rows = [rest[self.labels[rest] == label] for label in range(self.classes)]

    def draw(self, classes: Ids, generator: np.random.Generator) -> Ids:
        """A row of each of some classes."""
        sizes = np.array([len(rows) for rows in self.rows])
        places = generator.integers(sizes[classes])
        return np.concatenate(self.rows)[places + (np.cumsum(sizes) - sizes)[classes]]


@dataclass(frozen=True)
class Counts:
    """Of each topic and hour, float64 [T, hours]: posts, those read as negative, and the sums that CUSUM reads."""

    posts: Floats
    read_negative: Floats
    negative: Floats
    evidence: Floats


class Stream:
    """Draws posts of one repeat."""

    def __init__(self, topics: Corpus, sentiments: Corpus, posts: float, generator: np.random.Generator) -> None:
        self.topics, self.sentiments, self.posts, self.generator = topics, sentiments, posts, generator

    def draw(self, hours: int, times: float = 1, onset: int = 0) -> tuple[Ids, Ids, Ids]:
        """Hour, topic as it is read, and row of the sentiment, int64 [n] each; topic 0 surges from `onset` on."""
        days = np.repeat(np.exp(self.generator.normal(0, 0.15, hours // DAY + 1)), DAY)[:hours]
        rhythm = self.posts * days * (1 + 0.6 * np.sin(np.arange(hours) * 2 * np.pi / DAY))
        rates = np.empty((self.topics.classes, hours, self.sentiments.classes))
        rates[:] = np.outer(rhythm, self.sentiments.usual)
        rates[0, onset:, NEGATIVE] *= times
        drawn = self.generator.poisson(rates)
        topic, hour, sentiment = (np.repeat(index.ravel(), drawn.ravel()) for index in np.indices(drawn.shape))
        read = self.topics.said[self.topics.draw(topic, self.generator)]
        return hour, read, self.sentiments.draw(sentiment, self.generator)

    def counts(self, hours: int, times: float = 1, onset: int = 0) -> Counts:
        """The posts of so many hours, counted."""
        hour, topic, rows = self.draw(hours, times, onset)
        negative = self.sentiments.probabilities[rows, NEGATIVE]
        read = (self.sentiments.said[rows] == NEGATIVE).astype(np.float64)
        each = (np.ones(len(rows)), read, negative, evidence(negative))
        size = (self.topics.classes, hours)
        cells = np.ravel_multi_index((topic, hour), size)
        sums = [np.bincount(cells, weights, size[0] * hours) for weights in each]
        return Counts(*(np.asarray(total, dtype=np.float64).reshape(size) for total in sums))


Alerts = Callable[[Counts, float], list[list[int]]]
"""Counts and a knob to the hours, of each topic, after which an alert comes."""


def cusum(quiet: Counts) -> Alerts:
    """As `monitor` tells surges, by what the quiet beginning was like."""
    begun = Quiet(*(each.reshape(len(each), -1, DAY) for each in (quiet.posts, quiet.negative, quiet.evidence)))
    highest = begun.highest(np.random.default_rng(0))
    topics = {str(number): number for number in range(len(highest))}

    def alerts(counts: Counts, wanted: float) -> list[list[int]]:
        surges = begun.surges(topics, threshold_of(highest, wanted))
        found: dict[str, list[int]] = {topic: [] for topic in topics}
        posts, told = counts.posts.sum(axis=0).tolist(), counts.evidence.T.tolist()
        for hour, (count, of_topics) in enumerate(zip(posts, told, strict=True)):
            for topic in surges.step(hour, count, dict(zip(topics, of_topics, strict=True))):
                found[topic].append(hour)
        return list(found.values())

    return alerts


def threshold(span: int) -> Callable[[Counts], Alerts]:
    """On negative posts in so many hours."""

    def of_quiet(quiet: Counts) -> Alerts:
        usual = quiet.read_negative.reshape(len(quiet.posts), -1, span).sum(axis=-1)
        mean, deviation = usual.mean(axis=1, keepdims=True), usual.std(axis=1, keepdims=True)

        def alerts(counts: Counts, deviations: float) -> list[list[int]]:
            over = (
                counts.read_negative.reshape(len(counts.posts), -1, span).sum(axis=-1) > mean + deviations * deviation
            )
            begins = over & ~np.pad(over, ((0, 0), (1, 0)))[:, :-1]
            return [((np.flatnonzero(topic) + 1) * span - 1).tolist() for topic in begins]

        return alerts

    return of_quiet


METHODS = {
    "CUSUM": (cusum, np.geomspace(0.1, 3, 24)),
    "threshold an hour": (threshold(1), np.arange(10, 2, -0.1)),
    "threshold a day": (threshold(DAY), np.arange(10, 1, -0.1)),
}
"""How alerts follow from a quiet beginning, and the knobs, from the least sensitive."""


def false_alerts(alerts: Sequence[Alerts], quiet: Sequence[Counts], knob: float) -> Floats:
    """In 30 quiet days, of all topics together, in each repeat."""
    return np.array([sum(map(len, of(counts, knob))) for of, counts in zip(alerts, quiet, strict=True)]) / STRETCHES


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=40)
    parser.add_argument("--labels", type=int, default=200)
    parser.add_argument("--posts", type=float, default=6.0, help="an hour and topic")
    options = parser.parse_args()
    topics, sentiments = Corpus("ag_news"), Corpus("financial_phrasebank")
    alerts: dict[str, list[Alerts]] = defaultdict(list)
    errors: dict[tuple[float, str], list[float]] = defaultdict(list)
    set_on, counted, onsets = [], [], []
    surging: dict[int, list[Counts]] = defaultdict(list)
    for seed in range(options.repeats):
        generator = np.random.default_rng(seed)
        topics.buy(options.labels, generator)
        sentiments.buy(options.labels, generator)
        stream = Stream(topics, sentiments, options.posts, generator)
        quiet = stream.counts(QUIET)
        for name, (method, _) in METHODS.items():
            alerts[name].append(method(quiet))
        set_on.append(stream.counts(STRETCHES * STRETCH * DAY))
        counted.append(stream.counts(STRETCHES * STRETCH * DAY))
        onsets.append(DAY + int(generator.integers(DAY)))
        for times in TIMES:
            surging[times].append(stream.counts(SURGE + 2 * DAY, times, onsets[-1]))
        share_errors(stream, errors)
    print(f"alerts in 30 quiet days, of {topics.classes} topics; hours until a surge is told; mean [95 %]")
    delays: dict[tuple[str, int], Floats] = {}
    for name, (_, knobs) in METHODS.items():
        good = [k for k in knobs if false_alerts(alerts[name], set_on, k).mean() <= 1]
        knob = good[-1]
        print(f"{name}, knob {knob:.2f}: {interval(false_alerts(alerts[name], counted, knob), 2)} false alerts")
        for times in TIMES:
            told = []
            for of, counts, onset in zip(alerts[name], surging[times], onsets, strict=True):
                after = [hour + 1 - onset for hour in of(counts, knob)[0] if hour >= onset]
                told.append(min([*after, SURGE]))
            delays[name, times] = np.array(told, dtype=np.float64)
            missed = int((delays[name, times] == SURGE).sum())
            print(f"  negative x {times}: {interval(delays[name, times])}{f', {missed} not in 14 days' * bool(missed)}")
    print(f"CUSUM, asked for 1: {interval(false_alerts(alerts['CUSUM'], counted, 1.0), 2)} false alerts")
    for times in TIMES:
        best = min((name for name in METHODS if name != "CUSUM"), key=lambda name: delays[name, times].mean())
        ratio = delays["CUSUM", times].mean() / delays[best, times].mean()
        print(f"negative x {times}: {ratio:.2f} of the delay of the better one, {best} (bar: 0.5)")
    print("negative share of a topic and day: mean absolute error, and how often intervals have the truth")
    for (size, name), off in errors.items():
        print(f"  negative x {size}  {name:18s} {interval(np.array(off), 3)}")


def share_errors(stream: Stream, errors: dict[tuple[float, str], list[float]]) -> None:
    """Add those of three days of topic 0 for each size of a surge, without and with the adjustment."""
    sentiments = stream.sentiments
    for times in (1, *TIMES):
        hour, topic, rows = stream.draw(3 * DAY, times)
        for day in range(3):
            own = rows[(topic == 0) & (hour // DAY == day)]
            truth = (sentiments.labels[own] == NEGATIVE).mean()
            shares, off = sentiments.reader.estimate(sentiments.probabilities[own])
            errors[times, "counted"].append(abs((sentiments.said[own] == NEGATIVE).mean() - truth))
            errors[times, "adjusted"].append(abs(shares[NEGATIVE] - truth))
            errors[times, "in the interval"].append(float(abs(shares[NEGATIVE] - truth) < 1.96 * off[NEGATIVE]))


def interval(values: Floats, digits: int = 1) -> str:
    """Mean and its bootstrap interval."""
    low, high = bootstrap_interval(values, np.random.default_rng(0))
    return f"{values.mean():.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


if __name__ == "__main__":
    main()
