import numpy as np
import pytest

from lit_react.data.embedding import FeatureTable
from lit_react.data.pool import Pool, RowsOf, in_order


@pytest.fixture
def pool():
    features = np.arange(20, dtype=np.float32).reshape(10, 2)
    table = FeatureTable(features, np.arange(10, 0, -1))
    return Pool(table, np.ones(10))


def test_rows_with_labels_are_no_longer_unlabeled(pool):
    pool = pool.with_labels({7: 0, 2: 2})
    assert pool.labeled_rows.tolist() == [2, 7]
    assert pool.unlabeled_rows.tolist() == [0, 1, 3, 4, 5, 6, 8, 9]
    assert pool.labels == {2: 2, 7: 0}
    assert pool.labeled_rows.dtype == pool.unlabeled_rows.dtype == np.int64


def test_scoring_sees_every_row_once_and_no_label(pool):
    pool = pool.with_labels({0: 1, 5: 1})
    shares = [list(in_order(pool.table, np.arange(10), None, 3, rank=rank, world_size=2)) for rank in range(2)]
    batches = shares[0] + shares[1]
    assert sorted(row for batch in batches for row in batch["row"].tolist()) == list(range(10))
    assert all("labels" not in batch for batch in batches)


def test_a_view_gives_rows_of_the_table_with_their_labels(pool):
    view = RowsOf(pool.table, np.array([8, 3]), [1, 0])
    batch = view.__getitems__([1, 0])
    assert batch["row"].tolist() == [3, 8]
    assert batch["labels"].tolist() == [0, 1]
    assert view[0]["features"].tolist() == [[16.0, 17.0]]


def test_a_pool_without_labels_is_all_unlabeled(pool):
    assert pool.labeled_rows.tolist() == []
    assert pool.labeled_rows.dtype == np.int64
    assert pool.unlabeled_rows.tolist() == list(range(10))
