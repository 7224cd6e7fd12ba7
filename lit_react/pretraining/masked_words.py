"""A masked language model that answers in whole words."""

from __future__ import annotations

import os
import re
from collections.abc import Container, Sequence
from typing import NamedTuple, Self

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import AutoModelForMaskedLM, PreTrainedModel, PreTrainedTokenizerBase

from lit_react.core.errors import UserError
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
        own = f"cuda:{os.environ.get('LOCAL_RANK', 0)}"
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
