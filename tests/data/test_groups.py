"""Rows of one group stay on one side where splits are carved."""

import json

import datasets
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lit_react.data.datamodule import PoolDataModule
from lit_react.data.splits import carve
from lit_react.tasks import QuestionAnswering


@settings(deadline=None)
@given(
    groups=st.lists(st.integers(0, 12), min_size=1, max_size=60),
    test=st.integers(0, 30),
    validation=st.integers(0, 30),
    seed=st.integers(0, 3),
)
def test_carved_parts_share_no_group_and_have_the_size_asked_for(groups, test, validation, seed):
    groups = np.unique(groups, return_inverse=True)[1]
    parts = carve(groups, test, validation, np.random.default_rng(seed))
    assert sorted(np.concatenate(parts).tolist()) == list(range(len(groups)))
    assert sum(len(np.unique(groups[part])) for part in parts) == len(np.unique(groups))
    largest = np.bincount(groups).max()
    left = len(groups)
    for part, size in zip(parts[:2], (test, validation), strict=True):
        assert min(size, left) <= len(part) < max(size, 0) + largest
        left -= len(part)


@given(st.integers(1, 40), st.integers(0, 5), st.integers(0, 5))
def test_rows_without_groups_are_carved_one_by_one(rows, test, validation):
    parts = carve(np.arange(rows), test, validation, np.random.default_rng(0))
    expected = np.split(np.random.default_rng(0).permutation(rows), np.cumsum([test, validation]))
    assert [part.tolist() for part in parts] == [part.tolist() for part in expected]


def test_groups_are_as_likely_as_their_rows():
    """Were a large group drawn more often than a small one, the test set would not be a sample of the rows."""
    groups = np.repeat([0, 1, 2], [1, 3, 6])
    drawn = np.zeros(10)
    for seed in range(600):
        drawn[carve(groups, 1, 1, np.random.default_rng(seed))[0]] += 1
    assert drawn / 600 == pytest.approx(np.full(10, 1 / 3), abs=0.06)


@settings(max_examples=20, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 6), min_size=6, max_size=12),
    test_size=st.integers(1, 5),
    validation_size=st.integers(1, 5),
    pool_size=st.none() | st.integers(1, 10),
    seed=st.integers(0, 3),
)
def test_no_context_is_in_two_splits(tmp_path_factory, sizes, test_size, validation_size, pool_size, seed):
    path = tmp_path_factory.mktemp("questions") / "data.jsonl"
    rows = [
        {"question": f"q{i}-{j}", "context": f"it is {i} .", "answers": {"text": [f"{i}"], "answer_start": [6]}}
        for i, size in enumerate(sizes)
        for j in range(size)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    data = PoolDataModule(
        str(path), test_size=test_size, validation_size=validation_size, pool_size=pool_size, split_seed=seed
    )
    data.connect(QuestionAnswering().task)
    if sum(sizes) < test_size + validation_size + 11:  # a group too many for each may leave no pool
        return
    splits = data.fixed.splits
    contexts = [set(split["context"][:]) for split in (splits.pool, splits.validation, splits.test)]
    assert sum(map(len, contexts)) == len(set.union(*contexts))
    assert (len(splits.test), len(splits.validation)) == (test_size, validation_size)
    assert pool_size is None or len(splits.pool) <= pool_size


def test_questions_about_one_context_are_a_group():
    table = datasets.Dataset.from_dict({"context": ["b", "a", "b", "c", "a"]})
    assert QuestionAnswering().task.groups(table).tolist() == [0, 1, 0, 2, 1]
