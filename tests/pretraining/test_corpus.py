"""Texts, their sentences, and the passages that they are cut into."""

import csv
import json
from itertools import pairwise

import datasets
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import ByteLevelBPETokenizer
from transformers import AutoTokenizer, RobertaTokenizer

from lit_react.core.errors import UserError
from lit_react.data.datamodule import PoolDataModule
from lit_react.pretraining.corpus import Texts
from lit_react.pretraining.passages import Passages, joined, passages, sentence_ends, sentence_starts
from lit_react.tasks import QuestionAnswering, TextClassification


def sentences(text: str) -> list[str]:
    starts = [*sentence_starts(text).tolist(), len(text)]
    return [text[start:stop].strip() for start, stop in pairwise(starts)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two! Three?", ["One.", "Two!", "Three?"]),
        ('He said "no." She left.', ['He said "no."', "She left."]),
        ("It is 3.5 per cent.", ["It is 3.5 per cent."]),
        ("第一句。第二句!第三句?", ["第一句。", "第二句!", "第三句?"]),
        ("他说：“好。”她走了。", ["他说：“好。”", "她走了。"]),
        ("不错!下次再来?好", ["不错!", "下次再来?", "好"]),
        ("Title\n\nFirst line\nsecond line", ["Title", "First line", "second line"]),
        ("no mark", ["no mark"]),
        ("", [""]),
    ],
)
def test_sentences(text, expected) -> None:
    assert sentences(text) == expected


@settings(deadline=None)
@given(
    lengths=st.lists(st.integers(1, 30), min_size=1, max_size=20), longest=st.integers(1, 12), room=st.integers(12, 30)
)
def test_passages_cover_the_text_in_order_and_fit(lengths, longest, room) -> None:
    of = np.repeat(np.arange(len(lengths)), lengths)
    ends = sentence_ends(of, np.arange(len(of)) // 3, longest)
    assert ends[-1] == len(of)
    assert all(0 < b - a <= longest for a, b in zip([0, *ends], ends, strict=False))
    assert set(np.cumsum(lengths)) <= set(ends), "no piece goes over the end of a sentence"
    found = list(joined(ends, room))
    assert [end for _, inner in found for end in inner] == ends
    assert [start for start, _ in found] == [0, *(inner[-1] for _, inner in found[:-1])]
    assert all(inner[-1] - start <= room for start, inner in found)


def test_a_long_sentence_is_cut_between_words() -> None:
    words = np.array([0, 0, 0, 1, 1, 2, 3, 3, 3, 3, 3])
    assert sentence_ends(np.zeros(11, dtype=int), words, 4) == [3, 6, 9, 11]  # the last word is longer than 4
    assert sentence_ends(np.zeros(9, dtype=int), np.arange(9), 8) == [5, 9], "even pieces"


def made(texts: list[str], tokenizer, tmp_path, room: int = 20, longest: int = 10) -> Passages:
    table = datasets.Dataset.from_dict({"text": texts})
    return passages(table, tokenizer, room=room, longest=longest, cache=tmp_path)


def test_passages_are_the_text_in_its_order(tiny_bert, tmp_path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_bert)
    texts = ["The government won. It was a win for the people of the country! And then?", "", "One two."]
    found = made(texts, tokenizer, tmp_path)
    for index, text in enumerate(texts):
        rows = np.flatnonzero(found.texts == index)
        assert "".join(found.words_of(row) for row in rows) == text
    lengths = [len(tokenizer.tokenize(found.words_of(row))) for row in range(len(found))]
    assert lengths == found.lengths.tolist()
    for row in np.flatnonzero(found.counts > 1):
        assert found.words_of(row, 0, 1) + found.words_of(row, 1) == found.words_of(row)
        assert len(tokenizer.tokenize(found.words_of(row, 0, 1))) == found.tokens_of(np.array([row]), 1)[0]
    again = made(texts, tokenizer, tmp_path)
    assert len(list(tmp_path.glob("passages-*"))) == 1
    assert again.lengths.tolist() == found.lengths.tolist()


def test_sentences_of_a_byte_level_tokenizer_keep_their_space(tmp_path) -> None:
    learner = ByteLevelBPETokenizer()
    learner.train_from_iterator(["the government of the people won the game"] * 3, vocab_size=270)
    learner.save_model(str(tmp_path))
    tokenizer = RobertaTokenizer.from_pretrained(tmp_path)
    found = made(["the zebra won. the people lost."], tokenizer, tmp_path, room=60, longest=60)
    assert found.counts.tolist() == [2]
    assert found.words_of(0, 1) == " the people lost."


def test_neither_test_nor_validation_rows_of_a_fit_are_read(news_csv) -> None:
    data = PoolDataModule(str(news_csv), validation_size=20, test_size=30, split_seed=3)
    data.connect(TextClassification().task)
    fit = data.fixed.splits
    train, held_out = Texts(str(news_csv), test_size=30, validation_size=20, split_seed=3, held_out=10).load()
    read = set(train["text"][:]) | set(held_out["text"][:])
    assert read == set(fit.pool["text"][:])
    assert not read & (set(fit.test["text"][:]) | set(fit.validation["text"][:]))
    assert len(held_out) == 10
    assert not set(train["text"][:]) & set(held_out["text"][:])


def test_no_context_that_a_fit_tests_on_is_read(tmp_path) -> None:
    rows = [{"context": f"In year {n // 4} it rained.", "question": f"q {n}?"} for n in range(120)]
    source = tmp_path / "questions.jsonl"
    answers = [{"text": ["it"], "answer_start": [row["context"].index("it")]} for row in rows]
    lines = [json.dumps(row | {"answers": answer}) for row, answer in zip(rows, answers, strict=True)]
    source.write_text("\n".join(lines))
    data = PoolDataModule(str(source), validation_size=20, test_size=30)
    data.connect(QuestionAnswering().task)
    sizes = {"test_size": 30, "validation_size": 20, "held_out": 4}
    parts = Texts(str(source), text_column="context", group_column="context", **sizes).load()
    read = {text for part in parts for text in part["text"][:]}
    assert read == set(data.fixed.splits.pool["context"][:])
    assert not read & set(data.fixed.splits.test["context"][:])


def test_of_a_folder_only_the_train_split_is_read_and_no_label_is_needed(tmp_path) -> None:
    for name, words in (("train", ["a", "b", "c"]), ("test", ["secret"])):
        with (tmp_path / f"{name}.csv").open("w") as file:
            csv.writer(file).writerows([["body"], *([word] for word in words)])
    train, held_out = Texts(str(tmp_path), text_column="body", held_out=1).load()
    assert sorted([*train["text"], *held_out["text"]]) == ["a", "b", "c"]


def test_each_text_is_read_once_and_copies_of_held_out_ones_never(tmp_path) -> None:
    with (tmp_path / "texts.csv").open("w") as file:
        csv.writer(file).writerows([["text"], *([word] for word in "aaaabbbbcccc")])
    train, held_out = Texts(str(tmp_path / "texts.csv"), held_out=1).load()
    assert sorted([*train["text"], *held_out["text"]]) == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"held_out": 0}, "texts.held_out: 0 is too small"),
        ({"held_out": 160}, "texts.held_out: 160 rows of .* are too few"),
        ({"test_size": -1}, "texts.test_size: -1 is too small"),
        ({"text_column": "body"}, "no column 'body'"),
    ],
)
def test_wrong_texts_are_named(options, message, news_csv) -> None:
    with pytest.raises(UserError, match=message):
        Texts(**{"source": str(news_csv), **options}).load()
