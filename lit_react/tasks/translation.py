"""Write a sentence in another language."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from torch import nn
from transformers import PreTrainedTokenizerBase

from lit_react.core.errors import UserError
from lit_react.tasks.generation_metrics import TranslationScores
from lit_react.tasks.pretrained import load_tokenizer
from lit_react.tasks.sequence_to_sequence import SequenceToSequence, WritingTask


@dataclass(frozen=True)
class TranslationTask(WritingTask):
    """Columns `source` and `target`; chrF, the main metric, and BLEU; for the options, see `Translation`.

    chrF leads because it counts characters: with few labels a hypothesis seldom shares four words with its reference,
    and BLEU of a hundred sentences then varies more than it tells. But chrF forgives repetition: see BLEU beside it.
    """

    text_column = "source"
    label_column = "target"
    shown = ("chrf", "bleu")

    src_lang: str | None = None
    tgt_lang: str | None = None
    tokenize: str = "13a"

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.src_lang is None) != (self.tgt_lang is None):
            raise UserError("model.src_lang and model.tgt_lang: expected both or none")

    @property
    def bleu_tokenizer(self) -> str:
        """SacreBLEU's name of what cuts a text into words."""
        return self.tokenize

    @cached_property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The checkpoint's tokenizer, set to the languages."""
        tokenizer = load_tokenizer(self.pretrained)
        if self.src_lang is None:
            return tokenizer
        if not hasattr(tokenizer, "src_lang"):
            raise UserError(f"model.src_lang: {self.pretrained} has no languages to choose from, expected none")
        try:
            tokenizer.src_lang, tokenizer.tgt_lang = self.src_lang, self.tgt_lang
            marks = tokenizer("")["input_ids"] + tokenizer(text_target="")["input_ids"]
        except KeyError:
            marks = [tokenizer.unk_token_id]
        if tokenizer.unk_token_id in marks:
            raise UserError(
                f"model.src_lang, model.tgt_lang: {self.pretrained} does not know both {self.src_lang!r} and "
                f"{self.tgt_lang!r}, expected languages as its card writes them"
            )
        return tokenizer

    def metrics(self) -> nn.Module:
        """Of characters and of words."""
        return TranslationScores(self.tokenize)


class Translation(SequenceToSequence):
    """Translate sentences, see `TranslationTask`.

    Args:
        max_length: sources are cut at so many tokens.
        max_target_length: targets are cut at so many tokens, hypotheses end there.
        src_lang: language of the sources, for checkpoints of many languages, in their own code (NLLB: `eng_Latn`,
            mBART: `en_XX`, M2M100: `en`); None: the checkpoint knows one direction.
        tgt_lang: language of the targets, with `src_lang`.
        tokenize: how BLEU finds words, a name of sacreBLEU's: `13a`, `zh` for Chinese, `char`, `intl` or `none`.
        **options: see `SequenceToSequence`.
    """

    task_class = TranslationTask
    task: TranslationTask

    def __init__(
        self,
        pretrained: str,
        max_length: int = 128,
        max_target_length: int = 128,
        src_lang: str | None = None,
        tgt_lang: str | None = None,
        tokenize: str = "13a",
        **options: Any,
    ) -> None:
        super().__init__(pretrained, max_length, max_target_length, **options)
        self.task = replace(self.task, src_lang=src_lang, tgt_lang=tgt_lang, tokenize=tokenize)

    def _generation(self) -> dict[str, Any]:
        """The target's language is prescribed where the checkpoint has several."""
        if self.task.tgt_lang is None:
            return super()._generation()
        ids = self.task.tokenizer(text_target="")["input_ids"]
        if ids[0] == self.task.tokenizer.eos_token_id:  # the first mBART: the language is last, and starts the decoder
            return super()._generation() | {"decoder_start_token_id": ids[-1]}
        return super()._generation() | {"forced_bos_token_id": ids[0]}
