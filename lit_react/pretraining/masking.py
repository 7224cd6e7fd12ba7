"""Masked language modelling: which tokens are hidden, and what stands in their place.

This is not transformers' `DataCollatorForLanguageModeling` (5.23): with whole words it knows no 80/10/10 and takes a
Chinese sentence for one word, and its generator runs on from batch to batch, so that a resumed run would differ, and
one of several processes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

Ints = NDArray[np.int64]
IGNORED = -100
"""Label of the places that have no loss; what PyTorch's cross-entropy leaves out."""


@dataclass(frozen=True)
class Masking:
    """How tokens are masked (Devlin et al. 2019): of those chosen 80 % become the mask, 10 % another token."""

    share: float  # of the tokens that are chosen, each with this probability
    whole_word: bool  # all pieces of a word are chosen together; the share of the tokens stays the same on average
    mask_id: int  # id of the mask token
    ordinary: Ints  # int64 [v], ids of all tokens that are not special; random tokens are drawn from them

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerBase, *, share: float, whole_word: bool) -> Self:
        """With the ids of a tokenizer that has a mask token."""
        ordinary = np.setdiff1d(np.arange(len(tokenizer)), tokenizer.all_special_ids)
        return cls(share, whole_word, int(tokenizer.mask_token_id), ordinary)

    def apply(self, ids: Ints, words: Ints, draws: NDArray[np.float64]) -> tuple[Ints, Ints]:
        """Hide some tokens: inputs and labels, int64 [b, t], the latter `IGNORED` where no token was chosen.

        `words` are int64 [b, t]: neighbours with the same number are one word; -1 stands for special tokens and
        padding, which are never chosen. The draws, float64 in [0, 1), of b or more rows and t or more places
        [3, b, t], make all choices: those for a place do not hang on the other rows, nor on the padding.
        """
        rows, places = ids.shape
        chances, fate, which = draws[:, :rows, :places]
        if self.whole_word:
            begins = np.zeros_like(words)
            begins[:, 1:] = np.where(words[:, 1:] != words[:, :-1], np.arange(1, places), 0)
            chances = np.take_along_axis(chances, np.maximum.accumulate(begins, axis=1), axis=1)
        chosen = (chances < self.share) & (words >= 0)
        others = self.ordinary[(which * len(self.ordinary)).astype(np.int64)]
        hidden = np.where(fate < 0.8, self.mask_id, np.where(fate < 0.9, others, ids))
        return np.where(chosen, hidden, ids), np.where(chosen, ids, IGNORED)
