"""A tiny encoder-decoder with random weights and a tokenizer of whole words."""

from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
from transformers import (
    BartConfig,
    BartForConditionalGeneration,
    PreTrainedTokenizerFast,
    T5Config,
    T5ForConditionalGeneration,
)

PAD, END, UNKNOWN = "<pad>", "</s>", "<unk>"


def word_tokenizer(texts: list[str]) -> PreTrainedTokenizerFast:
    """Knows the words of some texts."""
    words = Tokenizer(models.WordLevel(unk_token=UNKNOWN))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    words.train_from_iterator(texts, trainers.WordLevelTrainer(special_tokens=[PAD, END, UNKNOWN], show_progress=False))
    words.post_processor = processors.TemplateProcessing(single=f"$A {END}", special_tokens=[(END, 1)])
    return PreTrainedTokenizerFast(tokenizer_object=words, pad_token=PAD, eos_token=END, unk_token=UNKNOWN)


def build_t5(folder: Path, texts: list[str], dropout: float = 0.1) -> str:
    """Save a T5 of two layers and width 32, and its tokenizer; the weights are always the same."""
    tokenizer = word_tokenizer(texts)
    config = T5Config(
        vocab_size=len(tokenizer),
        d_model=32,
        d_kv=16,
        num_heads=2,
        d_ff=64,
        num_layers=2,
        dropout_rate=dropout,
        feed_forward_proj="gated-gelu",
        decoder_start_token_id=0,
    )
    return _save(folder, T5ForConditionalGeneration, config, tokenizer)


def build_bart(folder: Path, texts: list[str], dropout: float = 0.1) -> str:
    """The like of `build_t5`; BART has its dropout in functions, and prescribes each text's first token."""
    tokenizer = word_tokenizer(texts)
    config = BartConfig(
        vocab_size=len(tokenizer),
        d_model=32,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=64,
        decoder_ffn_dim=64,
        max_position_embeddings=64,
        dropout=dropout,
        attention_dropout=dropout,
        init_std=0.1,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=1,
        decoder_start_token_id=1,
        forced_bos_token_id=3,
        forced_eos_token_id=1,
    )
    return _save(folder, BartForConditionalGeneration, config, tokenizer)


def _save(folder: Path, model_class: type, config: object, tokenizer: PreTrainedTokenizerFast) -> str:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model_class(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)
