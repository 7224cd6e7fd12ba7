"""Fine-tune any sequence-classification model: sentiment, topic, intent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, cast

import datasets
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AutoModelForSequenceClassification

from lit_react.annotation.answers import Label
from lit_react.augmentation.part import Rows, View
from lit_react.core.errors import UserError
from lit_react.data.classes import number_classes
from lit_react.data.encoding import Batch
from lit_react.data.given_names import id_of
from lit_react.data.tables import Source, Split
from lit_react.data.task import VariesTexts
from lit_react.data.words import split_words
from lit_react.tasks.base import TaskModule
from lit_react.tasks.classification_metrics import ClassificationMetrics
from lit_react.tasks.encoder_task import EncoderTask
from lit_react.tasks.one_pass import collect_signals
from lit_react.tasks.pretrained import MINILM
from lit_react.tasks.transformer import TransformerModule, named_outputs


@dataclass(frozen=True)
class ClassificationTask(EncoderTask):
    """Texts that are each of one of C classes; a label is a class id."""

    labels_are_classes: ClassVar[bool] = True

    def metrics(self) -> nn.Module:
        """Those of the classes that the data or the checkpoint names."""
        return ClassificationMetrics(self._checked_names())

    def _checked_names(self) -> list[str]:
        if len(self.names) < 2:
            raise UserError(f"data.label_names: {self.names} are too few, expected 2 or more classes")
        return self.names

    def source(self, tables: Mapping[str, Split], text: str, label: str, names: list[str] | None) -> Source:
        """Texts, and classes numbered by `number_classes`."""
        return number_classes(tables, text, label, names)

    def class_of(self, label: Label) -> int:
        """A label is a class id."""
        return label

    def parse(self, answer: Any, row: dict[str, Any]) -> Label:
        """The id of a class's name."""
        return id_of(answer, self.names)

    def answer(self, label: Label) -> Any:
        """The class's name."""
        return self.names[label]

    def describe(self, row: dict[str, Any], label: Label) -> tuple[str, str]:
        """The text and the class's name."""
        return row["text"], self.names[label]

    def varied(
        self, rows: datasets.Dataset, labels: Sequence[Label], texts: VariesTexts, seed: int
    ) -> tuple[datasets.Dataset, list[Label]]:
        """Column `text`, see `split_words`; a variant has its row's label."""
        words, separators = zip(*map(split_words, rows["text"][:]), strict=True) if len(rows) else ((), ())
        variants = texts.vary(words, [self.kept(row) for row in words], seed)
        joined = [separator.join(found) for separator, (found, _) in zip(separators, variants, strict=True)]
        features = datasets.Features({"text": rows.features["text"]})
        return datasets.Dataset.from_dict({"text": joined}, features=features), list(labels)

    def kept(self, words: Sequence[str]) -> list[bool]:
        """Which words of a text stay in its variants."""
        return [False] * len(words)

    def prediction(self, output: dict[str, Any], row: dict[str, Any]) -> dict[str, Any]:
        """`text`, `label` and `probabilities` (name → share)."""
        probabilities = output["probabilities"]
        shares = {name: round(float(p), 6) for name, p in zip(self.names, probabilities, strict=True)}
        return {"text": row["text"], "label": self.names[int(probabilities.argmax())], "probabilities": shares}


class Classifier(TaskModule):
    """Steps of classification, whatever the model; it goes before the model's class."""

    offers = frozenset({"head_inputs"})
    augmentable = frozenset({"texts"})

    class_weights: Literal["none", "balanced"]
    """`balanced` weighs each class's loss by 1 / its frequency among the labels bought so far; not what
    augmentation adds."""

    _weight: Tensor | None = None

    def on_train_start(self) -> None:
        """Class weights from the labels bought so far."""
        if self.class_weights == "balanced":
            loader = self.trainer.train_dataloader
            assert loader is not None, "a fit has a training loader"
            self._weight = self.balanced(loader.dataset.labels).to(self.device)

    def balanced(self, labels: Sequence[Label]) -> Tensor:
        """Weights of the classes, float32 [C]; a class without a label has weight 0."""
        counts = torch.bincount(torch.as_tensor(labels, dtype=torch.int64), minlength=len(self.names)).float()
        return torch.where(counts > 0, len(labels) / (counts.gt(0).sum() * counts.clamp(min=1)), 0.0)

    def loss(self, batch: Batch) -> Tensor:
        """Cross-entropy of the labeled rows in float32; zero where there are none."""
        logits = self.logits(batch).float()
        if not len(batch["labels"]):
            return 0 * logits.sum()
        return self._of_labels(logits, batch)

    def _of_labels(self, logits: Tensor, batch: Batch) -> Tensor:
        """Cross-entropy of labeled rows, logits float32 [l, C]; each counts as much as its class and its label."""
        labels, weight = batch["labels"], batch.get("weight")
        if weight is None:
            return F.cross_entropy(logits, labels, self._weight)
        if self._weight is not None:
            weight = weight * self._weight[labels]
        return (weight * F.cross_entropy(logits, labels, reduction="none")).sum() / weight.sum()

    def criterion(self, logits: Tensor, batch: Batch) -> Tensor:
        """Cross-entropy without class weights."""
        return F.cross_entropy(logits, batch["labels"])

    def predicted(self, logits: Tensor) -> Tensor:
        """Probabilities of the classes."""
        return logits.softmax(-1)

    def outputs(self, batch: Batch) -> dict[str, Any]:
        """`probabilities` float32 [b, C]."""
        return {"probabilities": self.predicted(self.logits(batch).float())}


class TextClassification(Classifier, TransformerModule):
    """Fine-tune a pretrained model with a classification head, all weights, multi-class.

    Args:
        pretrained: a folder, a hub name (`bert-base-cased`), or `package:NAME/FOLDER` inside an installed package.
        max_length: texts are cut at so many tokens, special ones included.
        class_weights: `balanced` weighs each class's loss by 1 / its frequency among the labels bought so far; not what
            augmentation adds to it.
        **options: see `TransformerModule`.
    """

    auto_class = AutoModelForSequenceClassification
    offers = Classifier.offers | {"mutual_information"}
    augmentable = frozenset({"labels", "complementary", "contrastive", "features", "texts", "parts"})

    task_class: ClassVar[type[EncoderTask]] = ClassificationTask
    """What it learns, built of the checkpoint and the length."""

    def __init__(
        self,
        pretrained: str = MINILM,
        max_length: int = 128,
        class_weights: Literal["none", "balanced"] = "none",
        **options: Any,
    ) -> None:
        super().__init__(self.task_class(pretrained, max_length), **options)
        self.class_weights = class_weights

    def _config(self) -> dict[str, Any]:
        return named_outputs(self.names)

    def on_train_start(self) -> None:
        """Class weights, and a new beginning of the augmentation."""
        super().on_train_start()
        if self.augmentation is not None:
            self.augmentation.begin_steps(self._head().in_features, self.device)

    def _gathered(self, rows: Tensor) -> Tensor:
        """Of all processes, [world_size · b, …], with gradients into each."""
        if self._trainer is None or self.trainer.world_size == 1:
            return rows
        return cast(Tensor, self.all_gather(rows, sync_grads=rows.is_floating_point())).flatten(0, 1)

    def loss(self, batch: Batch) -> Tensor:
        """Cross-entropy of the labeled rows in float32, and what the augmentation adds; one pass of the encoder."""
        if self.augmentation is None:
            return super().loss(batch)
        view = self._view(batch)
        labels = batch["labels"]
        bought = self._of_labels(view.logits[: len(labels)], batch)
        return bought + self.augmentation.loss(
            view,
            batch,
            head=lambda made: self._head()(made).float(),
            gather=self._gathered,
            progress=self._progress,
        )

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """The augmentation may look at the model as it is now."""
        if self.augmentation is not None:
            self.augmentation.before_step(self._progress, self._embedded)

    def _embedded(self, split: str, rows: Rows) -> NDArray[np.float32]:
        """See `Embed`."""
        loader = self.trainer.datamodule.scoring_loader(split, rows)  # type: ignore[attr-defined]
        return collect_signals(self.trainer, self, loader, rows, frozenset())["embeddings"].astype(np.float32)

    @property
    def _progress(self) -> float:
        """Share of the fit's steps that are done."""
        return self.global_step / max(self.trainer.estimated_stepping_batches, 1)

    def _after_validation(self, value: Tensor) -> None:
        """The augmentation compares its generator with the model."""
        super()._after_validation(value)
        if self.augmentation is not None:
            self.augmentation.validated(float(value))

    def _view(self, batch: Batch) -> View:
        with self._recording() as seen:
            logits = self.logits(batch).float()
        return View(self._read_by_head(seen["head_inputs"], batch), logits)
