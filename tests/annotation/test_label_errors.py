"""Labels that look wrong: a twin by loops, and planted errors in real texts."""

import numpy as np
import pandas as pd
from tiny import bbc

from lit_react.annotation.label_errors import FEWEST, label_errors
from lit_react.data.datamodule import PoolDataModule
from lit_react.run.suspicious import suspicious_labels
from lit_react.tasks import SentenceClassification


def by_loops(labels, probabilities):
    """Confident learning as the paper writes it."""
    classes = sorted(set(labels.tolist()))
    threshold = {c: probabilities[labels == c, c].mean() for c in classes}
    found = []
    for row, (label, p) in enumerate(zip(labels, probabilities, strict=True)):
        confident = [c for c in classes if p[c] >= threshold[c]]
        best = max(confident, key=lambda c: p[c], default=label)
        if best != label and (labels == label).sum() >= FEWEST:
            found.append((p[label] - max(p[c] for c in range(len(p)) if c != label), row, best))
    return [(row, best) for _, row, best in sorted(found)]


def test_a_twin_by_loops_finds_the_same_in_the_same_order():
    for seed in range(20):
        generator = np.random.default_rng(seed)
        labels = generator.integers(5, size=60) // 2 * 2  # two of the classes have no label
        labels[:2] = 1  # too few to tell
        probabilities = generator.dirichlet(np.ones(5), size=60)
        positions, likelier = label_errors(labels, probabilities)
        assert [*zip(positions.tolist(), likelier.tolist(), strict=True)] == by_loops(labels, probabilities)


def test_most_of_the_errors_that_were_planted_in_news_are_in_the_first_ranks():
    generator = np.random.default_rng(2)
    rows = bbc().pool.select(generator.choice(len(bbc().pool), 160, replace=False)).to_pandas()
    rows["label"] = [bbc().label_names[label] for label in rows["label"]]
    data = PoolDataModule(rows, test_size=0).prepare(SentenceClassification(max_length=32).task)
    labels = dict(enumerate(data.known_labels()["pool"]))
    planted = generator.choice(160, 16, replace=False).tolist()
    labels |= {row: (labels[row] + generator.integers(1, 5)) % 5 for row in planted}
    found = suspicious_labels(data, labels)
    assert sum(each["id"] in {f"pool-{row}" for row in planted} for each in found[:16]) > 8
    assert all(each["probability"] < each["probability_of_likelier"] for each in found)


def test_a_label_of_another_kind_or_alone_is_not_doubted():
    data = PoolDataModule(pd.DataFrame({"text": [*"abcd"], "label": [*"xxyy"]})).prepare(SentenceClassification().task)
    assert suspicious_labels(data, {0: 0, 1: 0}) == []
    assert suspicious_labels(data, {}) == []
