"""What tasks on a pretrained transformer share apart from the model: tokenizer, encoded texts, embeddings."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Any, Self

import datasets
from numpy.typing import NDArray
from transformers import AutoModel, PreTrainedModel, PreTrainedTokenizerBase

from lit_react.core.bounds import expect
from lit_react.core.errors import UserError
from lit_react.data.embedding import FeatureTable, embed
from lit_react.data.encoding import (
    EncodedTable,
    cache_folder,
    text_digest,
    tokenize,
    tokenizer_digest,
)
from lit_react.data.task import Task
from lit_react.tasks.pretrained import (
    MINILM,
    load_model,
    load_tokenizer,
    most_tokens,
    output_names,
    skeleton,
    weights_digest,
)


@dataclass(frozen=True)
class EncoderTask(Task):
    """A task whose texts are read by a pretrained transformer.

    Args:
        pretrained: a folder, a hub name (`bert-base-cased`), or `package:NAME/FOLDER` inside an installed package.
        max_length: texts are cut at so many tokens, special ones included.
        label_names: see `Task`.
    """

    pretrained: str = MINILM
    max_length: int = 128

    def __post_init__(self) -> None:
        if self.max_length < 3:
            raise UserError(f"model.max_length: {self.max_length} tokens hold no text, expected 3 or more")

    def start_from(self, pretrained: str) -> Self:
        """The same task on another checkpoint with the same tokenizer, as this one after more pretraining."""
        return replace(self, pretrained=pretrained)

    @cached_property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The checkpoint's tokenizer."""
        return load_tokenizer(self.pretrained)

    @property
    def names(self) -> list[str]:
        """Name of each class id, from the data or else from the checkpoint."""
        if self.label_names is not None or not self.has_classes:
            return self.label_names or []
        return output_names(self.pretrained)

    def check(self) -> None:
        """See that the metrics can be made, and that the checkpoint has positions for `max_length` tokens."""
        super().check()
        most = most_tokens(skeleton(AutoModel, self.pretrained))
        if most is not None:
            expect("model.max_length", self.max_length, at_most=most)

    def encode(self, table: datasets.Dataset) -> EncodedTable:
        """Token ids of the texts, in an Arrow file."""
        return tokenize(table, self.tokenizer, max_length=self.max_length, cache=cache_folder())

    def warnings(self, encoded: EncodedTable) -> list[str]:
        """How many rows are as long as the model reads."""
        full = int((encoded.lengths >= self.max_length).sum())
        rest = f"texts of the pool fill model.max_length, {self.max_length} tokens: the rest of longer ones is not read"
        return [f"{full} of {len(encoded)} {rest}"] if full else []

    def encoder(self) -> PreTrainedModel:
        """The pretrained model without a head, freshly loaded; the task keeps none.

        Of `input_ids` and `attention_mask` it gives hidden states [b, t, d] first.
        """
        return load_model(AutoModel, self.pretrained)

    def keeping_encoder(self) -> Self:
        """A copy whose `encoder` is loaded once."""
        kept = replace(self)
        vars(kept)["encoder"] = cache(self.encoder)
        return kept

    def embed(self, table: datasets.Dataset) -> NDArray[Any]:
        """Masked-mean embeddings of the `text` column, float32 [n, d], kept on disk by weights and texts."""
        return self.embedded(table).features

    def embedded(self, table: datasets.Dataset) -> FeatureTable:
        """The same, as a table."""
        tokens = tokenize(table, self.tokenizer, max_length=self.max_length, cache=cache_folder())
        return embed(self.encoder(), tokens, cache=cache_folder(), key=self.embedding_key(table))

    def embedding_key(self, table: datasets.Dataset, *salt: str) -> str:
        """Names the texts of a split and what decides their embeddings."""
        digests = self.encoder_digest, self._tokenizer_digest
        return text_digest(table, *digests, str(self.max_length), *salt)

    @cached_property
    def encoder_digest(self) -> str:
        """Names the encoder's weights; all fits of a run know it from the one task that they share."""
        return weights_digest(self.encoder())

    @cached_property
    def _tokenizer_digest(self) -> str:
        return tokenizer_digest(self.tokenizer)
