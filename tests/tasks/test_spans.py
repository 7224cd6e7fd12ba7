import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lit_react.tasks.spans import MASKED, best_spans, of_rows, once_each, span_scores


def make(seed, counts, tokens, spread):
    """Logits of windows with some tokens of a context each, in one piece; windows by row."""
    rng = np.random.default_rng(seed)
    total = sum(counts)
    start, end = torch.from_numpy(rng.normal(size=(2, total, tokens)) * spread).float()
    places = np.arange(tokens)
    first = rng.integers(0, tokens, total)[:, None]
    context = (places >= first) & (places <= rng.integers(first, tokens))
    windows = np.full((len(counts), max(counts)), -1)
    windows[np.arange(max(counts)) < np.asarray(counts)[:, None]] = np.arange(total)
    return start, end, torch.from_numpy(context), torch.from_numpy(windows)


def by_hand(start, end, context, windows, longest):
    """All spans of a row in Python: (score, window, first, last), best first."""
    spans = []
    for window in windows.tolist():
        tokens = np.flatnonzero(context[window]).tolist() if window >= 0 else []
        for i in tokens:
            spans += [(float(start[window, i] + end[window, j]), window, i, j) for j in tokens if 0 <= j - i < longest]
    return sorted(spans, reverse=True)


@settings(max_examples=80, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    counts=st.lists(st.integers(1, 3), min_size=1, max_size=4),
    tokens=st.integers(1, 9),
    longest=st.integers(1, 12),
    spread=st.sampled_from([0.1, 3.0, 30.0]),
)
def test_best_spans_are_those_of_a_search_over_all(seed, counts, tokens, longest, spread):
    start, end, context, windows = make(seed, counts, tokens, spread)
    best = best_spans(span_scores(start, end, context, longest), windows)
    for row in range(len(counts)):
        spans = by_hand(start, end, context, windows[row], longest)
        scores = torch.tensor([span[0] for span in spans]).double()
        p = scores.softmax(0)
        assert (best.window[row], best.first[row], best.last[row]) == spans[0][1:]
        assert np.isclose(best.probability[row], p[0], atol=1e-4)
        assert np.isclose(best.margin[row], p[0] - (p[1] if len(p) > 1 else 0), atol=1e-4)
        entropy = torch.special.entr(p).sum() / max(np.log(len(p)), np.log(2))
        assert np.isclose(best.entropy[row], entropy, atol=1e-3)


@settings(max_examples=80, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    rows=st.lists(st.integers(1, 20), min_size=1, max_size=3),
    room=st.integers(2, 6),
    share=st.integers(0, 5),
    longest=st.integers(1, 7),
)
def test_a_span_that_windows_share_counts_once_with_its_better_score(seed, rows, room, share, longest):
    """`tokens` [w, t] are places in the row's context, -1 outside; windows are cut as tokenizers cut them."""
    rng, stride, before = np.random.default_rng(seed), min(share, room - 1), 2
    pieces, of_row = [], []
    for length in rows:
        firsts = range(0, max(length - stride, 1), room - stride)
        of_row.append(range(len(pieces), len(pieces) + len(firsts)))
        pieces += [range(first, min(first + room, length)) for first in firsts]
    tokens = torch.full((len(pieces), before + room + 1), -1)
    for window, piece in enumerate(pieces):
        tokens[window, before : before + len(piece)] = torch.tensor(piece)
    windows = torch.full((len(rows), max(map(len, of_row))), -1)
    for row, own in enumerate(of_row):
        windows[row, : len(own)] = torch.tensor(own)
    first, last = torch.from_numpy(rng.normal(size=(2, *tokens.shape))).float()
    scores = once_each(span_scores(first, last, tokens >= 0, longest), tokens >= 0, windows, stride)
    left = (scores > MASKED / 2).nonzero().tolist()
    for row, own in enumerate(of_row):
        expected = {}
        for score, window, i, j in by_hand(first, last, tokens >= 0, windows[row], longest):
            span = (int(tokens[window, i]), int(tokens[window, j]))
            expected[span] = max(score, expected.get(span, score))
        here = [(w, i, j) for w, i, j in left if w in own]
        found = {(int(tokens[w, i]), int(tokens[w, i + j])): float(scores[w, i, j]) for w, i, j in here}
        assert len(here) == len(expected)
        assert found == {span: torch.tensor(score).float().item() for span, score in expected.items()}


def test_a_sure_answer_in_two_windows_is_sure():
    context = torch.tensor([[False, True, True, True], [False, True, True, True]])
    logits = torch.full((2, 4), -20.0)
    logits[0, 2] = logits[1, 1] = 20.0
    windows = torch.tensor([[0, 1]])
    best = best_spans(once_each(span_scores(logits, logits, context, 3), context, windows, 2), windows)
    assert best.probability.item() > 0.99
    assert best.margin.item() > 0.99


def test_no_token_of_a_context_is_no_answer_and_no_nan():
    nothing = torch.zeros(1, 4, dtype=torch.bool)
    best = best_spans(span_scores(torch.randn(1, 4), torch.randn(1, 4), nothing, 3), torch.tensor([[0]]))
    assert all(torch.isfinite(part).all() for part in (best.probability, best.margin, best.entropy))


def test_scores_are_float32_whatever_the_logits_are():
    logits = torch.randn(2, 5, dtype=torch.bfloat16)
    scores = span_scores(logits, logits, torch.ones(2, 5, dtype=torch.bool), 2)
    assert scores.dtype == torch.float32
    assert torch.equal(scores[:, :4, 1], logits[:, :4].float() + logits[:, 1:].float())


def test_values_of_windows_are_gathered_by_row():
    values = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    found = of_rows(values, torch.tensor([[0, 1], [2, -1]]), 9.0)
    assert found.tolist() == [[[1.0, 2.0], [3.0, 4.0]], [[5.0, 6.0], [9.0, 9.0]]]
