import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lit_react.tasks.tag_signals import sentence_signals


def mean(values):
    return values.mean() if len(values) else 0.0


def by_hand(tags, words):
    """`sentence_signals` of one sentence, word by word."""
    p = tags[words].double().numpy()
    kinds = p[:, 1::2] + p[:, 2::2]
    shares = np.append(kinds.max(0, initial=0), p[:, 0].min(initial=1))
    best = np.sort(p, axis=1)
    entropies = -(p * np.log(p)).sum(1)
    return {
        "probabilities": shares / shares.sum(),
        "max_probability": np.exp(mean(np.log(best[:, -1]))),
        "entropy": mean(entropies) / math.log(p.shape[1]) * math.log(len(shares)),
        "margin": (best[:, -1] - best[:, -2]).min(initial=1),
        "token_entropy": entropies.sum(),
        "entity_entropy": (entropies * (1 - p[:, 0])).sum(),
    }


@given(st.integers(0, 10_000), st.integers(1, 4), st.integers(1, 9), st.integers(1, 3))
def test_signals_are_those_of_a_loop_over_the_words(seed, rows, tokens, types):
    generator = torch.Generator().manual_seed(seed)
    tags = (4 * torch.randn(rows, tokens, 2 * types + 1, generator=generator)).softmax(-1)
    words = torch.rand(rows, tokens, generator=generator) < 0.6
    needs = frozenset({"token_entropy", "entity_entropy"})
    found = sentence_signals(tags, words, needs)
    for row in range(rows):
        for name, expected in by_hand(tags[row], words[row]).items():
            assert found[name][row].numpy() == pytest.approx(expected, abs=1e-4), name
    assert torch.allclose(found["probabilities"].sum(1), torch.ones(rows))
    assert bool((found["entropy"] <= math.log(types + 1) + 1e-5).all())


def test_a_long_sentence_is_no_less_certain_than_the_short_one_it_repeats():
    tags = torch.tensor([[[0.7, 0.2, 0.1], [0.1, 0.6, 0.3]]])
    once, thrice = (sentence_signals(tags.repeat(1, n, 1), torch.ones(1, 2 * n) > 0, frozenset()) for n in (1, 3))
    for name, value in once.items():
        assert torch.allclose(value, thrice[name]), name
