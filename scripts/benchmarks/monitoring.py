"""Delay until a negative surge is told, against plain thresholds on counts, and errors of shares.

    LIT_REACT_DATA=... python scripts/benchmarks/monitoring.py [--repeats 40] [--labels 200]

A post has its topic from an AG News text and its sentiment from a Financial PhraseBank sentence; neither is among the
labels that were bought. Each repeat buys other labels at random, fits logistic regressions on frozen embeddings, as
`LinearProbe` is, and draws posts with a daily rhythm: 14 quiet days by which all thresholds are set, for at
most one false alert in 30 quiet days; 30 quiet days; and 14 days with a surge in one topic, whose extra posts are
negative. A plain threshold is set by the same bootstrap, on negative posts an hour or a day. A surge that is not told
in 14 days counts as 336 hours. A day's alert comes at its end.
"""

from __future__ import annotations

import argparse
import os
from collections import defaultdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lit_react.applications.shares import adjusted_shares, learned_shares
from lit_react.applications.surges import Detector
from lit_react.core.logistic_regression import fit_logistic_regression
from lit_react.core.statistics import bootstrap_interval
from lit_react.data.datamodule import PoolDataModule
from lit_react.tasks.linear_probe import LinearProbe

QUIET, WATCHED, SURGE = 14 * 24, 30 * 24, 14 * 24
TIMES = (2, 3, 5)
"""What the rate of negative posts is multiplied by in a surge."""

Counts = NDArray[np.int64]


class Corpus:
    """Rows of one data set and what a classifier of some bought labels says of the others."""

    def __init__(self, name: str) -> None:
        data, module = PoolDataModule(Path(os.environ["LIT_REACT_DATA"]) / name, test_size=100), LinearProbe()
        data.connect(module.task)
        self.embeddings = np.asarray(data.fixed.embeddings)
        self.labels = np.asarray(data.fixed.known_labels()["pool"])
        self.names = data.fixed.class_names or []

    def buy(self, labels: int, generator: np.random.Generator) -> None:
        """Fit to labels of random rows; posts are drawn from the others."""
        order = generator.permutation(len(self.labels))
        bought, rest = order[:labels], order[labels:]
        fitted = fit_logistic_regression(self.embeddings[bought], self.labels[bought], len(self.names), l2=0.05)
        self.learned = learned_shares([self.names[label] for label in self.labels[bought]], self.names)
        self.probabilities = fitted.probabilities(self.embeddings).astype(np.float64)
        self.rows = [rest[self.labels[rest] == label] for label in range(len(self.names))]

    def draw(self, classes: Counts, generator: np.random.Generator) -> Counts:
        """A row of each of some classes."""
        return np.array([self.rows[label][generator.integers(len(self.rows[label]))] for label in classes.tolist()])


def stream(
    topics: Corpus, sentiments: Corpus, hours: int, posts: float, times: float, generator: np.random.Generator
) -> tuple[Counts, Counts, Counts]:
    """Hour, predicted topic and sentiment row, int64 [n] each; topic 0 has `times` the usual negative posts."""
    usual = np.bincount(sentiments.labels) / len(sentiments.labels)
    rhythm = 1 + 0.6 * np.sin(np.arange(hours) * 2 * np.pi / 24)
    parts = []
    for topic in range(len(topics.names)):
        rates = np.outer(rhythm * posts, usual * np.where(np.arange(len(usual)) == 0, times if topic == 0 else 1, 1))
        drawn = generator.poisson(rates)
        hour, sentiment = (np.repeat(index.ravel(), drawn.ravel()) for index in np.indices(drawn.shape))
        rows = topics.draw(np.full(len(hour), topic), generator)
        parts.append((hour, topics.probabilities[rows].argmax(1), sentiments.draw(sentiment, generator)))
    hour, topic_of, rows = (np.concatenate(each) for each in zip(*parts, strict=True))
    return hour, topic_of, rows


def counted(hours: int, count: int, hour: Counts, topic: Counts) -> Counts:
    """Posts, int64 [T, hours]."""
    return np.bincount(topic * hours + hour, minlength=count * hours).reshape(count, hours)


def cusum_alerts(detector: Detector, texts: Counts, negative: Counts) -> list[int]:
    """Hours in which a surge begins, as `monitor` tells it."""
    found, total, surges = [], 0.0, False
    for hour, (n, k) in enumerate(zip(texts.tolist(), negative.tolist(), strict=True)):
        total = detector.step(total, n, k)
        if total >= detector.threshold and not surges:
            found.append(hour)
        surges = total >= detector.threshold or (surges and total > 0)
    return found


def plain_threshold(quiet: Counts, periods: int, wanted: float, generator: np.random.Generator) -> float:
    """The least count that is reached so seldom in bootstrapped quiet stretches."""
    highest = quiet[generator.integers(len(quiet), size=(periods, 1000))].max(axis=0)
    return float(np.quantile(highest, np.exp(-wanted), method="higher")) + 1


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=40)
    parser.add_argument("--labels", type=int, default=200)
    parser.add_argument("--posts", type=float, default=6.0, help="an hour and topic")
    options = parser.parse_args()
    topics, sentiments = Corpus("ag_news"), Corpus("financial_phrasebank")
    delays: dict[tuple[int, str], list[float]] = defaultdict(list)
    false: dict[str, list[float]] = defaultdict(list)
    errors: dict[tuple[float, str], list[float]] = defaultdict(list)
    number = len(topics.names)
    for seed in range(options.repeats):
        generator = np.random.default_rng(seed)
        topics.buy(options.labels, generator)
        sentiments.buy(options.labels, generator)
        said = sentiments.probabilities.argmax(1)

        def counts(hours: int, times: float) -> tuple[Counts, Counts]:
            hour, topic, rows = stream(topics, sentiments, hours, options.posts, times, generator)  # noqa: B023
            share_errors(sentiments, hour, topic, rows, errors, times)
            bad = said[rows] == 0  # noqa: B023
            return counted(hours, number, hour, topic), counted(hours, number, hour[bad], topic[bad])

        (texts, negative), wanted = counts(QUIET, 1), 1 / number
        detectors = [
            Detector.of_quiet(texts[t], negative[t], WATCHED, wanted, np.random.default_rng(0)) for t in range(number)
        ]
        spans = {"threshold an hour": 1, "threshold a day": 24}
        lines = {
            (name, t): plain_threshold(negative[t].reshape(-1, span).sum(1), WATCHED // span, wanted, generator)
            for name, span in spans.items()
            for t in range(number)
        }
        for times, hours in ((1, WATCHED), *((times, SURGE) for times in TIMES)):
            texts, negative = counts(hours, times)
            for t in range(number if times == 1 else 1):
                alerts = {"CUSUM": [hour + 1 for hour in cusum_alerts(detectors[t], texts[t], negative[t])]}
                for name, span in spans.items():
                    over = negative[t].reshape(-1, span).sum(1) >= lines[name, t]
                    alerts[name] = ((np.flatnonzero(over) + 1) * span).tolist()
                for name, found in alerts.items():
                    if times == 1:
                        false[name].append(len(found) * number)
                    else:
                        delays[times, name].append(found[0] if found else SURGE)
    print(f"false alerts in 30 quiet days, of {number} topics together; mean [95 %] over {options.repeats} repeats")
    for name, values in false.items():
        print(f"  {name:18s} {interval(np.array(values).reshape(options.repeats, number).mean(1))}")
    print("hours until a surge is told")
    for (times, name), hours_until in delays.items():
        missed = f", {hours_until.count(SURGE)} not in 14 days" if SURGE in hours_until else ""
        print(f"  negative x {times}  {name:18s} {interval(np.array(hours_until, dtype=float))}{missed}")
    for times in TIMES:
        mean = {name: np.mean(delays[times, name]) for name in ("CUSUM", *spans)}
        best = min(mean[name] for name in spans)
        print(f"  negative x {times}: {mean['CUSUM'] / best:.2f} of the better threshold's delay (bar: at most 0.5)")
    print("error of the negative share of a topic and day")
    for (times, name), off in errors.items():
        print(f"  negative x {times}  {name:18s} {interval(np.array(off, dtype=float), 3)}")


def share_errors(
    sentiments: Corpus,
    hour: Counts,
    topic: Counts,
    rows: Counts,
    errors: dict[tuple[float, str], list[float]],
    times: float,
) -> None:
    """Add this stretch's mean absolute errors over the days of topic 0, without and with the adjustment."""
    plain, adjusted, covered = [], [], []
    for day in range(hour.max() // 24 + 1):
        own = rows[(topic == 0) & (hour // 24 == day)]
        truth, found = (
            (sentiments.labels[own] == 0).mean(),
            adjusted_shares(sentiments.probabilities[own], sentiments.learned),
        )
        plain.append(abs((sentiments.probabilities[own].argmax(1) == 0).mean() - truth))
        adjusted.append(abs(found.values[0] - truth))
        covered.append(abs(found.values[0] - truth) < 1.96 * found.errors[0])
    for name, values in (("unadjusted", plain), ("adjusted", adjusted), ("within 95 %", covered)):
        errors[times, name].append(float(np.mean(values)))


def interval(values: NDArray[np.float64], digits: int = 1) -> str:
    """Mean and its bootstrap interval."""
    low, high = bootstrap_interval(values, np.random.default_rng(0))
    return f"{values.mean():.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


if __name__ == "__main__":
    main()
