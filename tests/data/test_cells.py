"""Labels that are lists: in cells of text, as JSON, Python and Label Studio write them, and as zeros and ones."""

import json

import pyarrow as pa
import pytest

from lit_react.core.errors import UserError
from lit_react.data.classes import number_classes
from lit_react.data.label_sets import number_label_sets
from lit_react.data.tables import Source, Split

SETS = [["LOC", "PER"], ["PER"], []]


def split(labels, place="pool"):
    return Split(pa.table({"text": ["x"] * len(labels), "label": labels}), place)


def sets(labels, label_names=None, **others) -> Source:
    tables = {"pool": split(labels), **{part: split(column, part) for part, column in others.items()}}
    return number_label_sets(tables, "text", "label", label_names)


def named(source: Source, part: str = "pool"):
    return [
        label if label is None else [source.label_names[i] for i in label] for label in getattr(source, part)["label"]
    ]


# ---- lists in cells


@pytest.mark.parametrize(
    "cells",
    [
        ["['LOC', 'PER']", "['PER']", "[]"],
        ['["LOC", "PER"]', '["PER"]', "[]"],
        ["('LOC', 'PER')", "('PER',)", "[]"],
        ["{'PER', 'LOC'}", "{'PER'}", "[]"],
        ['{"choices": ["LOC", "PER"]}', "PER", "[]"],
        [" [ 'LOC' , \"PER\" ]\n", "PER", "|"],
    ],
)
def test_lists_in_cells_are_the_sets_that_they_name(cells):
    assert named(sets(cells)) == SETS


def test_objects_with_choices_are_their_lists():
    table = pa.Table.from_pylist([{"text": "x", "label": {"choices": names}} for names in SETS])
    assert named(number_label_sets({"pool": Split(table, "pool")}, "text", "label")) == SETS


@pytest.mark.parametrize(
    "cell", ["['LOC' 'PER']", "[LOC, PER]", "array(['LOC'], dtype=object)", "['LOC'", '{"labels": ["LOC"]}', "[1, 'a']"]
)
def test_a_cell_that_looks_like_a_list_and_is_none_is_refused_with_its_row(cell):
    with pytest.raises(UserError, match=r"pool row 2: column 'label': .* is no list as others are"):
        sets(["['LOC']", cell])
    with pytest.raises(UserError, match=r"pool row 1: column 'label': .* is no list as others are"):
        sets([cell])


def test_one_class_for_each_text_may_stand_in_a_list():
    for labels in (["['b']", "a", "[]"], [["b"], ["a"], []], [["b"], ["a"], None]):
        source = number_classes({"pool": split(labels)}, "text", "label")
        assert (source.label_names, source.pool["label"][:]) == (["a", "b"], [1, 0, None])
    with pytest.raises(
        UserError, match=r"pool row 2: column 'label' holds lists, 2 labels here: expected one for each"
    ):
        number_classes({"pool": split(["['a']", "['a', 'b']"])}, "text", "label")


def test_names_in_brackets_that_are_no_lists_are_names():
    assert number_classes({"pool": split(["[unk]", "(b)", "a"])}, "text", "label").label_names == ["(b)", "[unk]", "a"]


# ---- zeros and ones

HOT = [[1, 0, 0, 1], [0, 0, 0, 1], [0, 0, 0, 0]]


@pytest.mark.parametrize("kind", [int, float, bool])
@pytest.mark.parametrize("in_cells", [False, True])
def test_a_zero_or_one_for_each_label_is_no_list_of_ids(kind, in_cells):
    labels = [[kind(value) for value in row] for row in HOT]
    labels = [json.dumps(row) for row in labels] if in_cells else labels
    assert named(sets(labels, ["LOC", "MISC", "ORG", "PER"])) == SETS
    assert named(sets(labels)) == [["0", "3"], ["3"], []]


def test_one_split_says_what_lists_of_zeros_and_ones_are_in_another():
    source = sets([[1, 1], [0, 1]], test=[[0, 1], [1, 0]])
    assert (named(source), named(source, "test")) == ([["0", "1"], ["1"]], [["1"], ["0"]])
    source = sets([[0], [0, 1]], test=[[0, 1], [1, 0]])
    assert (named(source), named(source, "test")) == ([["0"], ["0", "1"]], [["0", "1"], ["0", "1"]])


@pytest.mark.parametrize(
    ("labels", "names", "message"),
    [
        ([[0, 1], [1, 0]], None, r"pool: column 'label': \[0, 1\] may be two ids, or a 0 or 1 for each of two labels"),
        ([[0, 2], [3, 3]], None, r"pool row 2: column 'label': \[3, 3\] has an id twice: expected different ids"),
        ([[0, 0, 1], [0, 1]], None, r"pool row 1: column 'label': \[0, 0, 1\] has an id twice"),
        ([[0, 0, 2]], None, r"pool row 1: .* has an id twice"),
        ([[True, False], [True]], None, r"pool: column 'label': expected lists of one length, a boolean for each"),
        ([[0.5, 0.25]], None, r"pool: column 'label' holds double: expected strings or integers"),
        (
            [[0, 0, 1]],
            ["a", "b"],
            r"has lists of 3 zeros and ones: expected 3 names, got 2 \(a, b\)",
        ),
        ([[0, 0, 1]], ["0", "1"], r"expected 3 names, got 2"),
    ],
)
def test_numbers_that_are_neither_ids_nor_zeros_and_ones_are_refused(labels, names, message):
    with pytest.raises(UserError, match=message):
        sets(labels, names)


# ---- names that look the same


@pytest.mark.parametrize(
    "other", ["cafe\u0301", "caf\u00e9\u200b", " caf\u00e9", "\ufeffcaf\u00e9", "c\u00adaf\u00e9", "caf\u00e9\u3000"]
)
def test_names_that_look_the_same_are_refused(other):
    with pytest.raises(UserError, match="look the same") as caught:
        number_classes({"pool": split(["caf\u00e9", other])}, "text", "label")
    assert ascii(other) in str(caught.value)
    with pytest.raises(UserError, match="it looks like one of them: it is"):
        number_classes({"pool": split(["caf\u00e9"]), "test": split([other], "test")}, "text", "label")


def test_minus_one_is_unknown_only_where_names_without_it_are_given():
    for labels in ([-1, 0, 1], ["-1", "0", "1"]):
        source = number_classes({"pool": split(labels)}, "text", "label")
        assert (source.label_names, source.pool["label"][:]) == (["-1", "0", "1"], [0, 1, 2])
        source = number_classes({"pool": split(labels)}, "text", "label", ["0", "1"])
        assert source.pool["label"][:] == [None, 0, 1]
