"""Annotation tasks drawn at random are sound, whatever the seed."""

from collections import Counter
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import embedded, row_ids

from lit_react.simulation import tasks
from lit_react.simulation.tasks import Embedded, draw_task

NAMES = ["few", "many", "small"]
KINDS = ("_labels", "_subset", "_imbalanced", "_union", "_clusters")


@cache
def sources():
    """Three sets with 4, 15 and 2 classes; the smallest has fewer rows than there may be clusters."""
    sizes = {"few": (900, 400, 4), "many": (800, 300, 15), "small": (120, 60, 2)}
    return {
        name: (embedded(pool, classes, 2 * i), embedded(test, classes, 2 * i + 1))
        for i, (name, (pool, test, classes)) in enumerate(sizes.items())
    }


def drawn(seed, name):
    return draw_task(sources(), name, np.random.default_rng(seed))


def kind_of(seed):
    """The first thing that the generator draws."""
    return str(np.random.default_rng(seed).choice(KINDS, p=np.array([0.35, 0.15, 0.1, 0.15, 0.25])))


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), name=st.sampled_from(NAMES))
def test_a_drawn_task_is_sound(seed, name):
    task = drawn(seed, name)
    assert set(task.pool.labels) == set(range(task.num_classes)), "each class can be found"
    assert set(task.test.labels) <= set(range(task.num_classes)), "nothing is asked that cannot be learned"
    assert len(task.test) > 0
    assert len(task.test) <= 2000
    assert len(task.pool) <= 2000
    assert (task.initial_size, task.query_size) in {(a, b) for a in (10, 20, 50) for b in (10, 20, 50)}
    assert task.l2 in (0.02, 0.05, 0.2)
    for part in (task.pool, task.test):
        assert len(part.embeddings) == len(part.labels)
        assert len(np.unique(part.embeddings, axis=0)) == len(part), "no row is there twice"


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), name=st.sampled_from(NAMES))
def test_rows_come_from_the_recorded_sources_and_pool_and_test_stay_apart(seed, name):
    task = drawn(seed, name)
    assert task.sources[0] == name
    assert len(set(task.sources)) == len(task.sources) <= 3
    assert (len(task.sources) > 1) == (kind_of(seed) == "_union")
    for part, side in ((task.pool, 0), (task.test, 1)):
        found = np.stack([row_ids(part, sources()[used][side]) for used in task.sources])
        assert (np.sum(found >= 0, axis=0) == 1).all(), "each row is of one recorded source, pool of pool, test of test"
        assert all((row >= 0).any() for row in found), "each recorded source gave rows"


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), name=st.sampled_from(NAMES))
def test_the_seed_alone_decides_the_task(seed, name):
    one, two = drawn(seed, name), drawn(seed, name)
    for part in ("pool", "test"):
        assert np.array_equal(getattr(one, part).embeddings, getattr(two, part).embeddings)
        assert np.array_equal(getattr(one, part).labels, getattr(two, part).labels)
    options = [(t.num_classes, t.initial_size, t.query_size, t.l2, t.sources) for t in (one, two)]
    assert options[0] == options[1]


def test_seeds_differ_in_all_that_is_drawn():
    found = [drawn(seed, "few") for seed in range(40)]
    kinds = Counter(kind_of(seed) for seed in range(40))
    assert kinds.keys() == set(KINDS)
    for option, least in (("initial_size", 3), ("query_size", 3), ("l2", 3), ("num_classes", 6), ("sources", 3)):
        assert len({getattr(task, option) for task in found}) >= least, option
    assert len({len(task.pool) for task in found}) > 3


def test_labels_of_one_source_stay_its_own_up_to_the_numbers():
    """The source's own labels, a part of its classes, thinned classes, side by side: what was alike stays alike."""
    for seed in range(40):
        task = drawn(seed, "many")
        if kind_of(seed) == "_clusters":
            continue
        for part, side in ((task.pool, 0), (task.test, 1)):
            pairs = set()
            for used in task.sources:
                source = sources()[used][side]
                at = row_ids(part, source)
                pairs |= {(used, *pair) for pair in zip(source.labels[at[at >= 0]], part.labels[at >= 0], strict=True)}
            before, after = {pair[:2] for pair in pairs}, {pair[2] for pair in pairs}
            assert len(pairs) == len(before) == len(after), "one new number per class, one class per number"


def test_clusters_are_another_labelling_of_the_same_rows():
    seed = next(seed for seed in range(100) if kind_of(seed) == "_clusters")
    task, (source, _) = drawn(seed, "many"), sources()["many"]
    at = row_ids(task.pool, source)
    assert len({*zip(source.labels[at], task.pool.labels, strict=True)}) > task.num_classes


# ---- what is rare


@pytest.mark.parametrize("kind", KINDS)
def test_a_class_of_the_test_part_alone_is_asked_for_nowhere(kind):
    """A class that the pool does not have, with the highest id, in one of the sources."""
    pool, test = sources()["few"]
    kept = pool.labels < 3
    odd = {"odd": (pool.take(np.flatnonzero(kept)), test), "many": sources()["many"]}
    seeds = [seed for seed in range(60) if kind_of(seed) == kind][:4]
    for seed in seeds:
        task = draw_task(odd, "odd", np.random.default_rng(seed))
        at = row_ids(task.test, test)
        gold = test.labels[at[at >= 0]]
        assert kind == "_clusters" or not np.any(gold == 3)
        assert set(task.test.labels) <= set(task.pool.labels)


def test_a_set_smaller_than_the_number_of_clusters_is_clustered_all_the_same():
    tiny = {"tiny": (embedded(12, 2), embedded(9, 2, seed=1))}
    for seed in (seed for seed in range(80) if kind_of(seed) == "_clusters"):
        assert draw_task(tiny, "tiny", np.random.default_rng(seed)).num_classes <= 12


def test_similarities_are_cosines_of_the_pool():
    task = drawn(0, "few")
    expected = task.pool.embeddings @ task.pool.embeddings.T
    assert np.allclose(task.similarities, expected)
    assert task.similarities is task.similarities, "computed once"


def test_taking_rows_keeps_texts_and_labels_together():
    part = embedded(10, 3)
    rows = np.array([7, 2, 2])
    taken = part.take(rows)
    assert isinstance(taken, Embedded)
    assert np.array_equal(taken.embeddings, part.embeddings[[7, 2, 2]])
    assert np.array_equal(taken.labels, part.labels[[7, 2, 2]])


def test_every_kind_of_task_is_made_by_a_function_of_this_name():
    assert all(callable(getattr(tasks, kind)) for kind in KINDS)
