import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lit_react.tasks.hypotheses import TokenConfidence, mean_over, until_end


@given(st.integers(1, 4), st.integers(2, 30), st.integers(0, 100))
@settings(max_examples=40, deadline=None)
def test_confidence_is_within_its_bounds(rows, vocabulary, seed) -> None:
    generator = torch.Generator().manual_seed(seed)
    confidence = TokenConfidence()
    for _ in range(3):
        scores = 5 * torch.randn(rows, vocabulary, generator=generator)
        scores[:, 2:][torch.rand(rows, vocabulary - 2, generator=generator) < 0.3] = -math.inf
        assert confidence(torch.zeros(rows, 1), scores) is scores
    log_p, entropy, margin = confidence.means(torch.rand(rows, 3, generator=generator) < 0.7)
    assert torch.all(log_p <= 0)
    assert torch.all((entropy >= -1e-6) & (entropy <= 1 + 1e-6))
    assert torch.all((margin >= 0) & (margin <= 1))


@given(st.lists(st.lists(st.integers(0, 3), min_size=4, max_size=4), min_size=1, max_size=5))
def test_a_text_ends_with_its_first_end(rows) -> None:
    chosen = until_end(torch.tensor(rows), [2, 3])
    lengths = [next((i + 1 for i, token in enumerate(row) if token in (2, 3)), 4) for row in rows]
    assert chosen.sum(1).tolist() == lengths
    means = mean_over(chosen, torch.tensor(rows).float())
    assert means.tolist() == pytest.approx([sum(row[:n]) / n for row, n in zip(rows, lengths, strict=True)])
