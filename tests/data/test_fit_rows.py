"""What a fit reads: every labeled row once per epoch, and the next unlabeled rows beside each batch."""

import datasets
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from lit_react.data.encoding import TokenTable
from lit_react.data.fit_rows import FitRows


def table(count: int) -> TokenTable:
    """Row i has i % 5 + 1 tokens, all of them i."""
    return TokenTable(datasets.Dataset.from_dict({"input_ids": [[i] * (i % 5 + 1) for i in range(count)]}), pad_id=0)


def with_unlabeled(labeled: int, unlabeled: int, size: int) -> FitRows:
    rows = np.arange(labeled + unlabeled)
    return FitRows(
        table(labeled + unlabeled),
        rows[:labeled],
        [row % 2 for row in range(labeled)],
        unlabeled=rows[labeled:],
        unlabeled_size=size,
    )


def test_without_unlabeled_rows_batches_are_those_of_the_labeled_ones():
    rows = FitRows(table(7), np.arange(7), [0, 1, 0, 1, 0, 1, 0])
    batches = list(rows.loader(3, seed=0))
    assert sorted(np.concatenate([batch["row"].numpy() for batch in batches])) == list(range(7))
    for batch in batches:
        assert batch["labels"].tolist() == [row % 2 for row in batch["row"].tolist()]


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 12), st.integers(1, 12), st.integers(1, 5), st.integers(1, 5))
def test_a_batch_is_labeled_rows_then_unlabeled_ones(labeled, unlabeled, batch_size, size):
    rows = with_unlabeled(labeled, unlabeled, size)
    seen = []
    for batch in rows.loader(batch_size, seed=1):
        b = len(batch["labels"])
        first, then = batch["row"][:b].numpy(), batch["row"][b:].numpy()
        seen += first.tolist()
        assert batch["labels"].tolist() == [row % 2 for row in first]
        assert (labeled <= then).all()
        assert len(then)
    assert sorted(seen) == list(range(labeled))


def test_unlabeled_rows_go_on_from_epoch_to_epoch_until_all_were_read():
    loader = with_unlabeled(4, 12, 3).loader(2, seed=0)
    epochs = [[row for batch in loader for row in batch["row"].tolist() if row >= 4] for _ in range(2)]
    assert sorted(epochs[0] + epochs[1]) == list(range(4, 16))


def test_processes_share_labeled_and_unlabeled_rows_of_each_batch():
    rows = with_unlabeled(8, 8, 4)
    whole, shares = rows.loader(4, seed=3), [rows.loader(4, seed=3, rank=r, world_size=2) for r in range(2)]
    for batch, *parts in zip(whole, *shares, strict=True):
        assert sorted(batch["row"].tolist()) == sorted(parts[0]["row"].tolist() + parts[1]["row"].tolist())
        assert [len(part["labels"]) for part in parts] == [2, 2]
        assert [len(part["row"]) for part in parts] == [4, 4]
