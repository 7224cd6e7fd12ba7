"""Fine-tune any token-classification model: named entities, as BIO tags of the words of a sentence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import datasets
import numpy as np
import torch
from lightning.pytorch.cli import OptimizerCallable
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AutoModelForTokenClassification, PreTrainedTokenizerBase

from lit_react.annotation.answers import Label
from lit_react.annotation.costs import TokenCost
from lit_react.core.errors import UserError
from lit_react.data.encoding import Batch, EncodedTable, cache_folder
from lit_react.data.tables import Source, Split
from lit_react.data.task import VariesTexts
from lit_react.data.words import WordTable, tokenize_words
from lit_react.tasks.encoder_task import EncoderTask
from lit_react.tasks.entities import BIO, entities_of, read_sentences, tag_names, tags_of, types_of
from lit_react.tasks.entity_metrics import EntityMetrics
from lit_react.tasks.hypotheses import mean_over
from lit_react.tasks.pretrained import MINILM, load_tokenizer, output_names
from lit_react.tasks.tag_signals import sentence_signals
from lit_react.tasks.transformer import TransformerModule, named_outputs


@dataclass(frozen=True)
class EntityTask(EncoderTask):
    """Sentences whose words have BIO tags of entities of K types; for the options, see `TokenClassification`.

    Rows have `tokens`, a list of words (data.text_column), and `ner_tags`, a BIO tag for each (data.label_column). A
    label is a list of tag ids, one for each word: 0 is O, 2k + 1 and 2k + 2 are B and I of type k. A label costs the
    number of words by default, so a budget is in words; `ConstantCost` counts sentences.
    """

    text_column, label_column, inputs = "tokens", "ner_tags", ("text", "tokens")
    answer_form = "spans"
    shown = ("f1", "recall")
    default_cost = TokenCost()

    separator: str = " "

    @cached_property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The checkpoint's tokenizer; byte-level ones are told that every word follows a space."""
        tokenizer = load_tokenizer(self.pretrained, add_prefix_space=True)
        if not tokenizer.is_fast:
            raise UserError(f"model.pretrained: {self.pretrained!r} has a slow tokenizer, which knows no words")
        return tokenizer

    @property
    def names(self) -> list[str]:
        """The entity types, from the data or else from the checkpoint."""
        if self.label_names is not None:
            return self.label_names
        tags = output_names(self.pretrained)
        if not all(BIO.fullmatch(tag) for tag in tags):
            raise UserError(
                f"model.pretrained: {self.pretrained!r} was not trained for BIO tags; give data.label_names"
            )
        return types_of(tags)

    def metrics(self) -> nn.Module:
        """Those of the types that the data or the checkpoint names."""
        return EntityMetrics(self.names)

    def source(self, tables: Mapping[str, Split], text: str, label: str, names: list[str] | None) -> Source:
        """Columns `text`, `tokens` and `label`, see `read_sentences`."""
        return read_sentences(tables, text, label, names, self.separator)

    def encode(self, table: datasets.Dataset) -> WordTable:
        """Token ids and the words they stand for, in an Arrow file."""
        return tokenize_words(table, self.tokenizer, max_length=self.max_length, cache=cache_folder())

    def sizes(self, table: datasets.Dataset, encoded: EncodedTable) -> NDArray[np.int64]:
        """int64 [n], words of each sentence."""
        assert isinstance(encoded, WordTable)
        return encoded.num_words

    def class_of(self, label: Label) -> int:
        """The type of most entities, of equally many the first; K where there is none."""
        counts = Counter(self.names.index(entity["label"]) for entity in entities_of(label, self.names))
        return max(sorted(counts), key=lambda kind: counts[kind], default=len(self.names))

    def classes_in(self, labels: Sequence[Label]) -> set[int]:
        """The types of all entities."""
        return {(tag - 1) // 2 for label in labels for tag in label if tag}

    def parse(self, answer: Any, row: dict[str, Any]) -> Label:
        """Tag ids of spans or BIO tags, see `tags_of`."""
        return tags_of(answer, len(row["tokens"]), self.names)

    def answer(self, label: Label) -> Any:
        """The entities, see `entities_of`."""
        return entities_of(label, self.names)

    def describe(self, row: dict[str, Any], label: Label) -> tuple[str, str]:
        """The text, and its entities as `PER: Nadim Ladki; LOC: Syria`."""
        found = self.answer(label)
        words = [self.separator.join(row["tokens"][entity["start"] : entity["end"]]) for entity in found]
        shown = "; ".join(f"{entity['label']}: {text}" for entity, text in zip(found, words, strict=True))
        return row["text"], shown or "no entity"

    def varied(
        self, rows: datasets.Dataset, labels: Sequence[Label], texts: VariesTexts, seed: int
    ) -> tuple[datasets.Dataset, list[Label]]:
        """Columns `text` and `tokens`; words of entities stay, every other word brings its O along."""
        variants = texts.vary(rows["tokens"][:], [_kept(label) for label in labels], seed)
        columns = {
            "text": [self.separator.join(words) for words, _ in variants],
            "tokens": [words for words, _ in variants],
        }
        features = datasets.Features({name: rows.features[name] for name in columns})
        tags = [[label[place] for place in places] for label, (_, places) in zip(labels, variants, strict=True)]
        return datasets.Dataset.from_dict(columns, features=features), tags

    def prediction(self, output: dict[str, Any], row: dict[str, Any]) -> dict[str, Any]:
        """Text, tokens, the entities as people answer them, and the geometric mean of their tags' probabilities."""
        label = entities_of(output["tags"], self.names)
        probability = float(output["probability"])
        return {"text": row["text"], "tokens": row["tokens"], "label": label, "probability": probability}


class TokenClassification(TransformerModule):
    """Fine-tune a pretrained model to tag the words of sentences with entities of K types, all weights.

    For rows, labels and their cost, see `EntityTask`. The tag of a word is that of its first piece; a word that
    `max_length` cut off, or that the tokenizer leaves nothing of, is O, so that its entity is missed. Tags are
    predicted each for itself: there is no CRF layer (pytorch-crf and TorchCRF have had no release since 2019 and 2020)
    and no search for a valid sequence; an I that continues nothing begins an entity, in the metric as in transformers'
    pipeline.

    Args:
        pretrained: a folder, a hub name (`bert-base-cased`), or `package:NAME/FOLDER` inside an installed package; with
            a fast tokenizer.
        max_length: sentences are cut at so many tokens.
        separator: between the words, where people (and the encoder, for the first labels) read a text; "" for Chinese.
        optimizer: builds the optimiser from the parameters, anew in each round.
        **options: see `TransformerModule`.
    """

    auto_class = AutoModelForTokenClassification
    offers = frozenset({"head_inputs", "mutual_information", "token_entropy", "entity_entropy"})
    augmentable = frozenset({"texts"})
    task: EntityTask

    def __init__(
        self,
        pretrained: str = MINILM,
        max_length: int = 128,
        separator: str = " ",
        optimizer: OptimizerCallable = lambda p: torch.optim.AdamW(p, lr=5e-5, weight_decay=0.01, fused=True),
        **options: Any,
    ) -> None:
        super().__init__(EntityTask(pretrained, max_length, separator), optimizer=optimizer, **options)

    def _config(self) -> dict[str, Any]:
        return named_outputs(tag_names(self.names))

    def evaluate(self, batch: Batch, metrics: EntityMetrics) -> Tensor:
        """Mean cross-entropy of the words."""
        logits = self.logits(batch).float()
        words = batch["num_words"]
        metrics.update(_lists(_tags(logits, batch), words), _lists(batch["labels"], words))
        return self.criterion(logits, batch)

    def criterion(self, logits: Tensor, batch: Batch) -> Tensor:
        """Cross-entropy, the mean over the words that have a token; 0 where none has."""
        words = batch["word_ids"]
        tags = batch["labels"].gather(1, words.clamp(min=0)).masked_fill(words < 0, -100)
        total = F.cross_entropy(logits.flatten(0, 1), tags.flatten(), reduction="sum")
        return total / self._count((words >= 0).sum())

    def outputs(self, batch: Batch) -> dict[str, Any]:
        """`tags`, a list of tag ids for each row; `probability` float32 [b], see `max_probability` of the signals."""
        logits = self.logits(batch).float()
        confidence = sentence_signals(logits.softmax(-1), batch["word_ids"] >= 0, frozenset())["max_probability"]
        return {"tags": _lists(_tags(logits, batch), batch["num_words"]), "probability": confidence}

    def signals(self, batch: Batch, needs: frozenset[str]) -> dict[str, Tensor]:
        """See `sentence_signals`; one forward pass, to which `mutual_information` adds `mc_samples` with dropout.

        `head_inputs` is the mean over the words of what the last layer reads, weighted by the probability that a word
        is not O: that of the words that are about entities. `mutual_information` is the words' mean.
        """
        with self._recording() as seen:
            tags = self.logits(batch).float().softmax(-1)
        words = batch["word_ids"] >= 0
        found = sentence_signals(tags, words, needs)
        found["embeddings"] = self.embedding(seen["hidden"], batch).half()
        if "head_inputs" in needs:
            weights = ((1 - tags[..., 0]).clamp(min=1e-6) * words).unsqueeze(-1)
            mean = (seen["head_inputs"].float() * weights).sum(1) / weights.sum(1).clamp(min=1e-6)
            found["head_inputs"] = mean.half()
        if "mutual_information" in needs:
            found["mutual_information"] = mean_over(words, self._mutual_information(lambda: self.logits(batch)))
        return found


def _kept(tags: Sequence[int]) -> list[bool]:
    """The words of entities, and an O that an I follows: without it the I might continue the entity before."""
    return [tag > 0 or (after > 0 and after % 2 == 0) for tag, after in zip(tags, [*tags, 0][1:], strict=True)]


def _tags(logits: Tensor, batch: Batch) -> Tensor:
    """Tag id of each word, int64 [b, w]; O (0) where no token stands for a word, and after a row's end."""
    words, most = batch["word_ids"], int(batch["num_words"].max())
    tags = words.new_zeros(len(words), most + 1)
    return tags.scatter(1, words.masked_fill(words < 0, most), logits.argmax(-1))[:, :most]


def _lists(tags: Tensor, num_words: Tensor) -> list[list[int]]:
    return [row[:count] for row, count in zip(tags.tolist(), num_words.tolist(), strict=True)]
