"""A classifier from the names of the classes, the first labels and the pool."""

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulation.worlds import embedded

from lit_react.data.datamodule import PoolDataModule
from lit_react.data.label_names import readable, say_something
from lit_react.tasks import SentenceClassification
from lit_react.tasks.starting_classifier import (
    FEWEST,
    RULES,
    Known,
    _folds,
    balanced_clusters,
    classifier_from_names,
    labels_only,
)


def unit(points: np.ndarray) -> np.ndarray:
    return (points / np.linalg.norm(points, axis=-1, keepdims=True)).astype(np.float32)


class World:
    """Clusters of a pool and of a test set, and names that lie near the clusters' centres."""

    def __init__(self, classes: int, *, pool: int = 300, spread: float = 1.0, dimension: int = 24) -> None:
        self.pool, self.test = (
            embedded(rows, classes, seed, dimension, spread) for rows, seed in ((pool, 0), (500, 1))
        )
        centres = np.random.default_rng(dimension).normal(size=(classes, dimension))
        self.names = unit(centres + 0.5 * np.random.default_rng(2).normal(size=centres.shape))

    def known(self, labels: int, names: np.ndarray | None, seed: int = 0) -> Known:
        """After labels of so many random rows."""
        order = np.random.default_rng(seed).permutation(len(self.pool.labels))
        bought, others = np.sort(order[:labels]), np.sort(order[labels:])
        points, classes = self.pool.embeddings, self.pool.labels
        return Known(points[bought], classes[bought], points[others], names, int(classes.max()) + 1)

    def accuracy(self, labels: int, names: np.ndarray | None, seed: int = 0) -> float:
        found, _ = classifier_from_names(self.known(labels, names, seed), seed)
        return float((found.probabilities(self.test.embeddings).argmax(axis=1) == self.test.labels).mean())


def test_names_alone_are_a_classifier_and_labels_and_pool_make_it_better() -> None:
    world = World(4)
    at_none, at_twenty = (np.mean([world.accuracy(n, world.names, seed) for seed in range(5)]) for n in (0, 20))
    by_labels = np.mean([world.accuracy(20, None, seed) for seed in range(5)])
    assert at_none > 0.8
    assert at_twenty >= at_none
    assert at_twenty > by_labels + 0.02


def test_names_of_other_classes_lose_to_the_labels() -> None:
    """Where the pool has no clusters that could win over the names, the rule without names is chosen."""
    world = World(6, spread=2.5)
    rules = {
        classifier_from_names(world.known(50, np.roll(world.names, 1, axis=0), seed), seed)[1] for seed in range(5)
    }
    assert rules == {labels_only.__name__}
    for seed in range(5):
        assert world.accuracy(50, np.roll(world.names, 1, axis=0), seed) == world.accuracy(50, None, seed)


@given(st.integers(1, 8), st.integers(0, 40), st.integers(0, 5), st.booleans())
@settings(max_examples=40, deadline=None)
def test_there_are_probabilities_of_every_class_whatever_is_known(classes, labels, seed, named) -> None:
    world = World(classes, pool=60)
    known = world.known(labels, world.names if named else None, seed)
    if not named and not labels:
        with pytest.raises(ValueError, match="neither names nor labels"):
            classifier_from_names(known, seed)
        return
    found, rule = classifier_from_names(known, seed)
    shares = found.probabilities(world.test.embeddings)
    assert shares.shape == (500, classes)
    np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-5)
    assert rule in {each.__name__ for each in RULES}
    again, other = classifier_from_names(known, seed)
    assert (again.weight == found.weight).all()
    assert (again.bias == found.bias).all()
    assert other == rule
    if labels < FEWEST:
        assert rule == (balanced_clusters if named else labels_only).__name__


def test_a_class_of_which_no_label_was_bought_is_found_by_its_name() -> None:
    world = World(4)
    known = world.known(60, world.names)
    known = known.keep(known.classes != 2)
    found, rule = classifier_from_names(known, 0)
    of_it = world.test.labels == 2
    assert rule != labels_only.__name__
    assert (found.probabilities(world.test.embeddings[of_it]).argmax(axis=1) == 2).mean() > 0.6


def test_twenty_labels_of_a_hundred_and_fifty_classes() -> None:
    world = World(150, pool=1500, dimension=64)
    assert world.accuracy(20, world.names) > world.accuracy(20, None) + 0.3


def test_all_rows_may_be_labeled() -> None:
    world = World(3, pool=40)
    assert world.accuracy(40, world.names) > 0.7


@given(st.lists(st.integers(0, 6), min_size=1, max_size=60), st.integers(0, 100))
def test_folds_spread_each_class_and_the_whole(classes, seed) -> None:
    folds = _folds(np.array(classes), np.random.default_rng(seed))
    assert set(folds.tolist()) <= set(range(5))
    for part in [np.ones(len(classes), dtype=bool), *(np.array(classes) == each for each in set(classes))]:
        counts = np.bincount(folds[part], minlength=5)
        assert counts.max() - counts.min() <= 1


def test_folds_are_drawn_by_the_seed() -> None:
    classes = np.repeat(np.arange(4), 10)
    one, same, other = (_folds(classes, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert (one == same).all()
    assert (one != other).any()


# ---- names as text


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["World", "Sports"], True),
        (["0", "1", "2"], False),
        (["LABEL_0", "LABEL_1"], False),
        (["label2", "Label_3"], False),
        (["A", "B"], False),
        (["entity", "NN", "1"], True),
        (["体育", "财经"], True),
        (["", "-"], False),
    ],
)
def test_which_names_say_something(names, expected) -> None:
    assert say_something(names) is expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("AddToPlaylist", "add to playlist"),
        ("card_arrival", "card arrival"),
        ("Cause-Effect(e1,e2)", "cause effect e1 e2"),
        ("Sci/Tech", "sci tech"),
        ("体育", "体育"),
        ("?", "?"),
    ],
)
def test_names_are_read_as_people_would_say_them(name, expected) -> None:
    assert readable(name) == expected


# ---- real data

LABELS = (5, 20, 50)


@pytest.fixture(scope="module")
def news_world() -> World:
    """Texts of AG News under the packaged encoder."""
    module = SentenceClassification(max_length=32)
    data = PoolDataModule(Path(os.environ["LIT_REACT_DATA"]) / "ag_news", pool_size=800, test_size=400)
    data.connect(module.task)
    world, fixed = World(4), data.fixed
    for part, table in (("pool", fixed.splits.pool), ("test", fixed.splits.test)):
        setattr(world, part, type(world.pool)(fixed.task.embed(table), np.array(table["label"][:])))
    world.names = fixed.name_embeddings
    return world


def mean_accuracy(world: World, labels: int, names: np.ndarray | None) -> float:
    return float(np.mean([world.accuracy(labels, names, seed) for seed in range(4)]))


@pytest.mark.shared_data
@pytest.mark.skipif("LIT_REACT_DATA" not in os.environ, reason="LIT_REACT_DATA is not set")
def test_names_of_real_classes_help_and_wrong_ones_do_not_hurt(news_world) -> None:
    true = {labels: mean_accuracy(news_world, labels, news_world.names) for labels in (0, *LABELS)}
    none = {labels: mean_accuracy(news_world, labels, None) for labels in LABELS}
    assert true[0] > none[20] + 0.1, "no label is better than twenty"
    for labels in (5, 20):
        assert true[labels] > none[labels] + 0.1
    assert true[50] >= none[50]
    for labels in (20, 50):
        wrong = mean_accuracy(news_world, labels, np.roll(news_world.names, 1, axis=0))
        assert wrong >= none[labels] - 0.01
