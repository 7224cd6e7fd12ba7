"""Spans of tokens as answers: the score of every span, and the distribution over all of a question's spans."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

MASKED = -1e6
"""Logit of a token that begins or ends no answer; finite, so that a row without any token of a context is no NaN."""


def of_rows(values: Tensor, windows: Tensor, fill: float) -> Tensor:
    """Values of windows, gathered by row: [w, …], int64 [b, k] → [b, k, …], `fill` where there is no window."""
    missing = (windows < 0).reshape(*windows.shape, *[1] * (values.ndim - 1))
    return values[windows].masked_fill(missing, fill)


def span_scores(start: Tensor, end: Tensor, context: Tensor, longest: int) -> Tensor:
    """Start logit plus end logit, [w, t] each, of every span of up to `longest` tokens of the context, bool [w, t].

    The tokens of the context are in one piece.

    Returns:
        float32 [w, t, m], of the span from token i to token i + j; below MASKED / 2 where that is none.
    """
    start, end = (logits.float().masked_fill(~context, MASKED) for logits in (start, end))
    width = min(longest, end.shape[1])
    ends = F.pad(end, (0, width - 1), value=MASKED).unfold(1, width, 1)
    return start.unsqueeze(-1) + ends


def once_each(scores: Tensor, context: Tensor, windows: Tensor, stride: int) -> Tensor:
    """The scores [w, t, m], where a span that several windows share is none but in the window that likes it best.

    `context` is as in `span_scores`; `windows` int64 [b, k] are the windows of each row in their order, -1 after the
    last; neighbours share `stride` tokens of the context: the last of one, the first of the next.
    """
    scores, count = scores.clone(), windows.shape[1]
    lengths = of_rows(context.sum(1), windows, stride)
    begins = (lengths - stride).cumsum(1) - (lengths - stride)  # of each window, in tokens of the row's context
    first, places = context.int().argmax(1), torch.arange(context.shape[1], device=scores.device)
    for distance in range(1, count):
        earlier, later = windows[:, : count - distance], windows[:, distance:]
        steps = begins[:, distance:] - begins[:, : count - distance]
        shared = (lengths[:, : count - distance] - steps).clamp(min=0) * (later >= 0)
        pair, token = (places < shared.flatten().unsqueeze(1)).nonzero(as_tuple=True)
        if not len(pair):
            break  # windows that are farther from each other share nothing either
        one, other = earlier.flatten()[pair], later.flatten()[pair]
        here, there = (one, first[one] + steps.flatten()[pair] + token), (other, first[other] + token)
        left = (shared.flatten()[pair] - token).unsqueeze(1)
        both = torch.arange(scores.shape[2], device=scores.device) < left
        is_worse = scores[here] < scores[there]
        scores[here] = scores[here].masked_fill(both & is_worse, 2 * MASKED)
        scores[there] = scores[there].masked_fill(both & ~is_worse, 2 * MASKED)
    return scores


@dataclass(frozen=True)
class BestSpans:
    """The best span of each row, and how sure the model is of it.

    p(span) is the softmax of the scores of all spans in all windows of a row, see `once_each`.

    Attributes:
        window: int64 [b], the window with the best span.
        first: int64 [b], its first token there.
        last: int64 [b], its last token there.
        probability: float32 [b], of the best span.
        margin: float32 [b], that less the probability of the second best.
        entropy: float32 [b], of all spans over its maximum, the logarithm of their number: in [0, 1].
    """

    window: Tensor
    first: Tensor
    last: Tensor
    probability: Tensor
    margin: Tensor
    entropy: Tensor


def best_spans(scores: Tensor, windows: Tensor) -> BestSpans:
    """The best span of each row, and the uncertainty; scores [w, t, m] and windows [b, k] as in `once_each`."""
    width, flat = scores.shape[2], scores.flatten(1)
    values, places = flat.topk(min(2, flat.shape[1]), dim=1)
    values = F.pad(values, (0, 2 - values.shape[1]), value=2 * MASKED)  # [w, 2], also where there is one span
    top, found = of_rows(values, windows, -torch.inf).flatten(1).topk(2, dim=1)
    window = windows.gather(1, found[:, :1] // 2)[:, 0]
    place = places[window, found[:, 0] % 2]  # never a padded one: the best of a window is its first
    sums = of_rows(flat.logsumexp(1), windows, -torch.inf)
    log_sum = sums.logsumexp(1, keepdim=True)
    probability = (top - log_sum).exp()
    return BestSpans(
        window,
        first=place // width,
        last=place // width + place % width,
        probability=probability[:, 0],
        margin=probability[:, 0] - probability[:, 1],
        entropy=_entropy(flat, sums, log_sum, windows),
    )


def _entropy(flat: Tensor, sums: Tensor, log_sum: Tensor, windows: Tensor) -> Tensor:
    """H = log Σ exp(score) − E[score], over log of the number of spans."""
    expected = of_rows((flat.softmax(1) * flat).sum(1), windows, 0.0)
    entropy = log_sum[:, 0] - ((sums - log_sum).exp() * expected).sum(1)
    spans = of_rows((flat > MASKED / 2).sum(1), windows, 0).sum(1)
    return (entropy / spans.clamp(min=2).log()).clamp(0, 1)
