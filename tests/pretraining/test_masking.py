"""Masked tokens: how many, which, and what stands in their place."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from lit_react.pretraining.masking import IGNORED, Masking

MASK, VOCABULARY = 4, np.arange(5, 1000)


def masking(share: float = 0.15, whole_word: bool = False) -> Masking:
    return Masking(share, whole_word, MASK, VOCABULARY)


def some_tokens(seed: int, rows: int, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Ids, and words of one to three pieces; the first and the last place of a row are special."""
    rng = np.random.default_rng(seed)
    ids, words = rng.choice(VOCABULARY, (rows, length)), np.cumsum(rng.random((rows, length)) < 0.6, axis=1)
    ids[:, 0], ids[:, -1] = 2, 3
    words[:, [0, -1]] = -1
    return ids, words


def draws(seed: int, ids: np.ndarray) -> np.ndarray:
    return np.random.default_rng(seed).random((3, *ids.shape))


@pytest.mark.parametrize("whole_word", [False, True])
def test_15_percent_are_chosen_and_80_10_10_of_them_become_mask_random_and_themselves(whole_word) -> None:
    ids, words = some_tokens(0, 2000, 130)
    inputs, labels = masking(whole_word=whole_word).apply(ids, words, draws(0, ids))
    chosen = labels != IGNORED
    assert chosen.sum() / (words >= 0).sum() == pytest.approx(0.15, abs=0.003)
    assert (inputs[chosen] == MASK).mean() == pytest.approx(0.8, abs=0.01)
    assert (inputs[chosen] == ids[chosen]).mean() == pytest.approx(0.1, abs=0.01)
    others = (inputs[chosen] != MASK) & (inputs[chosen] != ids[chosen])
    assert others.mean() == pytest.approx(0.1, abs=0.01)
    assert np.isin(inputs[chosen][others], VOCABULARY).all()
    assert len(np.unique(inputs[chosen][others])) > 900, "from the whole vocabulary"


@settings(deadline=None)
@given(
    seed=st.integers(0, 10_000),
    rows=st.integers(1, 6),
    length=st.integers(2, 40),
    share=st.floats(0.01, 0.99),
    whole_word=st.booleans(),
)
def test_special_tokens_are_never_chosen_and_the_rest_is_left_alone(seed, rows, length, share, whole_word) -> None:
    ids, words = some_tokens(seed, rows, length)
    before = ids.copy()
    inputs, labels = masking(share, whole_word).apply(ids, words, draws(seed, ids))
    assert np.array_equal(ids, before), "the caller's ids are not changed"
    assert (labels[words < 0] == IGNORED).all()
    assert np.array_equal(inputs[labels == IGNORED], ids[labels == IGNORED])
    assert np.array_equal(labels[labels != IGNORED], ids[labels != IGNORED])
    again = masking(share, whole_word).apply(ids, words, draws(seed, ids))
    assert np.array_equal(again[0], inputs)
    assert np.array_equal(again[1], labels)


@settings(deadline=None)
@given(seed=st.integers(0, 10_000), share=st.floats(0.05, 0.95))
def test_whole_words_are_chosen_or_left_with_all_their_pieces(seed, share) -> None:
    ids, words = some_tokens(seed, 4, 40)
    _, labels = masking(share, whole_word=True).apply(ids, words, draws(seed, ids))
    for row in range(len(ids)):
        for word in np.unique(words[row][words[row] >= 0]):
            assert len(set((labels[row] != IGNORED)[words[row] == word])) == 1


@pytest.mark.parametrize("whole_word", [False, True])
def test_a_row_is_masked_as_it_is_among_others_and_under_more_padding(whole_word) -> None:
    ids, words = some_tokens(0, 7, 40)
    words[:, 30:] = -1
    every, made = draws(0, ids), masking(0.5, whole_word)
    together = made.apply(ids, words, every)
    for rank in range(2):
        own = made.apply(ids[rank::2, :31], words[rank::2, :31], every[:, rank::2])
        assert all(np.array_equal(part, whole[rank::2, :31]) for part, whole in zip(own, together, strict=True))


def test_random_tokens_are_no_special_ones(tiny_bert) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_bert)
    made = Masking.of(tokenizer, share=0.15, whole_word=False)
    assert made.mask_id == tokenizer.mask_token_id
    assert not set(made.ordinary) & set(tokenizer.all_special_ids)
    assert len(made.ordinary) == len(tokenizer) - len(tokenizer.all_special_ids)
