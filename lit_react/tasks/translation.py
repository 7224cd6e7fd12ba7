"""Write a sentence in another language."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import torch
from lightning.pytorch.cli import OptimizerCallable
from torch import nn
from transformers import PreTrainedTokenizerBase

from lit_react.core.errors import UserError
from lit_react.tasks.generation_metrics import GenerationMetrics, TranslationScores
from lit_react.tasks.lora import LoRA
from lit_react.tasks.optimisation import Schedule
from lit_react.tasks.pretrained import load_tokenizer
from lit_react.tasks.sequence_to_sequence import SequenceToSequence


class Translation(SequenceToSequence):
    """Columns `source` and `target`; chrF, the main metric, and BLEU.

    chrF leads because it counts characters: with few labels a hypothesis seldom shares four words with its reference,
    and BLEU of a hundred sentences then varies more than it tells. But chrF forgives repetition: see BLEU beside it.

    Args:
        pretrained: a folder, a hub name (`Helsinki-NLP/opus-mt-en-de`, `t5-small`), or `package:NAME/FOLDER`.
        max_length: sources are cut at so many tokens.
        max_target_length: targets are cut at so many tokens, hypotheses end there.
        num_beams: width of the beam search of validation, test and predictions; 1: greedy, as the signals always are.
        prefix: comes before each source, as T5's checkpoints need it (`translate English to German: `).
        src_lang: language of the sources, for checkpoints of many languages, in their own code (NLLB: `eng_Latn`,
            mBART: `en_XX`, M2M100: `en`); None: the checkpoint knows one direction.
        tgt_lang: language of the targets, with `src_lang`.
        tokenize: how BLEU finds words, a name of sacreBLEU's: `13a`, `zh` for Chinese, `char`, `intl` or `none`.
        optimizer: builds the optimiser from the parameters, anew in each round.
        lr_scheduler: `linear`, `cosine`, `constant_with_warmup`, or `plateau` (driven by the validation metric).
        warmup: share of the steps in which the learning rate rises from 0.
        mc_samples: passes with dropout, where a strategy asks for a score that needs them.
        lora: train low-rank adapters and the head instead of all weights (`pip install -e ".[lora]"`).
    """

    text_column = "source"
    label_column = "target"
    shown = ("chrf", "bleu")

    def __init__(
        self,
        pretrained: str,
        max_length: int = 128,
        max_target_length: int = 128,
        num_beams: int = 1,
        prefix: str = "",
        src_lang: str | None = None,
        tgt_lang: str | None = None,
        tokenize: str = "13a",
        optimizer: OptimizerCallable = lambda p: torch.optim.AdamW(p, lr=5e-5, weight_decay=0.01, fused=True),
        lr_scheduler: Schedule = "linear",
        warmup: float = 0.1,
        mc_samples: int = 5,
        lora: LoRA | None = None,
    ) -> None:
        if (src_lang is None) != (tgt_lang is None):
            raise UserError("model.src_lang and model.tgt_lang: expected both or none")
        super().__init__(
            pretrained,
            max_length,
            max_target_length,
            num_beams,
            prefix,
            optimizer,
            lr_scheduler,
            warmup,
            mc_samples,
            lora,
        )
        self.src_lang, self.tgt_lang, self.bleu_tokenizer = src_lang, tgt_lang, tokenize

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
        return GenerationMetrics(TranslationScores(self.bleu_tokenizer))

    def _generation(self) -> dict[str, Any]:
        """The target's language is prescribed where the checkpoint has several."""
        if self.tgt_lang is None:
            return super()._generation()
        ids = self.tokenizer(text_target="")["input_ids"]
        if ids[0] == self.tokenizer.eos_token_id:  # the first mBART: the language comes last, and so starts the decoder
            return super()._generation() | {"decoder_start_token_id": ids[-1]}
        return super()._generation() | {"forced_bos_token_id": ids[0]}
