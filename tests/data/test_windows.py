from functools import cache

import datasets
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import BertTokenizer, PreTrainedTokenizerFast

from lit_react.data.answers import locate
from lit_react.data.windows import UNKNOWN, cut_into_windows

WORDS = ["a", "bb", "ccc", "dd", "é", "日", "x-y", "b", "."]
SIZES = {"max_length": 24, "max_question_length": 6, "stride": 5}
texts = st.lists(st.sampled_from(WORDS), min_size=1, max_size=60).map(" ".join)


@cache
def tokenizer(kind):
    """Word pieces with segments as BERT's, or bytes without as RoBERTa's."""
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    if kind == "bert":
        pieces = ["a", "b", "##b", "c", "##c", "d", "e", "日", "x", "y", "-", "."]
        return BertTokenizer(vocab={piece: index for index, piece in enumerate([*special, *pieces])})
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {piece: index for index, piece in enumerate([*special, *alphabet, "Ġb", "cc"])}
    backend = Tokenizer(models.BPE(vocab=vocabulary, merges=[("Ġ", "b"), ("c", "c")]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.post_processor = processors.RobertaProcessing(("[SEP]", 3), ("[CLS]", 2), trim_offsets=True)
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token="[PAD]",
        sep_token="[SEP]",
        cls_token="[CLS]",
        model_input_names=["input_ids", "attention_mask"],
    )


def cut(kind, questions, contexts, cache, **sizes):
    table = datasets.Dataset.from_dict({"text": questions, "context": contexts})
    return cut_into_windows(table, tokenizer(kind), cache=cache, **SIZES | sizes)


@pytest.mark.parametrize("kind", ["bert", "bytes"])
@settings(max_examples=25, deadline=None)
@given(rows=st.lists(st.tuples(texts, texts), min_size=1, max_size=4), data=st.data())
def test_windows_give_questions_and_contexts_back(kind, rows, data, tmp_path_factory):
    questions, contexts = zip(*rows, strict=True)
    table = cut(kind, questions, contexts, tmp_path_factory.mktemp("cache"))
    asked = data.draw(st.lists(st.integers(0, len(rows) - 1), min_size=1, max_size=5))
    batch = table.batch(asked)
    assert batch["row"].tolist() == asked
    assert batch["input_ids"].shape[1] <= SIZES["max_length"]
    assert sorted(w for windows in batch["windows"].tolist() for w in windows if w >= 0) == list(
        range(len(batch["input_ids"]))
    )
    plain = {"add_special_tokens": False, "return_offsets_mapping": True}
    for row, windows in zip(asked, batch["windows"].tolist(), strict=True):
        tokens = []
        for number, window in enumerate(w for w in windows if w >= 0):
            inside = batch["start"][window] >= 0
            ids, starts = batch["input_ids"][window][inside].tolist(), batch["start"][window][inside].tolist()
            assert not number or [token for token, _ in tokens[-5:]] == ids[:5], "neighbours share the stride"
            tokens += list(zip(ids, starts, strict=True))[5 if number else 0 :]
        expected = tokenizer(kind)(contexts[row], **plain)
        assert [token for token, _ in tokens] == expected["input_ids"]
        assert [start for _, start in tokens] == [start for start, _ in expected["offset_mapping"]]
        assert table.context_lengths[row] == len(tokens)
    assert table.lengths[asked].sum() == batch["attention_mask"].sum()
    assert ("token_type_ids" in batch) == (kind == "bert")


@pytest.mark.parametrize("kind", ["bert", "bytes"])
@settings(max_examples=40, deadline=None)
@given(question=texts, context=texts, data=st.data())
def test_targets_are_the_answers_tokens_in_windows_that_have_them_all(kind, question, context, data, tmp_path_factory):
    words = context.split()
    first = data.draw(st.integers(0, len(words) - 1))
    text = " ".join(words[first : first + data.draw(st.integers(1, 3))])
    start = locate(context, text, len(" ".join(words[:first])))
    batch = cut(kind, [question], [context], tmp_path_factory.mktemp("cache")).batch(
        [0], [{"start": start, "text": text}]
    )
    found = 0
    for window in range(len(batch["input_ids"])):
        low, high = batch["first"][window], batch["last"][window]
        inside = batch["start"][window] >= 0
        seen = (batch["start"][window][inside].min(), batch["end"][window].max())
        if seen[0] <= start and seen[1] >= start + len(text):
            assert context[batch["start"][window, low] : batch["end"][window, high]].strip() == text
            found += 1
        else:
            assert (low, high) == (0, 0), "the first token stands for: not here"
    assert found or len(tokenizer(kind)(text, add_special_tokens=False)["input_ids"]) > SIZES["stride"]
    assert batch["answers"] == [[text]]
    assert batch["contexts"] == [context]


def test_an_answer_without_a_place_has_no_target(tmp_path):
    labels = [{"start": None, "text": "z", "answers": ["z", "zz"]}, {"start": 0, "text": "a", "answers": ["a"]}]
    batch = cut("bert", ["a", "a"], ["bb a", "a bb"], tmp_path).batch([0, 1], labels)
    assert batch["first"].tolist() == batch["last"].tolist() == [UNKNOWN, 3]
    assert batch["answers"] == [["z", "zz"], ["a"]]


def test_a_long_question_is_cut_and_its_context_is_not(tmp_path):
    table = cut("bert", ["a " * 100, "  " + "bb " * 2], ["ccc " * 3] * 2, tmp_path)
    ids = tokenizer("bert")("a a a a a a", "ccc ccc ccc")["input_ids"]
    assert table.batch([0])["input_ids"].tolist() == [ids]
    assert table.batch([1])["input_ids"][0, :5].tolist() == tokenizer("bert")("bb bb")["input_ids"][:5]


def test_rows_are_padded_to_the_longest_window_of_the_batch(tmp_path):
    table = cut("bert", ["a", "a"], ["bb", "bb " * 30], tmp_path)
    batch = table.batch([0, 1])
    assert batch["windows"][0].tolist() == [0] + [-1] * (batch["windows"].shape[1] - 1)
    padding = batch["attention_mask"] == 0
    assert padding[0].sum() == 18
    for name, value in (("input_ids", 0), ("token_type_ids", 0), ("start", -1), ("end", -1)):
        assert (batch[name][padding] == value).all()


def test_windows_are_cut_once_for_each_setting(tmp_path):
    tables = [
        cut("bert", ["a"], ["bb " * 30], tmp_path, **sizes)
        for sizes in ({}, {}, {"stride": 4}, {"max_question_length": 5}, {"max_length": 23})
    ]
    assert len(list(tmp_path.glob("tokens-*.arrow"))) == 4
    assert np.array_equal(tables[0].lengths, tables[1].lengths)
