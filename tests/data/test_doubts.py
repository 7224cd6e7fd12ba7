"""What the user is told of a data set before it is paid for."""

import datasets

from lit_react.data.doubts import doubts
from lit_react.data.tables import Source
from lit_react.tasks import QuestionAnswering, TextClassification


def of(*texts: str, labels: list[int | None] | None = None) -> datasets.Dataset:
    return datasets.Dataset.from_dict({"text": list(texts), "label": labels or [0] * len(texts)})


def test_copies_between_splits_and_empty_texts_are_counted():
    copies, empty = doubts(Source(of("a", "b", " ", ""), of("c", "d"), of("a", "a", "B", "x"), ["0"]))
    assert copies.startswith("2 of 4 test texts are in the pool too")
    assert empty.startswith("2 of 4 texts of the pool are empty")


def test_nothing_is_said_of_clean_data_or_of_data_without_texts():
    assert doubts(Source(of("a"), of("b"), None, ["0"])) == []
    words = datasets.Dataset.from_dict({"tokens": [["a"], ["a"]], "label": [None, None]})
    assert doubts(Source(words, words, words, ["0"])) == []


def test_labels_that_look_like_none_are_told():
    pool = of(*"abcdef", labels=[0, 0, 1, 2, None, None])
    [once] = doubts(Source(pool, None, None, ["x", "y", "z"]))
    assert once.startswith("2 of 3 labels are there once in the pool")
    [case] = doubts(Source(of("a", "b"), None, None, ["Sport", "tech", "sport"]))
    assert case.startswith("labels 'Sport' and 'sport' differ by their case only")


def test_texts_that_fill_what_the_model_reads_are_counted(tiny_bert, tmp_path, monkeypatch):
    monkeypatch.setenv("LIT_REACT_CACHE", str(tmp_path))
    texts = of("how", "how far is it " * 5, "who")
    module = TextClassification(str(tiny_bert), max_length=8)
    assert module.doubts(module.encode(of("how", "who"))) == []
    [line] = module.doubts(module.encode(texts))
    assert line.startswith("1 of 3 texts of the pool fill model.max_length, 8 tokens")
    windows = QuestionAnswering(str(tiny_bert), max_length=20, max_question_length=4, stride=4)
    questions = datasets.Dataset.from_dict({"text": ["who"], "context": ["how far is it " * 20]})
    assert windows.doubts(windows.encode(questions)) == []
