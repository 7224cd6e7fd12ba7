"""Sentence pairs and batches."""

import datasets
import numpy as np
import pytest
import torch
from tiny import bbc
from transformers import AutoTokenizer

from lit_react.pretraining.examples import NEXT, RANDOM, Examples, Pairs
from lit_react.pretraining.masking import IGNORED, Masking
from lit_react.pretraining.passages import Passages, passages
from lit_react.pretraining.training import Stretches

ROOM = 61


@pytest.fixture(scope="module")
def tokenizer(tiny_bert):
    return AutoTokenizer.from_pretrained(tiny_bert)


@pytest.fixture(scope="module")
def found(tokenizer, tmp_path_factory) -> Passages:
    texts = [*bbc().pool["text"][:60], "A text of one sentence only", "And another one"]
    table = datasets.Dataset.from_dict({"text": texts})
    return passages(table, tokenizer, room=ROOM, longest=ROOM // 2, cache=tmp_path_factory.mktemp("cache"))


def examples(found: Passages, tokenizer, **options) -> Examples:
    masking = Masking.of(tokenizer, share=0.15, whole_word=False)
    settings = {"max_length": ROOM + 3, "next_sentence": True, "batch_size": 8, "seed": (0, 0)}
    return Examples(found, tokenizer, masking, **settings | options)


def test_the_way_that_texts_begin_does_not_tell_which_pairs_are_true(tokenizer, tmp_path) -> None:
    texts = [f"Only sentence number {n}." if n % 4 else f"First {n}. Second {n}. Third {n}." for n in range(80)]
    rows = datasets.Dataset.from_dict({"text": texts})
    mixed = passages(rows, tokenizer, room=ROOM, longest=ROOM // 2, cache=tmp_path)
    pairs = Pairs.draw(mixed, ROOM, np.random.default_rng(0))
    assert (pairs.labels == RANDOM).any()
    assert (mixed.counts[pairs.partners[pairs.labels == RANDOM]] > 1).all()


def test_half_of_the_pairs_are_true_and_false_ones_are_of_another_text(found) -> None:
    pairs = Pairs.draw(found, ROOM, np.random.default_rng(0))
    many = found.counts > 1
    assert (pairs.labels[~many] == IGNORED).all()
    assert (pairs.labels[many] == RANDOM).sum() == many.sum() // 2
    true, false = pairs.labels == NEXT, pairs.labels == RANDOM
    assert (pairs.partners[true] == np.flatnonzero(true)).all()
    assert (found.texts[pairs.partners[false]] != found.texts[false]).all()
    heads = np.where(many, found.tokens_of(np.arange(len(found)), np.maximum(pairs.heads, 1)), 0)
    lengths = heads + (found.lengths - heads)[pairs.partners]
    assert lengths.max() <= ROOM
    assert lengths[true].mean() == pytest.approx(lengths[false].mean(), rel=0.05), "the length tells nothing"


def test_true_pairs_are_neighbours_in_one_text_and_false_ones_are_not(found, tokenizer) -> None:
    made = examples(found, tokenizer)
    whole = {}
    for text in np.unique(found.texts):
        words = "".join(found.words_of(row) for row in np.flatnonzero(found.texts == text))
        whole[text] = spelled(torch.tensor(tokenizer(words, add_special_tokens=False)["input_ids"]))
    seen = []
    for step in range(made.batches_per_epoch):
        batch = made.unmasked(step)
        for ids, kinds, words, label in zip(
            batch["input_ids"], batch["token_type_ids"], batch["words"], batch["pair_labels"].tolist(), strict=True
        ):
            a, b = (ids[(kinds == kind) & (words >= 0)] for kind in (0, 1))
            pair = spelled(torch.cat([a, b]))
            seen.append(label)
            if label == NEXT:
                assert any(pair in text for text in whole.values())
            elif label == RANDOM:
                assert len(b) < 4 or not any(pair in text for text in whole.values())  # "[UNK] )." ends many
            else:
                assert not len(b)
    assert len(seen) == len(found)
    assert seen.count(RANDOM) == seen.count(NEXT) or seen.count(RANDOM) + 1 == seen.count(NEXT)


def spelled(ids) -> str:
    """Ids as a string in which one run of ids can be looked for."""
    return f" {' '.join(map(str, ids.tolist()))} "


def test_a_corpus_of_one_text_has_true_pairs_only(tokenizer, tmp_path) -> None:
    table = datasets.Dataset.from_dict({"text": ["One. Two. Three. Four. Five."]})
    one = passages(table, tokenizer, room=8, longest=4, cache=tmp_path)
    assert RANDOM not in Pairs.draw(one, 8, np.random.default_rng(0)).labels


def test_rows_are_framed_as_the_tokenizer_does(found, tokenizer) -> None:
    batch = examples(found, tokenizer).unmasked(0)
    for ids, mask, kinds, words in zip(
        batch["input_ids"], batch["attention_mask"], batch["token_type_ids"], batch["words"], strict=True
    ):
        length = int(mask.sum())
        special = [tokenizer.cls_token_id, tokenizer.sep_token_id, tokenizer.sep_token_id]
        assert ids[words < 0].tolist()[: len(special)][0] == special[0]
        assert ids[length - 1] == tokenizer.sep_token_id
        assert (ids[length:] == tokenizer.pad_token_id).all()
        assert (words[length:] == -1).all()
        text = tokenizer.decode(ids[:length])
        assert text.startswith("[CLS] ")
        if kinds.any():
            assert ids[int(kinds.argmax()) - 1] == tokenizer.sep_token_id
            assert ids[words < 0].tolist()[:3] == special


def test_a_step_is_always_the_same_batch_and_another_epoch_has_other_masks(found, tokenizer) -> None:
    made, again = examples(found, tokenizer), examples(found, tokenizer)
    far = 3 * made.batches_per_epoch + 2
    assert all(torch.equal(made[far][name], tensor) for name, tensor in again[far].items())
    made[0]
    assert all(torch.equal(made[far][name], tensor) for name, tensor in again[far].items())
    single = examples(found, tokenizer, next_sentence=False, batch_size=len(found))
    first, second = (rows_by_text(single[step]) for step in (0, 1))
    assert first.keys() == second.keys(), "each epoch has all passages"
    assert sum(first[key] != second[key] for key in first) > len(first) / 2
    other = examples(found, tokenizer, seed=(0, 1))
    assert not torch.equal(made[0]["input_ids"][:, :5], other[0]["input_ids"][:, :5])


def test_processes_share_the_rows_of_a_batch_and_mask_them_as_one_would(found, tokenizer) -> None:
    whole = examples(found, tokenizer, batch_size=4)
    shares = [examples(found, tokenizer, batch_size=4, rank=rank, world_size=4) for rank in range(4)]
    sizes = set()
    for step in range(whole.batches_per_epoch):
        every, parts = rows_by_text(whole[step]), [share[step] for share in shares]
        own = [rows_by_text(part) for part in parts]
        assert all(len(part["input_ids"]) == 1 for part in parts), "also where a batch has fewer rows"
        sizes.add(len(every))
        assert {key: row for rows in own[: len(every)] for key, row in rows.items()} == every
        pairs = torch.cat([part["pair_labels"] for part in parts])
        assert pairs[: len(every)].tolist() == whole[step]["pair_labels"].tolist()
        for left_over in parts[len(every) :]:
            assert (left_over["labels"] == IGNORED).all()
            assert (left_over["pair_labels"] == IGNORED).all()
    assert min(sizes) < 4 == max(sizes)


def rows_by_text(batch) -> dict[tuple[int, ...], list[bool]]:
    """The chosen places of each row, by its unmasked ids."""
    chosen = batch["labels"] != IGNORED
    ids = torch.where(chosen, batch["labels"], batch["input_ids"])
    lengths = batch["attention_mask"].sum(1).tolist()
    return {tuple(row[:n].tolist()): mask[:n].tolist() for row, mask, n in zip(ids, chosen, lengths, strict=True)}


def test_stretches_have_every_step_once() -> None:
    found: list[int] = []
    stretches = Stretches(10, 4, lambda: len(found))
    for length in (4, 4, 2, 0):
        assert len(stretches) == length
        found += list(stretches)
    assert found == list(range(10))
