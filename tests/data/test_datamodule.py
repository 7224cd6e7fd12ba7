import csv
from collections import Counter
from dataclasses import replace

import lightning as L
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import buy, connect

from lit_react.annotation.costs import ConstantCost, TokenCost
from lit_react.core.errors import UserError
from lit_react.data.datamodule import PoolDataModule
from lit_react.data.fit_data import FitLoaders
from lit_react.tasks import LinearProbe, TextClassification
from lit_react.tasks.text_classification import ClassificationTask

HEADER = ["text", "label"]


def write(path, rows, header=HEADER):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return str(path)


@pytest.fixture(scope="module")
def make(news_csv, tiny_bert):
    def make(task=TextClassification, **options):
        options = {"source": str(news_csv), "validation_size": 20, "test_size": 30, "initial_size": 8} | options
        return connect(PoolDataModule(**options), task(tiny_bert, max_length=16))

    return make


def texts(table):
    return table["text"][:]


# ---- splits


@settings(max_examples=25, deadline=None)
@given(
    test_size=st.none() | st.integers(0, 59),
    validation_size=st.none() | st.integers(0, 40),
    pool_size=st.none() | st.integers(1, 200),
    split_seed=st.integers(0, 5),
)
def test_carved_splits_partition_the_source(make, news_csv, test_size, validation_size, pool_size, split_seed):
    data = make(test_size=test_size, validation_size=validation_size, pool_size=pool_size, split_seed=split_seed)
    splits = data.fixed.splits
    with news_csv.open(newline="") as file:
        everything = Counter(row["text"] for row in csv.DictReader(file))
    validation, test = (texts(table) if table else [] for table in (splits.validation, splits.test))
    assert len(validation) == len(data.fixed.validation_split) == (validation_size or 0)
    assert len(test) == (test_size or 0)
    left = 160 - len(validation) - len(test)
    assert len(splits.pool) == min(left, pool_size or left)
    together = Counter(texts(splits.pool) + validation + test)
    assert together <= everything, "no row is in two splits"
    assert together == everything or pool_size is not None


def test_splits_come_from_the_split_seed_and_not_from_the_runs(make):
    first = make()
    L.seed_everything(99, verbose=False)
    same = make()
    other = make(split_seed=1)
    for part in ("pool", "validation", "test"):
        assert texts(getattr(first.fixed.splits, part)) == texts(getattr(same.fixed.splits, part))
        assert texts(getattr(first.fixed.splits, part)) != texts(getattr(other.fixed.splits, part))


def test_a_larger_pool_leaves_validation_and_test_as_they_are(make):
    small, large = make(pool_size=10), make()
    small, large = small.fixed.splits, large.fixed.splits
    assert texts(small.test) == texts(large.test)
    assert texts(small.validation) == texts(large.validation)
    assert set(texts(small.pool)) < set(texts(large.pool))


def test_given_splits_are_kept_or_sampled(make, tmp_path):
    given = write(tmp_path / "given.csv", [(f"text {i}", ["business", "sports"][i % 2]) for i in range(12)])
    whole = make(validation=given, test=given, validation_size=None, test_size=None)
    assert len(whole.fixed.splits.pool) == 160
    assert len(whole.fixed.splits.validation) == len(whole.fixed.splits.test) == 12
    sampled = make(validation=given, test=given, validation_size=5, test_size=4)
    assert len(sampled.fixed.splits.validation) == 5
    assert len(sampled.fixed.splits.test) == 4
    assert set(texts(sampled.fixed.splits.test)) < set(texts(whole.fixed.splits.test))


def test_a_source_smaller_than_its_splits_is_refused(make):
    with pytest.raises(UserError, match=r"160 rows of .* are too few for test_size 150 and validation_size 20"):
        make(test_size=150)


@pytest.mark.parametrize(
    ("option", "least"),
    [("pool_size", 1), ("validation_size", 0), ("initial_size", 0), ("batch_size", 1), ("eval_batch_size", 1)],
)
def test_sizes_that_are_too_small_are_refused(option, least):
    PoolDataModule(**{option: least})
    with pytest.raises(UserError, match=rf"data\.{option}: {least - 1} is too small, expected {least} or more"):
        PoolDataModule(**{option: least - 1})


def test_a_test_split_is_not_carved_from_rows_without_labels(make, tmp_path):
    source = write(tmp_path / "part.csv", [(f"text {i}", "a" if i % 2 else "") for i in range(40)])
    with pytest.raises(UserError, match=r"part.csv:2: no label, which test rows need: .* or set data\.test_size 0"):
        make(source=source, validation_size=5, test_size=20)


def test_a_source_without_label_column_gives_a_pool_without_labels(make, tmp_path):
    source = write(tmp_path / "raw.csv", [(f"text {i}",) for i in range(30)], header=["text"])
    data = make(source=source, test_size=0, validation_size=10, label_names=["no", "yes"])
    known = data.fixed.known_labels()
    assert data.fixed.class_names == ["no", "yes"]
    assert set(known["pool"]) == set(known["validation"]) == {None}
    assert len(data.pool) == 20
    assert data.pool.labels == {}
    assert data.task.names == ["no", "yes"]


# ---- who sees which labels


def test_nothing_but_bought_labels_is_visible(make):
    data = make()
    assert len(data.pool.labeled_rows) == 0
    assert data.fit_data.validation == {}
    (first,) = data.train_dataloader()
    assert (first["row"].tolist(), len(first["labels"])) == ([0], 0), "a fit of no labels has a row, without its label"
    assert list(data.val_dataloader()) == []
    known = data.fixed.known_labels()
    buy(data, "pool", [3, 50, 7])
    buy(data, "validation", [1, 4])
    batches = list(data.train_dataloader())
    assert sorted(row for batch in batches for row in batch["row"].tolist()) == [3, 7, 50]
    for batch in batches:
        assert batch["labels"].tolist() == [known["pool"][row] for row in batch["row"]]
    assert sorted(row for batch in data.val_dataloader() for row in batch["row"].tolist()) == [1, 4]


@settings(max_examples=20, deadline=None)
@given(rows=st.lists(st.integers(0, 109), unique=True, min_size=1), batch_size=st.integers(1, 9))
def test_training_never_sees_a_label_that_was_not_bought(make, rows, batch_size):
    data = make(batch_size=batch_size)
    buy(data, "pool", rows)
    seen = [(row, label) for b in data.train_dataloader() for row, label in zip(b["row"], b["labels"], strict=True)]
    assert sorted(int(row) for row, _ in seen) == sorted(rows)
    assert all(data.fixed.known_labels()["pool"][row] == label for row, label in seen)


def test_test_loader_has_each_test_row_with_its_label(make):
    data = make()
    labels = data.fixed.splits.test["label"][:]
    seen = {int(r): int(y) for b in data.test_dataloader() for r, y in zip(b["row"], b["labels"], strict=True)}
    assert seen == dict(enumerate(labels))
    with pytest.raises(UserError, match="no test split"):
        make(test_size=0).test_dataloader()


def test_training_order_changes_with_the_seed(make):
    data = make(batch_size=4)
    buy(data, "pool", range(20))

    def order(seed):
        loaders = FitLoaders(replace(data.fit_data, seed=seed))
        return [batch["row"].tolist() for batch in loaders.train_dataloader()]

    assert order(1) == order(1)
    assert order(1) != order(2)


def test_costs_of_tokens_are_those_of_the_encoded_texts(make):
    data = make(cost=TokenCost(0.5))
    assert np.array_equal(data.pool.costs, 0.5 * data.pool.table.lengths)
    assert len(data.fixed.validation_costs) == 20
    assert data.fixed.validation_costs.min() >= 1


def test_costs_are_the_tasks_where_the_user_names_none(make, monkeypatch):
    assert set(make().pool.costs) == {1.0}
    monkeypatch.setattr(ClassificationTask, "default_cost", TokenCost(2))
    data = make()
    assert np.array_equal(data.pool.costs, 2.0 * data.pool.table.lengths)
    assert np.array_equal(make(cost=ConstantCost(3)).pool.costs, np.full(len(data.pool), 3.0))


# ---- the first labels


def labels_of(data, rows):
    return Counter(data.fixed.splits.pool[rows]["label"])


@pytest.mark.parametrize("initial", ["random", "stratified", "representative"])
def test_first_rows_are_unique_and_reproducible(make, initial):
    data = make(initial=initial, initial_size=12)
    known = data.fixed.known_labels()["pool"]
    first, again, other = (data.fixed.initial_rows(np.random.default_rng(seed), known) for seed in (1, 1, 2))
    assert first.dtype == np.int64
    assert len(set(first.tolist())) == 12
    assert 0 <= first.min() <= first.max() < len(data.pool)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@settings(max_examples=60, deadline=None)
@given(counts=st.lists(st.integers(1, 30), min_size=1, max_size=8), size=st.integers(1, 60), seed=st.integers(0, 9))
def test_stratified_start_covers_the_classes_and_then_is_proportional(make, counts, size, seed):
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))
    size = min(size, len(labels))
    rows = make(initial="stratified", initial_size=size).fixed.initial_rows(
        np.random.default_rng(seed), labels.tolist()
    )
    assert len(set(rows.tolist())) == len(rows) == size
    found = np.bincount(labels[rows], minlength=len(counts))
    if size >= len(counts):
        assert found.min() >= 1
        fair = size * np.asarray(counts) / len(labels)
        over = found > np.maximum(np.ceil(fair), 1)
        assert not over.any(), "a class has more than its share only where it has its first row"
    else:
        assert found.max() == 1
        assert min(np.asarray(counts)[found == 1]) >= max(np.asarray(counts)[found == 0]), "frequent classes first"


def test_stratified_start_needs_labels(make):
    known = [0, 1, None] * 10
    with pytest.raises(UserError, match="stratified needs a label"):
        make(initial="stratified").fixed.initial_rows(np.random.default_rng(0), known)


def test_representative_start_spreads_over_the_clusters(make, tmp_path):
    words = ["market shares profit", "goal match cup", "phone software computer"]
    source = write(tmp_path / "clusters.csv", [(words[i % 3], "abc"[i % 3]) for i in range(40)])
    data = make(source=source, initial="representative", initial_size=3, validation_size=4, test_size=0)
    known = data.fixed.known_labels()["pool"]
    for seed in range(5):
        assert labels_of(data, data.fixed.initial_rows(np.random.default_rng(seed), known)) == {0: 1, 1: 1, 2: 1}


@pytest.mark.filterwarnings("ignore:Number of distinct clusters")
def test_representative_start_takes_each_row_once_where_all_texts_are_equal(make, tmp_path):
    source = write(tmp_path / "equal.csv", [("the same text", "ab"[i % 2]) for i in range(30)])
    data = make(source=source, initial="representative", initial_size=8, validation_size=4, test_size=0)
    rows = data.fixed.initial_rows(np.random.default_rng(0), data.fixed.known_labels()["pool"])
    assert len(set(rows.tolist())) == 8


def test_a_pool_smaller_than_the_first_labels_is_refused(make):
    data = make(pool_size=5)
    with pytest.raises(UserError, match=r"data\.initial_size: 8 is more than the pool's 5 rows"):
        data.fixed.initial_rows(np.random.default_rng(0), data.fixed.known_labels()["pool"])


# ---- names and other ways in


def test_fingerprint_changes_with_any_text_of_pool_or_validation(make, tmp_path):
    rows = [(f"text {i}", "ab"[i % 2]) for i in range(30)]
    changed = [*rows[:17], ("another text", "a"), *rows[18:]]
    options = {"validation_size": 10, "test_size": 0}
    before = make(source=write(tmp_path / "before.csv", rows), **options).fixed.fingerprint
    assert make(source=write(tmp_path / "copy.csv", rows), **options).fixed.fingerprint == before
    assert make(source=write(tmp_path / "after.csv", changed), **options).fixed.fingerprint != before
    assert make(source=write(tmp_path / "copy.csv", rows), **options | {"split_seed": 1}).fixed.fingerprint != before


def test_a_row_is_named_by_its_split(make):
    data = make()
    for split, table in (("pool", data.fixed.splits.pool), ("validation", data.fixed.splits.validation)):
        assert data.fixed.row(split, 3) == data.fixed.row(split, np.int64(3)) == table[3]
        assert data.fixed.question(split, 3) == {"text": texts(table)[3], "labels": data.fixed.class_names}


def test_an_answer_is_read_by_the_task(make):
    data = make()
    for split in ("pool", "validation"):
        assert data.fixed.parse(data.fixed.class_names[2], split, 3) == 2
        with pytest.raises(ValueError, match="unknown label 'weather': expected one of business"):
            data.fixed.parse("weather", split, 3)


def test_predict_takes_the_pool_or_a_file_without_labels(make, tmp_path):
    data = make()
    assert texts(data.predict_split) == texts(data.fixed.splits.pool)
    source = write(tmp_path / "new.csv", [("one",), ("two",), ("three",)], header=["text"])
    data = make(predict=source)
    batches = list(data.predict_dataloader())
    assert texts(data.predict_split) == ["one", "two", "three"]
    assert sorted(row for batch in batches for row in batch["row"].tolist()) == [0, 1, 2]
    assert all("labels" not in batch for batch in batches)


def test_a_probe_trains_on_the_features_of_the_rows(make):
    data = make(task=LinearProbe)
    data.reveal("pool", {5: 0, 9: 1})
    (batch,) = data.train_dataloader()
    expected = data.task.embed(data.fixed.splits.pool)[batch["row"].numpy()]
    assert np.array_equal(batch["features"].numpy(), expected)


# ---- a loop of one's own


def test_a_label_may_be_told_twice_but_not_changed(make):
    data = make()
    data.reveal("pool", {1: 2})
    before = data.fit_data
    data.reveal("pool", {1: 2, 3: 0})
    with pytest.raises(ValueError, match="another label"):
        data.reveal("pool", {4: 1, 3: 1})
    assert data.pool.labels == {1: 2, 3: 0}, "a refused call changes nothing"
    assert before.pool.labels == {1: 2}, "what a fit reads stays as it was when it began"


def test_rows_move_to_the_labeled_split_by_their_gold_labels(make):
    data = make()
    data.label(np.array([5, 2]))
    known = data.fixed.known_labels()["pool"]
    assert data.pool.labels == {2: known[2], 5: known[5]}
    assert data.pool.labeled_rows.tolist() == [2, 5]


def test_a_row_without_gold_label_cannot_be_labeled_so(make, tmp_path):
    source = write(tmp_path / "raw.csv", [(f"text {i}",) for i in range(30)], header=["text"])
    data = make(source=source, test_size=0, validation_size=10, label_names=["no", "yes"])
    with pytest.raises(UserError, match="a pool row has no label, 'text "):
        data.label(np.array([0]))


def test_no_task_reads_the_data_before_one_is_connected():
    with pytest.raises(ValueError, match="no task reads these data yet"):
        _ = PoolDataModule().fixed
