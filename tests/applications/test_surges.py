"""Surges and shares, on counts that are drawn: quiet streams are quiet, and estimates come near the truth."""

import numpy as np
import pytest

from lit_react.applications.shares import ShareReader, adjusted_shares
from lit_react.applications.surges import Quiet, Surges, evidence, threshold_of

TOPICS = {"banks": 0, "shops": 1}


def counts(days: int, generator: np.random.Generator, times: float = 1.0) -> Quiet:
    """Five posts an hour and topic, more on some days, a fifth negative; banks have `times` as many negative."""
    busy = generator.gamma(20, 1 / 20, size=(1, days, 1)) * np.ones((2, days, 24))
    negative = generator.poisson(busy * np.array([times, 1.0])[:, None, None])
    others = generator.poisson(busy * 4)
    return Quiet(
        (negative + others).astype(float),
        negative * 0.9 + others * 0.05,
        negative * evidence(0.9) + others * evidence(0.05),
    )


def alerts(surges: Surges, of: Quiet) -> list[tuple[int, str]]:
    posts, told = of.posts.sum(axis=0).ravel(), of.evidence.reshape(2, -1).T
    hours = zip(posts.tolist(), told.tolist(), strict=True)
    return [
        (hour, topic)
        for hour, (count, each) in enumerate(hours)
        for topic in surges.step(hour, count, dict(zip(TOPICS, each, strict=True)))
    ]


def test_false_alerts_are_about_as_many_as_wanted_and_surges_are_found():
    found, delays = [], []
    for seed in range(6):
        generator = np.random.default_rng(seed)
        quiet = counts(14, generator)
        threshold = threshold_of(quiet.highest(generator), 1.0)
        found.append(len(alerts(quiet.surges(TOPICS, threshold), counts(90, generator))) / 3)
        surge = alerts(quiet.surges(TOPICS, threshold), counts(4, generator, 4.0))
        delays.append(surge[0][0])
        assert surge[0][1] == "banks"
    assert 0.2 < np.mean(found) < 2
    assert np.mean(delays) < 12


def test_a_beginning_that_was_even_by_chance_does_not_make_every_busy_day_an_alert():
    generator, even = np.random.default_rng(0), np.ones((2, 14, 1))
    quiet = Quiet(100 * even, 20 * even, 20 * even * evidence(1.0))
    surges = quiet.surges(TOPICS, threshold_of(quiet.highest(generator), 0.1))
    negative = generator.poisson(20.0, size=(2, 600, 1))
    others = generator.poisson(80.0, size=(2, 600, 1))
    later = Quiet((negative + others).astype(float), negative.astype(float), negative * evidence(1.0))
    assert len(alerts(surges, later)) / 20 < 0.5


def test_fewer_false_alerts_need_a_higher_threshold():
    highest = counts(14, np.random.default_rng(0)).highest(np.random.default_rng(0))
    assert threshold_of(highest, 0.1) > threshold_of(highest, 1.0) > threshold_of(highest, 5.0)


@pytest.fixture(scope="module")
def reader() -> ShareReader:
    generator = np.random.default_rng(0)
    return ShareReader.fitted(*texts(np.array([100, 100]), generator), 2)


def texts(sizes: np.ndarray, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Embeddings of two classes that overlap, and their labels."""
    labels = np.repeat([0, 1], sizes)
    found = generator.normal(size=(len(labels), 8)) + np.where(labels == 0, -0.7, 0.7)[:, None] * (np.arange(8) == 0)
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32), labels


@pytest.mark.parametrize("share", [0.1, 0.5, 0.8])
def test_adjusted_shares_are_nearer_the_truth_and_their_error_says_how_near(reader, share):
    generator = np.random.default_rng(1)
    embeddings, _ = texts(np.array([round(1000 * share), 1000 - round(1000 * share)]), generator)
    probabilities = reader.classifier.probabilities(embeddings).astype(np.float64)
    (adjusted, _), (error, _) = reader.estimate(probabilities)
    counted = (probabilities.argmax(axis=1) == 0).mean()
    assert abs(adjusted - share) <= max(abs(counted - share), 0.03)
    assert abs(adjusted - share) < 2.5 * error
    assert error < 0.2


def test_shares_of_certain_texts_are_their_counts():
    certain = np.eye(3)[[0, 0, 0, 1]] * 0.999 + 0.001 / 3
    assert adjusted_shares(certain, np.array([0.2, 0.4, 0.4])) == pytest.approx([0.75, 0.25, 0.0], abs=0.01)
