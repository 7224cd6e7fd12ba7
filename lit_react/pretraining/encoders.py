"""The encoder that is pretrained, with its heads and its tokenizer: a pretrained one, or a BERT from scratch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor
from transformers import (
    AutoModelForMaskedLM,
    AutoModelForPreTraining,
    BertConfig,
    BertForPreTraining,
    BertTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_MASKED_LM_MAPPING_NAMES,
    MODEL_FOR_NEXT_SENTENCE_PREDICTION_MAPPING_NAMES,
)

from lit_react.core.errors import UserError
from lit_react.tasks.pretrained import load_config, load_model, load_tokenizer, most_tokens


def check_objectives(pretrained: str, *, next_sentence: bool) -> None:
    """Raise a `UserError` where a pretrained model cannot be loaded, or its type has not the heads."""
    kind = load_config(pretrained).model_type
    if kind not in MODEL_FOR_MASKED_LM_MAPPING_NAMES:
        raise UserError(f"pretrained: {pretrained} is a {kind}, which has no head for masked language modelling")
    if next_sentence and kind not in MODEL_FOR_NEXT_SENTENCE_PREDICTION_MAPPING_NAMES:
        able = ", ".join(MODEL_FOR_NEXT_SENTENCE_PREDICTION_MAPPING_NAMES)
        wrong = f"next_sentence: {pretrained} is a {kind}, which has no head for it (those that have: {able})"
        raise UserError(f"{wrong}; set next_sentence false")


def pretrained_encoder(pretrained: str) -> PreTrainedModel:
    """A pretrained encoder with its heads; heads that the checkpoint lacks are new.

    A type that has both heads keeps both, and with them the pooler that its classifiers read. A new head for masked
    tokens ends in the input embeddings where the type ties them (`tie_word_embeddings`).
    """
    kind = load_config(pretrained).model_type
    both = kind in MODEL_FOR_NEXT_SENTENCE_PREDICTION_MAPPING_NAMES
    return load_model(AutoModelForPreTraining if both else AutoModelForMaskedLM, pretrained)


@contextmanager
def head_sees(model: PreTrainedModel, places: Tensor) -> Iterator[None]:
    """Inside, the head is given the chosen places only: over a large vocabulary it costs as much as the encoder.

    The places are bool [b, t]; what the encoder gives, [b, t, h], becomes [1, m, h].
    """

    def choose(module: Any, inputs: Any, outputs: Any) -> Any:
        outputs["last_hidden_state"] = outputs["last_hidden_state"][places][None]
        return outputs

    handle = model.base_model.register_forward_hook(choose)
    try:
        yield
    finally:
        handle.remove()


def pretrained_tokenizer(pretrained: str, **options: Any) -> PreTrainedTokenizerBase:
    """Its tokenizer, which must know words and a mask; the options are those of `from_pretrained`."""
    tokenizer = load_tokenizer(pretrained, **options)
    if not tokenizer.is_fast:
        raise UserError(f"pretrained: the tokenizer of {pretrained} is a slow one, which does not know words")
    if tokenizer.mask_token_id is None:
        raise UserError(f"pretrained: the tokenizer of {pretrained} has no mask token")
    return tokenizer


def position_limit(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> int:
    """Most tokens that a model reads of a text from this tokenizer."""
    return int(min(most_tokens(model) or 10**9, tokenizer.model_max_length))


def bert_config(architecture: dict[str, Any]) -> BertConfig:
    """The config of a BERT from scratch; `intermediate_size` is 4 times the hidden size unless given."""
    unknown = sorted(architecture.keys() - BertConfig().to_dict().keys())
    if unknown:
        raise UserError(f"architecture.{unknown[0]}: BertConfig has no such option")
    config = BertConfig(**{"intermediate_size": 4 * architecture.get("hidden_size", 768), **architecture})
    width, heads = config.hidden_size, config.num_attention_heads
    if width % heads:
        raise UserError(f"architecture.hidden_size: {width} is no multiple of num_attention_heads {heads}")
    return config


def new_bert(config: BertConfig, tokenizer: PreTrainedTokenizerBase) -> PreTrainedModel:
    """A BERT with random weights and both heads, for this tokenizer."""
    config.vocab_size, config.pad_token_id = len(tokenizer), tokenizer.pad_token_id
    return BertForPreTraining(config).train()


def train_tokenizer(
    texts: Iterable[str], *, vocab_size: int, lower_case: bool, max_length: int
) -> PreTrainedTokenizerBase:
    """A WordPiece tokenizer as BERT's: every Chinese character is a word, Latin words are cut into pieces.

    All characters of the texts are in its vocabulary, however many they are. Lower case strips accents, too.
    """
    untrained = BertTokenizer(do_lower_case=lower_case, model_max_length=max_length)
    return untrained.train_new_from_iterator(texts, vocab_size, show_progress=False)
