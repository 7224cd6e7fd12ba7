"""A source that grows: what was known keeps its place and its class, and what is gone is told."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lit_react.annotation.ledger import Ledger, Query
from lit_react.core.errors import UserError
from lit_react.data.datamodule import PoolDataModule
from lit_react.data.growth import ROWS, KnownRows, of_run, rows_of
from lit_react.tasks import SentenceClassification

TASK = SentenceClassification().task


def table(texts, labels=None):
    return pd.DataFrame({"text": texts, "label": labels or ["x" if len(text) % 2 else "y" for text in texts]})


def prepared(frame, known=None, **options):
    return PoolDataModule(frame, **options).prepare(TASK, known)


def known_of(data):
    return KnownRows.of(data.splits, TASK.inputs, data.fingerprint)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.text("abc", min_size=1, max_size=3), min_size=8, max_size=20), st.data())
def test_rows_that_join_anywhere_are_the_end_of_the_pool_and_no_other_split_changes(texts, data):
    sizes = {"validation_size": 2, "test_size": 2, "label_names": ["x", "y"]}
    before = prepared(table(texts), **sizes)
    new = data.draw(st.lists(st.text("abcd", min_size=1, max_size=3), max_size=8))
    after = prepared(table(data.draw(st.permutations([*texts, *new]))), known_of(before), **sizes)
    n = len(before.splits.pool)
    assert after.splits.pool["text"][:n] == before.splits.pool["text"][:]
    assert sorted(after.splits.pool["text"][n:]) == sorted(new)
    assert after.splits.validation["text"][:] == before.splits.validation["text"][:]
    assert after.splits.test["text"][:] == before.splits.test["text"][:]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("xy")), min_size=8, max_size=16), st.data())
def test_equal_texts_with_other_labels_keep_their_split(rows, data):
    sizes = {"validation_size": 2, "test_size": 2, "label_names": ["x", "y"]}
    before = prepared(table(*map(list, zip(*rows, strict=True))), **sizes)
    grown = data.draw(st.permutations([*rows, ("c", "x"), ("a", "y")]))
    after = prepared(table(*map(list, zip(*grown, strict=True))), known_of(before), **sizes)
    assert after.test_fingerprint == before.test_fingerprint
    assert after.known_labels()["validation"] == before.known_labels()["validation"]


def test_a_label_of_a_test_row_that_was_corrected_leaves_the_row_there():
    before = prepared(table(list("abcdef"), ["x", "y"] * 3), test_size=2)
    text = before.splits.test["text"][0]
    labels = [
        {"x": "y", "y": "x"}[label] if t == text else label for t, label in zip("abcdef", ["x", "y"] * 3, strict=True)
    ]
    after = prepared(table(list("abcdef"), labels), known_of(before), test_size=2)
    assert after.splits.test["text"][:] == before.splits.test["text"][:]


def test_new_rows_of_a_group_that_test_has_are_left_out():
    before = prepared(table(list("abcdef")), test_size=2)
    source, groups = prepared(table(list("abcdefgh"))).splits, np.arange(8)
    groups[6] = "abcdef".index(before.splits.test["text"][0])
    after = known_of(before).splits(source, TASK.inputs, None, groups)
    assert after.pool["text"][:] == [*before.splits.pool["text"][:], "h"]


def test_classes_that_join_come_last():
    before = prepared(table(["a", "b", "c"], ["m", "z", "m"]))
    after = prepared(table(["a", "b", "c", "d", "e"], ["m", "z", "m", "a", "y"]), known_of(before))
    assert (before.class_names, after.class_names) == (["m", "z"], ["m", "z", "a", "y"])
    assert after.known_labels()["pool"] == [0, 1, 0, 2, 3]
    named = prepared(table(["a", "b", "c"], ["m", "z", "m"]), known_of(before), label_names=["new", "z", "m"])
    assert named.class_names == ["m", "z", "new"]


def test_a_class_that_was_renamed_is_one_line():
    before = prepared(table(["a", "b", "c"], ["m", "z", "m"]))
    with pytest.raises(UserError, match="'z' is a label of this run, but of no row any more"):
        prepared(table(["a", "b", "c"], ["m", "y", "m"]), known_of(before))


def test_a_pool_that_was_drawn_grows_when_its_size_does():
    before = prepared(table(list("abcdefgh")), pool_size=3)
    known, more = known_of(before), table(list("abcdefghi"))
    assert prepared(more, known, pool_size=3).splits.pool["text"][:] == before.splits.pool["text"][:]
    assert len(prepared(more, known, pool_size=5).splits.pool) == 5


@pytest.mark.parametrize("part", ["pool", "test"])
@pytest.mark.parametrize("instead", [[], ["changed"]])
def test_a_row_that_is_gone_or_changed_is_one_line(part, instead):
    before = prepared(table(list("abcdefgh")), test_size=2)
    rows = getattr(before.splits, part)["text"][:]
    left = [text for text in "abcdefgh" if text != rows[0]]
    with pytest.raises(UserError, match=f"1 of the {len(rows)} {part} rows that this run has read are gone"):
        prepared(table(left + instead), known_of(before), test_size=2)


def test_known_rows_come_back_from_their_file_and_a_damaged_one_is_told(tmp_path):
    known = known_of(prepared(table(list("abcdef")), test_size=2))
    known.save(tmp_path)
    again = KnownRows.load(tmp_path)
    assert (again.class_names, again.fingerprints) == (known.class_names, known.fingerprints)
    assert all((again.keys[part] == known.keys[part]).all() for part in known.keys)
    (tmp_path / ROWS).write_bytes(b"PK\x03\x04 no archive")
    with pytest.raises(UserError, match=r"rows\.npz: damaged"):
        KnownRows.load(tmp_path)
    assert KnownRows.load(tmp_path / "elsewhere") is None


def test_data_whose_splits_have_other_sizes_are_none_of_a_run(tmp_path):
    before = prepared(table(list("abcdef")), test_size=2)
    with Ledger(tmp_path / "ledger.sqlite", budget=9, fingerprint=before.fingerprint) as ledger:
        ledger.ask(0, [Query("pool", 0, 1.0, "initial")])
    known_of(before).save(tmp_path)
    other = of_run(PoolDataModule(table(list("abcdefg")), test_size=3).prepare, TASK, tmp_path)
    rows = rows_of(other, tmp_path)
    assert (other.grown_from, rows.fingerprints) == ((), [other.fingerprint])
    assert KnownRows.load(tmp_path).fingerprints == [before.fingerprint]
    grown = of_run(PoolDataModule(table(list("abcdefg")), test_size=2).prepare, TASK, tmp_path)
    assert rows_of(grown, tmp_path).fingerprints == [before.fingerprint, grown.fingerprint]
    assert KnownRows.load(tmp_path).fingerprints == [before.fingerprint, grown.fingerprint]
