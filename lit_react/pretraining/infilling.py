"""Variants with other words in some places, such as a masked language model would put there."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch

from lit_react.augmentation.texts import TextAugmentation, Varied, row_generator
from lit_react.core.bounds import expect
from lit_react.data.batching import length_sorted_batches
from lit_react.pretraining.masked_words import MaskedWords, parts_of

Draws = Mapping[int, float]
"""Place of a word that is replaced → a number in [0, 1) that decides by which."""


class Infilling(TextAugmentation):
    """Replaces words by what a masked language model puts in their place (Kumar et al. 2020, without their labels).

    The words chosen are hidden whole and all at once. The new word is drawn from the model's `top_k` likeliest words of
    a single piece, without the one that stood there. Only words with a letter are replaced, and only by words of
    letters; marks around a word ("end.") stay. What lies beyond the model's positions is not replaced.

    The model is loaded at the first use, onto the GPU where there is one, and stays there. A variant is a function of
    its row and the seed as far as the model's probabilities are: they differ by rounding with the rows beside it.

    Args:
        pretrained: a model with a trained head for masked tokens: a hub name such as `bert-base-cased`, or a folder
            such as `python -m lit_react pretrain` writes.
        share: the probability that a word is replaced, of those that can be.
        temperature: the logits are divided by it; below 1 likely words are drawn more often.
        top_k: so many words are drawn from.
        batch_size: rows per forward pass, of similar length.
    """

    def __init__(
        self, pretrained: str, share: float = 0.15, temperature: float = 1.0, top_k: int = 20, batch_size: int = 64
    ) -> None:
        expect("augmentation.texts.share", share, above=0, at_most=1)
        expect("augmentation.texts.temperature", temperature, above=0)
        expect("augmentation.texts.top_k", top_k, at_least=1)
        expect("augmentation.texts.batch_size", batch_size, at_least=1)
        self.pretrained, self.share, self.temperature = pretrained, share, temperature
        self.top_k, self.batch_size = top_k, batch_size

    def __deepcopy__(self, memo: dict[int, Any]) -> Infilling:
        """Rounds share the model: it never changes."""
        memo[id(self)] = copied = copy.copy(self)
        return copied

    def check(self) -> None:
        """Load the model: whether it is there and has the head."""
        _ = self._model

    @cached_property
    def _model(self) -> MaskedWords:
        return MaskedWords.load(self.pretrained)

    def vary(self, words: Sequence[Sequence[str]], kept: Sequence[Sequence[bool]], seed: int) -> list[Varied]:
        """See `TextAugmentation.vary`."""
        draws = [self._draws(row, stays, seed) for row, stays in zip(words, kept, strict=True)]
        found = [Varied(list(row), list(range(len(row)))) for row in words]
        chosen = [row for row, places in enumerate(draws) if places]
        if not chosen:
            return found
        filled = self._fill([words[row] for row in chosen], [draws[row] for row in chosen])
        for row, new in zip(chosen, filled, strict=True):
            for place, word in new.items():
                before, _, after = parts_of(words[row][place])
                found[row].words[place] = f"{before}{word}{after}"
        return found

    def _draws(self, words: Sequence[str], kept: Sequence[bool], seed: int) -> Draws:
        which, what = row_generator(words, kept, seed).random((2, len(words)))
        return {
            place: float(what[place])
            for place, (word, stays) in enumerate(zip(words, kept, strict=True))
            if which[place] < self.share and not stays and any(letter.isalpha() for letter in word)
        }

    @torch.inference_mode()
    def _fill(self, rows: Sequence[Sequence[str]], draws: Sequence[Draws]) -> list[dict[int, str]]:
        """The new words of each row by their places; a place that was cut off is not among them."""
        model = self._model
        hidden = [model.hide(row, places) for row, places in zip(rows, draws, strict=True)]
        found: list[dict[int, str]] = [{} for _ in rows]
        lengths = np.array([len(row.ids) for row in hidden], dtype=np.int64)
        for batch in length_sorted_batches(lengths, self.batch_size):
            where = [(row, place) for row in batch.tolist() for place in hidden[row].masks]
            if not where:
                continue
            logits = model.logits([hidden[row] for row in batch])
            logits[model.numbers_of([rows[row][place] for row, place in where])] = -torch.inf
            values, candidates = (logits / self.temperature).topk(min(self.top_k, logits.shape[1] - 1))
            shares = values.double().softmax(-1).cumsum(-1).cpu().numpy()
            limits = np.array([draws[row][place] for row, place in where])[:, None] * shares[:, -1:]
            picks = (shares <= limits).sum(1)
            for (row, place), pick, options in zip(where, picks.tolist(), candidates.tolist(), strict=True):
                found[row][place] = model.words[options[pick]]
        return found
