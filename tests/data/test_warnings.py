"""What the user is told of a data set before it is paid for."""

import datasets
import pytest

from lit_react.core.errors import UserError
from lit_react.data.tables import Source
from lit_react.data.warnings import missing_classes, warnings_of
from lit_react.tasks import MultiLabelClassification, QuestionAnswering, TextClassification, TokenClassification


def of(*texts: str, labels: list[int | None] | None = None) -> datasets.Dataset:
    return datasets.Dataset.from_dict({"text": list(texts), "label": labels or [0] * len(texts)})


def test_copies_between_splits_and_empty_texts_are_counted():
    copies, empty = warnings_of(Source(of("a", "b", " ", ""), of("c", "d"), of("a", "a", "B", "x"), ["0"]))
    assert copies.startswith("2 of 4 test texts are in the pool too")
    assert empty.startswith("2 of 4 texts of the pool are empty")


def test_a_pool_of_empty_texts_is_refused():
    with pytest.raises(UserError, match="all 2 texts of the pool are empty"):
        warnings_of(Source(of(" ", ""), of("c"), None, ["0"]))


def test_nothing_is_said_of_clean_data_or_of_data_without_texts():
    assert warnings_of(Source(of("a"), of("b"), None, ["0"])) == []
    words = datasets.Dataset.from_dict({"tokens": [["a"], ["a"]], "label": [None, None]})
    assert warnings_of(Source(words, words, words, ["0"])) == []


def test_labels_that_look_like_none_are_told():
    once = [*range(20), 20, 20, None, None]
    [line] = warnings_of(Source(of(*map(str, range(24)), labels=once), None, None, [str(name) for name in range(21)]))
    assert line.startswith("20 of 21 labels are there once in the pool")
    few = of(*"abcd", labels=[0, 1, None, None])
    assert warnings_of(Source(few, None, None, ["x", "y"])) == [], "what people have labeled first"
    [case] = warnings_of(Source(of("a", "b"), None, None, ["Sport", "tech", "sport"]))
    assert case.startswith("labels 'Sport' and 'sport' differ by their case only")


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (
            ["a", "N/A"],
            "label 'N/A' is a class, and nobody is asked about its rows: if it means unknown, leave it empty",
        ),
        (["-1", "1"], "label '-1' is a class"),
        (["a", "['a', 'b']"], r"label \"['a', 'b']\" looks like a list, and is the name of a class"),
        (["①", "1"], "labels '①' and '1' differ hardly"),
        (["a, b", "a", "b"], "3 labels are 2 when they are cut at ',': where texts have several"),
        (["a;b", "b;a", "a"], "3 labels are 2 when they are cut at ';'"),
    ],
)
def test_names_that_are_seldom_meant_are_told(names, told):
    [line] = warnings_of(Source(of("x"), None, None, names))
    assert line.startswith(told.replace("\\", ""))


def test_names_with_commas_that_are_no_sets_are_nothing_to_tell():
    assert warnings_of(Source(of("x"), None, None, ["Cause-Effect(e1,e2)", "Cause-Effect(e2,e1)", "Other"])) == []


def test_sets_most_of_which_have_a_comma_in_them_are_told():
    sets = datasets.Dataset.from_dict({"text": list(map(str, range(20))), "label": [[0]] * 11 + [[1]] * 9})
    [line] = warnings_of(Source(sets, None, None, ["a, b", "c"]))
    assert line == "most labels have a ',' in them: is model.separator theirs?"


def test_a_summary_is_one_line_whatever_the_labels_are():
    source = Source(of("a", "b"), of("c"), None, ["an article\nof " + "many words " * 50, *map(str, range(20))])
    assert source.summary == (
        "2 texts in the pool, 1 for validation; 21 labels: an article of many words many words …, "
        "0, 1, 2, 3, 4, 5, 6, 7, 8 …"
    )


def test_texts_that_fill_what_the_model_reads_are_counted(tiny_bert, tmp_path, monkeypatch):
    monkeypatch.setenv("LIT_REACT_CACHE", str(tmp_path))
    texts = of("how", "how far is it " * 5, "who")
    module = TextClassification(str(tiny_bert), max_length=8)
    assert module.task.warnings(module.task.encode(of("how", "who"))) == []
    [line] = module.task.warnings(module.task.encode(texts))
    assert line.startswith("1 of 3 texts of the pool fill model.max_length, 8 tokens")
    windows = QuestionAnswering(str(tiny_bert), max_length=20, max_question_length=4, stride=4)
    questions = datasets.Dataset.from_dict({"text": ["who"], "context": ["how far is it " * 20]})
    assert windows.task.warnings(windows.task.encode(questions)) == []


def test_splits_that_lack_classes_are_told_once(tiny_bert):
    task = TextClassification(str(tiny_bert)).task.named(["a", "b", "c"])
    splits = Source(of("x", labels=[0]), of("y", "z", labels=[1, 1]), of(*"uvw", labels=[0, 1, 2]), ["a", "b", "c"])
    [line] = missing_classes(splits, task)
    assert line.startswith("2 of 3 classes have no validation row (a, c): its metrics say nothing of them")
    unknown = Source(of("x", labels=[0]), of("y", "z", labels=[1, None]), None, ["a", "b", "c"])
    assert list(missing_classes(unknown, task)) == [], "people are to label them"
    sets = MultiLabelClassification(str(tiny_bert)).task.named(["a", "b", "c"])
    [line] = missing_classes(Source(of("x"), None, of("y", labels=[[0, 2]]), ["a", "b", "c"]), sets)
    assert line.startswith("1 of 3 classes have no test row (b)")
    entities = TokenClassification(str(tiny_bert)).task.named(["PER", "LOC"])
    [line] = missing_classes(Source(of("x"), None, of("y", labels=[[0, 3, 4]]), ["PER", "LOC"]), entities)
    assert line.startswith("1 of 2 classes have no test row (PER)")
