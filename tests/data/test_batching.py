import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from lit_react.data.batching import LengthSortedBatches, ShuffledBuckets, length_sorted_batches

sizes = {
    "n": st.integers(0, 200),
    "batch_size": st.integers(1, 17),
    "world_size": st.integers(1, 5),
    "seed": st.integers(0, 2**32 - 1),
}


def lengths_of(n, seed):
    return np.random.default_rng(seed).integers(2, 64, n)


def shares(sampler, lengths, batch_size, world_size, **options):
    return [list(sampler(lengths, batch_size, rank=r, world_size=world_size, **options)) for r in range(world_size)]


@settings(max_examples=60, deadline=None)
@given(**sizes)
def test_sorted_batches_name_every_position_once_over_all_processes(n, batch_size, world_size, seed):
    parts = shares(LengthSortedBatches, lengths_of(n, seed), batch_size, world_size)
    named = [position for part in parts for batch in part for position in batch]
    assert sorted(named) == list(range(n))
    assert all(0 < len(batch) <= batch_size for part in parts for batch in part)


@settings(max_examples=60, deadline=None)
@given(**sizes)
def test_sorted_batches_begin_with_the_longest(n, batch_size, world_size, seed):
    lengths = lengths_of(n, seed)
    order = np.concatenate([*length_sorted_batches(lengths, batch_size), np.empty(0, dtype=int)]).astype(int)
    assert np.all(np.diff(lengths[order]) <= 0)


@settings(max_examples=60, deadline=None)
@given(**sizes)
def test_processes_have_equally_many_sorted_batches_and_no_more_than_they_need(n, batch_size, world_size, seed):
    lengths = lengths_of(n, seed)
    counts = [len(LengthSortedBatches(lengths, batch_size, rank=r, world_size=world_size)) for r in range(world_size)]
    needed = -(-n // (batch_size * world_size))
    if n >= needed * world_size:
        assert set(counts) == {needed}
    else:
        assert sum(counts) == n, "where there are too few positions, each is a batch"
        assert max(counts) == needed


@settings(max_examples=60, deadline=None)
@given(**sizes)
def test_an_epoch_trains_on_every_position_once_up_to_the_fill_up(n, batch_size, world_size, seed):
    parts = shares(ShuffledBuckets, lengths_of(n, seed), batch_size, world_size, seed=seed)
    steps = list(zip(*parts, strict=True))
    assert len(steps) == -(-n // batch_size)
    together = [[position for share in step for position in share] for step in steps]
    assert sorted({position for step in together for position in step}) == list(range(n))
    for step, batch in zip(steps, together, strict=True):
        assert len({len(share) for share in step}) == 1, "processes have equal shares"
        filled = len(batch) - len(set(batch))
        assert filled == -len(set(batch)) % world_size, "no more than the missing positions are repeated"
    assert sum(len(set(batch)) for batch in together) == n, "no position is in two steps"


@settings(max_examples=30, deadline=None)
@given(n=st.integers(0, 100), batch_size=st.integers(1, 17), world_size=st.integers(1, 5), seed=st.integers(0, 99))
def test_several_processes_step_on_the_same_batches_as_one(n, batch_size, world_size, seed):
    lengths = lengths_of(n, seed)
    alone = [set(batch) for batch in ShuffledBuckets(lengths, batch_size, seed=seed)]
    parts = shares(ShuffledBuckets, lengths, batch_size, world_size, seed=seed)
    assert [set().union(*step) for step in zip(*parts, strict=True)] == alone


def test_order_of_an_epoch_depends_on_seed_and_epoch_only():
    lengths = lengths_of(50, 0)
    first, again = (ShuffledBuckets(lengths, 8, seed=3) for _ in range(2))
    epochs = [list(first) for _ in range(3)]
    assert epochs == [list(again) for _ in range(3)]
    assert epochs[0] != epochs[1] != epochs[2] != epochs[0]
    assert list(ShuffledBuckets(lengths, 8, seed=4)) != epochs[0]


def test_buckets_pad_less_than_plain_shuffling():
    lengths = lengths_of(400, 0)

    def padding(batches):
        return sum(len(batch) * lengths[batch].max() - lengths[batch].sum() for batch in batches)

    plain = np.random.default_rng(0).permutation(400).reshape(-1, 8)
    assert padding(list(ShuffledBuckets(lengths, 8, seed=0))) < 0.5 * padding(list(plain))
