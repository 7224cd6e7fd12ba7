"""How sure a model is of the text that it writes, token by token."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from transformers import LogitsProcessor


class TokenConfidence(LogitsProcessor):
    """Notes what `generate` decides on at each step of greedy decoding, and changes nothing.

    So the pass that writes a text also says how sure of it the model was, and only three numbers of each token are
    kept, not its V scores.
    """

    def __init__(self) -> None:
        self.steps: list[Tensor] = []

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Note log p of the token that will be taken, the entropy, and p's lead over the second token.

        `scores` are [b, V] of the next token, -inf for those that are not allowed.
        """
        log_p = scores.float().log_softmax(-1)
        first, second = log_p.topk(2).values.unbind(-1)
        p = log_p.exp()
        entropy = torch.special.entr(p).sum(-1) / math.log(scores.shape[-1])
        self.steps.append(torch.stack([first, entropy, first.exp() - second.exp()]))
        return scores

    def means(self, chosen: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """float32 [b], means over the `chosen` tokens, bool [b, t]: log p, entropy as a share of log V, p's lead."""
        log_p, entropy, margin = (mean_over(chosen, values) for values in torch.stack(self.steps, dim=-1))
        return log_p, entropy, margin


def until_end(tokens: Tensor, end: int | list[int]) -> Tensor:
    """The places up to and including the first end token (one or several ids), bool [b, t]; all where there is none."""
    ends = torch.isin(tokens, torch.as_tensor(end, device=tokens.device)).long()
    return ends.cumsum(1) - ends == 0


def mean_over(chosen: Tensor, values: Tensor) -> Tensor:
    """Mean of each row's chosen values, [b]; 0 where none is; those of [b, t] that are not chosen may be infinite."""
    return values.masked_fill(~chosen, 0.0).sum(1) / chosen.sum(1).clamp(min=1)
