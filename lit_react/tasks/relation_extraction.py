"""Relation extraction: which relation two marked mentions of a sentence are in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import datasets
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from lit_react.core.errors import UserError
from lit_react.data.embedding import embed, mean_embedding
from lit_react.data.encoding import (
    REACH,
    Batch,
    Encode,
    TokenTable,
    cache_folder,
    tokenize,
)
from lit_react.data.pairs import MARKERS, in_pair, mark_pairs, mentions, near_markers, without_markers
from lit_react.data.tables import Source, Split
from lit_react.tasks.classification_metrics import ClassificationMetrics
from lit_react.tasks.encoder_classification import EncoderClassification, HeadOnEncoder
from lit_react.tasks.pretrained import MINILM, load_tokenizer
from lit_react.tasks.relation_metrics import relation_f1
from lit_react.tasks.text_classification import ClassificationTask


class RelationMetrics(ClassificationMetrics):
    """The official `f1`, `precision` and `recall` of SemEval-2010 Task 8, beside the metrics of the C classes.

    Directions are part of the classes' names, such as `Cause-Effect(e1,e2)`; `no_relation` has no part in the score.
    """

    def __init__(self, names: list[str], no_relation: str | None) -> None:
        super().__init__(names)
        self.no_relation = no_relation

    def compute(self) -> tuple[dict[str, Tensor], dict[str, Any]]:  # type: ignore[override]
        """Scalars by name; F1 by relation, both directions together, and the tables of the classes."""
        scalars, tables = super().compute()
        confusion = torch.tensor(tables["confusion_matrix"], device=scalars["accuracy"].device)
        official, per_relation = relation_f1(confusion, self.names, self.no_relation)
        return scalars | official, {"per_relation_f1": per_relation, **tables}


@dataclass(frozen=True)
class RelationTask(ClassificationTask):
    """Sentences with two marked mentions; classes are relations with direction, but for `no_relation`.

    The four markers `<e1> </e1> <e2> </e2>` join the tokenizer, their embeddings begin as the mean of all others. A
    sentence that is longer than `max_length` loses what is farthest from the pair: first tokens outside, at whichever
    end is farther from its mention, then tokens between the mentions, the middle first; never a marker.
    """

    text_column = "tokens"
    shown = ("f1", "accuracy")

    no_relation: str | None = None

    def check(self) -> None:
        """That `no_relation` is a class too: a misspelled one would count as a relation in the official score."""
        super().check()
        if self.no_relation is not None and self.no_relation not in self.names:
            raise UserError(
                f"model.no_relation: {self.no_relation!r} is none of the classes {', '.join(self.names)}; "
                "expected one of them, or null where all are relations"
            )

    def metrics(self) -> nn.Module:
        """Those of the classes that the data or the checkpoint names."""
        return RelationMetrics(self._checked_names(), self.no_relation)

    def source(self, tables: Mapping[str, Split], text: str, label: str, names: list[str] | None) -> Source:
        """Marked sentences, see `mark_pairs`, and classes as `ClassificationTask` numbers them."""
        marked = {part: mark_pairs(split, text) for part, split in tables.items()}
        return super().source(marked, text, label, names)

    def running_text(self, table: datasets.Dataset) -> datasets.Dataset:
        """The sentences without markers, which the checkpoint's tokenizer does not know yet."""
        return datasets.Dataset.from_dict({"text": [without_markers(text) for text in table["text"]]})

    def question(self, row: dict[str, Any]) -> dict[str, Any]:
        """The marked sentence, its mentions, the names to choose from."""
        head, tail = mentions(row["text"])
        return {"text": row["text"], "head": head, "tail": tail, "labels": self.names}

    def kept(self, words: Sequence[str]) -> list[bool]:
        """The mentions and their markers."""
        return in_pair(words)

    def prediction(self, output: dict[str, Any], row: dict[str, Any]) -> dict[str, Any]:
        """`text` with markers, `head`, `tail`, `label` and `probabilities` (name → share)."""
        head, tail = mentions(row["text"])
        return {"text": row["text"], "head": head, "tail": tail, **super().prediction(output, row)}

    @cached_property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The checkpoint's tokenizer, with the markers."""
        tokenizer = load_tokenizer(self.pretrained)
        tokenizer.add_tokens(list(MARKERS), special_tokens=True)
        return tokenizer

    def encode(self, table: datasets.Dataset) -> TokenTable:
        """Token ids of the window around each pair, and where the markers are, in an Arrow file.

        Raises:
            UserError: `max_length` leaves no room for the markers and a token of each mention.
        """
        least = len(MARKERS) + 2 + self.tokenizer.num_special_tokens_to_add()
        if self.max_length < least:
            raise UserError(f"model.max_length: {self.max_length} tokens hold no marked pair, expected {least} or more")
        return tokenize(
            table,
            self.tokenizer,
            max_length=self.max_length,
            cache=cache_folder(),
            encode=windows(self.tokenizer, self.max_length),
            extra=("marker",),
        )

    def encoder(self) -> PreTrainedModel:
        """With an embedding for each marker: the checkpoint's own where it has one, else the mean of all."""
        encoder = super().encoder()
        vocabulary: Any = encoder.get_input_embeddings()
        known, now = len(load_tokenizer(self.pretrained)), len(self.tokenizer)
        if now > vocabulary.num_embeddings:  # a table may be larger than its vocabulary
            vocabulary = encoder.resize_token_embeddings(now, mean_resizing=False)
        if now > known:
            vocabulary.weight.data[known:now] = vocabulary.weight.data[:known].mean(0)
        return encoder

    def embed(self, table: datasets.Dataset) -> NDArray[Any]:
        """`mention_embedding` under the pretrained weights, float32 [n, 2 · h], kept on disk by weights and texts."""
        encoder, key = self.encoder(), self.embedding_key(table, "mentions")
        tokens, width = self.encode(table), 2 * encoder.config.hidden_size
        return embed(encoder, tokens, cache=cache_folder(), key=key, embedding=mention_embedding, width=width).features


class EntityStart(HeadOnEncoder):
    """Reads the two markers at which the mentions begin, one after the other: features [b, 2h].

    "Entity markers, entity start" of Baldini Soares et al. 2019 (Matching the Blanks, section 3.2), their best of six.
    It asks for an encoder that attends to both sides, as a mention comes after its marker.
    """

    def __init__(self, encoder: PreTrainedModel, num_labels: int) -> None:
        super().__init__(encoder, 2 * encoder.config.hidden_size, num_labels)

    def features(self, hidden: Tensor, batch: Batch) -> Tensor:
        """`marker` int64 [b, t]: position in `MARKERS` at markers, each of which each row has once; -1 elsewhere."""
        rows = torch.arange(len(hidden), device=hidden.device)
        head, tail = (hidden[rows, (batch["marker"] == number).int().argmax(1)] for number in (0, 2))
        return torch.cat([head, tail], dim=-1)


class RelationExtraction(EncoderClassification):
    """Fine-tune a pretrained encoder that sees the pair's markers as tokens, see `RelationTask`.

    All signals are those of classification, but rows are compared by their pairs, see `mention_embedding`, not by what
    their sentences are about. For the exported folder, see `EncoderClassification`.

    Args:
        pretrained: a folder, a hub name (`bert-base-cased`), or `package:NAME/FOLDER` inside an installed package.
        no_relation: class that the official score leaves out (SemEval: `Other`; TACRED: `no_relation`); null: none.
        **options: see `EncoderClassification`.
    """

    head_class = EntityStart
    augmentable = frozenset({"complementary", "contrastive", "features", "texts", "parts"})
    task_class = RelationTask
    task: RelationTask

    def __init__(self, pretrained: str = MINILM, no_relation: str | None = None, **options: Any) -> None:
        super().__init__(pretrained, **options)
        self.task = replace(self.task, no_relation=no_relation)

    def embedding(self, hidden: Tensor, batch: Batch) -> Tensor:
        """See `mention_embedding`."""
        return mention_embedding(hidden, batch)


def mention_embedding(hidden: Tensor, batch: Batch) -> Tensor:
    """Means over the tokens of the head and of the tail, with their markers, side by side, scaled to unit length.

    Pairs of one sentence differ by it, and what two sentences are about does not make their pairs alike. Hidden states
    [b, t, h] and `marker`, see `EntityStart.features` → float32 [b, 2 · h].
    """
    means = []
    for start in (0, 2):
        after_start = (batch["marker"] == start).cumsum(1)
        before_end = (batch["marker"] == start + 1).flip(1).cumsum(1).flip(1)
        means.append(mean_embedding(hidden, after_start * before_end))
    return torch.nn.functional.normalize(torch.cat(means, dim=-1), dim=-1)


def windows(tokenizer: PreTrainedTokenizerBase, max_length: int) -> Encode:
    """Marked sentences, cut to the `window` around the pair: `input_ids` and `marker`, as `EntityStart` reads it."""
    number_of = {tokenizer.convert_tokens_to_ids(marker): number for number, marker in enumerate(MARKERS)}

    def encode(rows: dict[str, list[Any]]) -> dict[str, list[list[int]]]:
        encoded: dict[str, list[list[int]]] = {"input_ids": [], "marker": []}
        near = [near_markers(text, REACH * max_length) for text in rows["text"]]
        tokens = tokenizer(near, return_special_tokens_mask=True, verbose=False)
        for ids, special in zip(tokens["input_ids"], tokens["special_tokens_mask"], strict=True):
            marker = np.asarray([number_of.get(token, -1) for token in ids])
            kept = window(marker, np.asarray(special, dtype=bool), max_length)
            encoded["input_ids"].append(np.asarray(ids)[kept].tolist())
            encoded["marker"].append(marker[kept].tolist())
        return encoded

    return encode


def window(marker: NDArray[np.int64], special: NDArray[np.bool_], size: int) -> NDArray[np.int64]:
    """Which tokens of a marked sentence to keep: special ones, markers, those between the markers, those around them.

    Of the latter two, those nearest to a marker. `marker` is int64 [t], not negative at markers, of which there is one
    or more; `special` bool [t], the tokenizer's own.

    Returns:
        int64 [min(t, size)], places in the sentence, ascending.
    """
    places, at = np.arange(len(marker)), np.flatnonzero(marker >= 0)
    distance = np.abs(places[:, None] - at).min(axis=1)
    outside = (places < at[0]) | (places > at[-1])
    rank = np.where(special, -1, distance + outside * len(places))
    return np.sort(np.argsort(rank, kind="stable")[:size])
