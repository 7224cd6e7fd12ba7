"""Variants with other words in some places, such as a masked language model would put there."""

from __future__ import annotations

import copy
import re
from collections.abc import Container, Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import AutoModelForMaskedLM, PreTrainedModel, PreTrainedTokenizerBase

from lit_react.augmentation.texts import TextAugmentation, Varied, row_generator
from lit_react.core.bounds import expect
from lit_react.core.errors import UserError
from lit_react.core.launch import local_rank
from lit_react.data.batching import length_sorted_batches
from lit_react.pretraining.encoders import check_objectives, head_sees, position_limit, pretrained_tokenizer
from lit_react.tasks.pretrained import load_as_trained

CORE = re.compile(r"(\W*)(.*?)(\W*)", re.DOTALL)
"""A word between the marks around it."""


class Hidden(NamedTuple):
    """A row with masks: token ids, and the position of the mask of each word, by the word's place."""

    ids: list[int]
    masks: dict[int, int]


class MaskedWords:
    """A masked language model, in eval mode, over whole words; its tokenizer is a fast one with a mask.

    Attributes:
        words: the words that are one token each, of letters only; w of them.
        token_ids: int64 [w], on the model's device.
    """

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
        self.model, self.tokenizer = model, tokenizer
        self.limit = position_limit(model, tokenizer)
        texts = map(str.strip, tokenizer.batch_decode([[token] for token in range(len(tokenizer))]))
        decoded = {token: text for token, text in enumerate(texts) if text.isalpha()}
        pieces = self._pieces(list(decoded.values()))
        whole = {token: word for (token, word), ids in zip(decoded.items(), pieces, strict=True) if ids == [token]}
        self.words = list(whole.values())
        self.token_ids = torch.tensor(list(whole), dtype=torch.int64, device=model.device)
        self._numbers = {token: number for number, token in enumerate(whole)}

    @classmethod
    def load(cls, pretrained: str) -> Self:
        """Onto this process's GPU where there is one; a `UserError` says what the model cannot do."""
        check_objectives(pretrained, next_sentence=False)
        tokenizer = pretrained_tokenizer(pretrained, add_prefix_space=True)
        model, missing = load_as_trained(AutoModelForMaskedLM, pretrained)
        if missing:
            raise UserError(
                f"augmentation.texts.pretrained: {pretrained!r} has no trained head for masked tokens (it lacks "
                f"{missing[0]}), expected one that has, such as bert-base-cased or what `lit_react pretrain` writes"
            )
        own = f"cuda:{local_rank()}"
        device = torch.device(own if torch.cuda.is_available() else "cpu")
        found = cls(model.eval().to(device), tokenizer)
        if len(found.words) < 2:
            raise UserError(
                f"augmentation.texts.pretrained: the tokenizer of {pretrained!r} has {len(found.words)} words of one "
                "piece, expected 2 or more"
            )
        return found

    def _pieces(self, words: list[str]) -> list[list[int]]:
        if not words:
            return []
        encoded = self.tokenizer([[word] for word in words], is_split_into_words=True, add_special_tokens=False)
        return encoded["input_ids"]

    def hide(self, words: Sequence[str], chosen: Container[int]) -> Hidden:
        """Encode a row with a mask in each of some places."""
        mask = self.tokenizer.mask_token
        masked = [_with_core(word, mask) if place in chosen else word for place, word in enumerate(words)]
        encoded = self.tokenizer(masked, is_split_into_words=True, truncation=True, max_length=self.limit)
        places = enumerate(zip(encoded["input_ids"], encoded.word_ids(), strict=True))
        mask_id = self.tokenizer.mask_token_id
        masks = {place: at for at, (token, place) in places if token == mask_id and place in chosen}
        return Hidden(encoded["input_ids"], masks)

    def logits(self, rows: Sequence[Hidden]) -> Tensor:
        """Of `words` at the masks of some rows, one row after the other; float32 [m, w]."""
        device = self.model.device
        ids = [torch.tensor(row.ids) for row in rows]
        inputs = pad_sequence(ids, batch_first=True, padding_value=self.tokenizer.pad_token_id or 0)
        attended = pad_sequence([torch.ones_like(row) for row in ids], batch_first=True)
        places = torch.zeros_like(inputs, dtype=torch.bool)
        for number, row in enumerate(rows):
            places[number, list(row.masks.values())] = True
        with torch.autocast(device.type, enabled=False), head_sees(self.model, places.to(device)):
            found = self.model(input_ids=inputs.to(device), attention_mask=attended.to(device)).logits
        return found[0].float()[:, self.token_ids]

    def numbers_of(self, words: list[str]) -> tuple[list[int], list[int]]:
        """Those of some words that are among `words`: which of the given, and their numbers."""
        pieces = self._pieces([parts_of(word)[1] for word in words])
        known = [row for row, ids in enumerate(pieces) if len(ids) == 1 and ids[0] in self._numbers]
        return known, [self._numbers[pieces[row][0]] for row in known]


def parts_of(word: str) -> tuple[str, str, str]:
    """The marks before a word, the word, the marks behind it."""
    match = CORE.fullmatch(word)
    assert match is not None, "the expression fits any string"
    return match[1], match[2], match[3]


def _with_core(word: str, core: str) -> str:
    before, _, after = parts_of(word)
    return f"{before}{core}{after}"


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
