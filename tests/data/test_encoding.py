import fcntl
import os
from concurrent.futures import ThreadPoolExecutor, wait

import datasets
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModel, AutoTokenizer

from lit_react.data import embedding
from lit_react.data.embedding import FeatureTable, embed, mean_embedding
from lit_react.data.encoding import (
    FARTHER,
    REACH,
    TokenTable,
    plain_text,
    text_digest,
    tokenize,
)
from lit_react.data.pairs import MARKERS
from lit_react.data.words import first_pieces
from lit_react.tasks.relation_extraction import windows

TEXTS = ["the market rose", "a goal in the last minute of the match won the cup", "", "new phone"]


def split(texts):
    return datasets.Dataset.from_dict({"text": texts, "label": [0] * len(texts)})


class Refusing:
    """A tokenizer that may be asked what it is, but not for tokens."""

    def __init__(self, tokenizer):
        self.tokenizer = tokenizer

    def __getattr__(self, name):
        return getattr(self.tokenizer, name)

    def __call__(self, *args, **kwargs):
        raise AssertionError("texts were tokenised again")


@pytest.fixture(scope="module")
def tokenizer(tiny_bert):
    return AutoTokenizer.from_pretrained(tiny_bert)


@pytest.fixture(scope="module")
def encoder(tiny_bert):
    return AutoModel.from_pretrained(tiny_bert)


# ---- tokens


def test_batches_equal_the_tokenizers_own_padding(tiny_bert, tmp_path):
    tokenizer = AutoTokenizer.from_pretrained(tiny_bert)
    table = tokenize(split(TEXTS), tokenizer, max_length=10, cache=tmp_path)
    rows = [3, 1, 2]
    own = tokenizer([TEXTS[row] for row in rows], padding=True, truncation=True, max_length=10, return_tensors="pt")
    batch = table.batch(rows)
    assert batch["row"].tolist() == rows
    assert torch.equal(batch["input_ids"], own["input_ids"])
    assert torch.equal(batch["attention_mask"], own["attention_mask"])
    assert table.lengths[rows].tolist() == own["attention_mask"].sum(1).tolist()


class Reading:
    """A tokenizer that counts the characters that it is given at once."""

    def __init__(self, tokenizer):
        self.tokenizer, self.most = tokenizer, 0

    def __getattr__(self, name):
        return getattr(self.tokenizer, name)

    def __call__(self, texts, **options):
        flat = [text if isinstance(text, str) else "".join(text) for text in texts]
        self.most = max(self.most, *map(len, flat))
        return self.tokenizer(texts, **options)


@pytest.mark.parametrize("side", ["left", "right"])
def test_long_texts_are_cut_before_they_are_tokenised(tiny_bert, side):
    tokenizer = AutoTokenizer.from_pretrained(tiny_bert, truncation_side=side)
    blank = " " * (8 * REACH)
    texts = ["the market rose " * 100_000, "x" * 1_000_000, f"{blank}new phone{blank}", "a", ""]
    reading = Reading(tokenizer)
    found = plain_text(reading, 8)({"text": texts})["input_ids"]
    assert found == tokenizer(texts, truncation=True, max_length=8)["input_ids"]
    assert reading.most <= FARTHER * REACH * 8


def test_long_words_and_sentences_are_cut_before_they_are_tokenised(tiny_bert):
    reading = Reading(AutoTokenizer.from_pretrained(tiny_bert))
    words = [["the", "market"] * 100_000, ["x" * 1_000_000, "rose"]]
    found = first_pieces(reading, 8)({"tokens": words})
    whole = reading.tokenizer(words, is_split_into_words=True, truncation=True, max_length=8)
    assert (found["input_ids"], reading.most <= 2 * (REACH * 8) * 8) == (whole["input_ids"], True)


def test_a_marked_pair_keeps_what_is_near(tiny_bert):
    tokenizer = AutoTokenizer.from_pretrained(tiny_bert)
    tokenizer.add_tokens(list(MARKERS), special_tokens=True)
    filler = "the market rose " * 100_000
    text = f"{filler}<e1> news </e1> {filler}<e2> phone </e2> {filler}"
    reading = Reading(tokenizer)
    near = windows(reading, 24)({"text": [text]})
    assert near == windows(tokenizer, 24)({"text": ["".join(text.split(filler[200:-200]))]})
    assert (len(near["input_ids"][0]), reading.most < 8 * REACH * 24) == (24, True)


@settings(max_examples=40, deadline=None)
@given(
    lists=st.lists(st.lists(st.integers(1, 99), min_size=1, max_size=9), min_size=1, max_size=8),
    data=st.data(),
)
def test_batches_give_any_token_lists_back(lists, data):
    table = TokenTable(datasets.Dataset.from_dict({"input_ids": lists}), pad_id=0)
    rows = data.draw(st.lists(st.integers(0, len(lists) - 1), min_size=1, max_size=8))
    batch = table.batch(np.asarray(rows))
    ids, mask = batch["input_ids"], batch["attention_mask"].bool()
    assert [row[keep].tolist() for row, keep in zip(ids, mask, strict=True)] == [lists[row] for row in rows]
    assert torch.all(ids[~mask] == 0)
    assert ids.shape[1] == max(len(lists[row]) for row in rows)
    assert mask[:, 0].all(), "padding is on the right"


@settings(max_examples=25, deadline=None)
@given(lengths=st.lists(st.integers(1, 9), min_size=1, max_size=8), data=st.data())
def test_further_columns_of_the_tokens_are_padded_with_minus_one(lengths, data):
    def column():
        return [[data.draw(st.integers(-1, 99)) for _ in range(length)] for length in lengths]

    columns = {"input_ids": column(), "word": column(), "tag": column()}
    table = TokenTable(datasets.Dataset.from_dict(columns), pad_id=7)
    rows = data.draw(st.lists(st.integers(0, len(lengths) - 1), min_size=1, max_size=8))
    batch = table.batch(rows)
    assert set(batch) == {"row", "attention_mask", *columns}
    widest = max(lengths[row] for row in rows)
    for name, lists in columns.items():
        filler = 7 if name == "input_ids" else -1
        assert batch[name].dtype == torch.int64
        assert batch[name].tolist() == [lists[row] + [filler] * (widest - lengths[row]) for row in rows]


def test_a_task_encodes_its_own_columns_and_names_what_it_adds(tokenizer, tmp_path):
    table = datasets.Dataset.from_dict({"words": [["the", "market"], ["goal"]], "label": [0, 1]})

    def encode(rows):
        tokens = tokenizer(rows["words"], is_split_into_words=True)
        return {
            "input_ids": tokens["input_ids"],
            "word": [[-1 if word is None else word for word in tokens.word_ids(i)] for i in range(len(rows["words"]))],
        }

    options = {"max_length": 16, "cache": tmp_path, "columns": ["words"], "encode": encode}
    batch = tokenize(table, tokenizer, **options, extra=["word"]).batch([1, 0])
    assert batch["word"].tolist() == [[-1, 0, -1, -1], [-1, 0, 1, -1]]
    assert "word" not in tokenize(table, tokenizer, **options | {"encode": plain}).batch([0])
    assert len(list(tmp_path.glob("tokens-*.arrow"))) == 2


def plain(rows):
    return {"input_ids": [list(range(len(words))) for words in rows["words"]]}


def test_labels_of_a_batch_are_class_ids(tokenizer, tmp_path):
    tokens = tokenize(split(TEXTS), tokenizer, max_length=16, cache=tmp_path)
    features = FeatureTable(np.zeros((4, 2), dtype=np.float32), np.ones(4, dtype=np.int64))
    for table in (tokens, features):
        batch = table.batch([2, 0], [3, 1])
        assert batch["labels"].dtype == torch.int64
        assert batch["labels"].tolist() == [3, 1]
        assert "labels" not in table.batch([2, 0])


def test_texts_are_tokenised_once(tiny_bert, tmp_path):
    first = tokenize(split(TEXTS), AutoTokenizer.from_pretrained(tiny_bert), max_length=16, cache=tmp_path)
    again = Refusing(AutoTokenizer.from_pretrained(tiny_bert))
    second = tokenize(split(TEXTS), again, max_length=16, cache=tmp_path)
    assert torch.equal(first.batch(range(4))["input_ids"], second.batch(range(4))["input_ids"])
    assert [path.suffix for path in tmp_path.iterdir()] == [".arrow"]


def test_a_tokenizer_that_was_used_before_finds_the_same_file(tiny_bert, tmp_path):
    used = AutoTokenizer.from_pretrained(tiny_bert)
    used(["some text"], truncation=True, max_length=5, padding="max_length")
    tokenize(split(TEXTS), used, max_length=16, cache=tmp_path)
    unused = Refusing(AutoTokenizer.from_pretrained(tiny_bert))
    tokenize(split(TEXTS), unused, max_length=16, cache=tmp_path)


def test_another_text_tokenizer_or_length_is_another_file(tokenizer, tiny_bert, tmp_path):
    def files():
        return len(list(tmp_path.glob("tokens-*.arrow")))

    tokenize(split(TEXTS), tokenizer, max_length=16, cache=tmp_path)
    tokenize(split([*TEXTS[:3], "new phones"]), tokenizer, max_length=16, cache=tmp_path)
    assert files() == 2
    tokenize(split(TEXTS), tokenizer, max_length=8, cache=tmp_path)
    assert files() == 3
    larger = AutoTokenizer.from_pretrained(tiny_bert)
    larger.add_tokens(["phone!"])
    tokenize(split(TEXTS), larger, max_length=16, cache=tmp_path)
    assert files() == 4


def test_digest_tells_texts_apart_by_content_order_and_boundaries():
    digests = [text_digest(split(texts)) for texts in (["ab", "c"], ["a", "bc"], ["c", "ab"], ["abc"], ["ab", "c", ""])]
    assert len(set(digests)) == len(digests)
    table = split(["c", "ab", "c"])
    assert text_digest(table.select([1, 2])) == digests[0], "only the selected rows count"


def test_digest_reads_all_columns_that_it_is_given():
    columns = {"question": ["a", "b"], "words": [["x", "y"], []]}
    table = datasets.Dataset.from_dict(columns)
    digests = {
        text_digest(table, columns=("question",)),
        text_digest(table, columns=("words",)),
        text_digest(table, columns=("question", "words")),
        text_digest(table, columns=("words", "question")),
        text_digest(datasets.Dataset.from_dict({**columns, "words": [["xy"], []]}), columns=("question", "words")),
        text_digest(datasets.Dataset.from_dict({**columns, "words": [["x"], ["y"]]}), columns=("question", "words")),
    }
    assert len(digests) == 6
    assert text_digest(table.add_column("label", [0, 1]), columns=("question", "words")) in digests


# ---- features


def test_feature_batches_name_their_rows():
    features = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    table = FeatureTable(features, np.ones(5, dtype=np.int64))
    batch = table.batch([4, 0])
    assert len(table) == 5
    assert batch["row"].tolist() == [4, 0]
    assert np.array_equal(batch["features"].numpy(), features[[4, 0]])


def test_mean_embedding_is_the_unit_mean_of_attended_tokens():
    hidden = torch.tensor([[[3.0, 0.0], [0.0, 4.0], [50.0, 50.0]]])
    mean = mean_embedding(hidden, torch.tensor([[1, 1, 0]]))
    assert torch.allclose(mean, torch.tensor([[0.6, 0.8]]))


def test_embeddings_are_computed_once(encoder, tokenizer, tmp_path):
    tokens = tokenize(split(TEXTS), tokenizer, max_length=16, cache=tmp_path)
    first = embed(encoder, tokens, cache=tmp_path, key="k")
    (path,) = tmp_path.glob("embeddings-*.npy")
    written = path.stat().st_mtime_ns
    second = embed(None, tokens, cache=tmp_path, key="k")
    assert path.stat().st_mtime_ns == written
    assert np.array_equal(first.features, second.features)
    assert np.allclose(np.linalg.norm(first.features, axis=1), 1, atol=1e-5)
    assert not list(tmp_path.glob("*.partial"))


def test_a_pass_that_was_killed_goes_on_where_it_was(encoder, tokenizer, tmp_path, monkeypatch):
    monkeypatch.setattr(embedding, "BATCHES_KEPT", 2)
    tokens = tokenize(split(TEXTS[:1] * 7), tokenizer, max_length=16, cache=tmp_path)
    options = {"cache": tmp_path, "batch_size": 1}
    whole, calls = embed(encoder, tokens, key="whole", **options).features, []

    def dies(hidden, batch):
        calls.append(1)
        if len(calls) == 6:
            raise KeyboardInterrupt
        return embedding.sentence_embedding(hidden, batch)

    with pytest.raises(KeyboardInterrupt):
        embed(encoder, tokens, key="k", embedding=dies, **options)
    found = embed(encoder, tokens, key="k", embedding=dies, **options).features
    assert len(calls) == 6 + 7 - 4, "four batches were on the disk"
    assert np.array_equal(found, whole)
    assert [path.suffix for path in tmp_path.glob("embeddings-k*")] == [".npy"]


@pytest.mark.parametrize("left", ["other batches", "an empty file"])
def test_what_others_left_is_not_gone_on_with(encoder, tokenizer, tmp_path, left):
    tokens = tokenize(split(TEXTS), tokenizer, max_length=16, cache=tmp_path)
    whole = embed(encoder, tokens, cache=tmp_path, key="whole").features
    (tmp_path / "embeddings-k.progress").write_text("1 of 9" if left == "other batches" else "1 of 1")
    with (tmp_path / "embeddings-k.partial").open("wb") as file:
        if left != "an empty file":
            np.lib.format.write_array(file, np.zeros_like(whole))
    assert np.array_equal(embed(encoder, tokens, cache=tmp_path, key="k").features, whole)


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="files cannot be given their room there")
def test_embeddings_have_their_room_on_the_disk_before_they_are_made(tmp_path):
    with embedding.growing_array(tmp_path / "e.npy", (1000, 100), steps=1):
        partial = (tmp_path / "e.partial").stat()
        assert partial.st_blocks * 512 >= partial.st_size > 400_000


def test_a_pass_that_another_process_makes_is_waited_for(encoder, tokenizer, tmp_path):
    tokens = tokenize(split(TEXTS), tokenizer, max_length=16, cache=tmp_path)
    whole = embed(encoder, tokens, cache=tmp_path, key="whole").features
    with ThreadPoolExecutor() as pool, (tmp_path / "embeddings-k.partial").open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        found = pool.submit(embed, encoder, tokens, cache=tmp_path, key="k")
        assert not wait([found], timeout=0.2).done
        np.lib.format.write_array(other, np.full_like(whole, 7))
        os.replace(other.name, tmp_path / "embeddings-k.npy")
        other.close()
        assert (found.result(timeout=20).features == 7).all()
    assert [path.suffix for path in tmp_path.glob("embeddings-k*")] == [".npy"]


def test_embedding_of_a_text_does_not_depend_on_its_batch(encoder, tokenizer, tmp_path):
    tokens = tokenize(split(TEXTS), tokenizer, max_length=16, cache=tmp_path)
    together = embed(encoder, tokens, cache=tmp_path, key="together").features
    alone = embed(encoder, tokens, cache=tmp_path, key="alone", batch_size=1).features
    assert np.allclose(together, alone, atol=1e-6)
