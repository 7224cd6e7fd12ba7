"""Fine-tune any sequence-classification model: sentiment, topic, intent."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, cast

import datasets
import numpy as np
import torch
from lightning.pytorch.cli import OptimizerCallable
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F
from transformers import AutoModelForSequenceClassification

from lit_react.annotation.ledger import Label
from lit_react.augmentation.part import Rows, View
from lit_react.core.errors import UserError
from lit_react.data.classes import number_classes
from lit_react.data.encoding import Batch, EncodedTable, cache_folder, sentence_embedding, tokenize
from lit_react.data.tables import Source, Split
from lit_react.data.words import split_words
from lit_react.tasks.base import TaskModule
from lit_react.tasks.classification_metrics import ClassificationMetrics
from lit_react.tasks.fine_tuning import FineTuning
from lit_react.tasks.lora import LoRA
from lit_react.tasks.one_pass import collect_signals
from lit_react.tasks.optimisation import Schedule
from lit_react.tasks.transformer import MINILM, TransformerTask, named_outputs

if TYPE_CHECKING:
    from lit_react.augmentation.texts import TextAugmentation


class Classifier(TaskModule):
    """Labels, metrics and steps of classification, whatever the model; it goes before the model's class."""

    offers = frozenset({"head_inputs"})
    augmentable = frozenset({"texts"})

    class_weights: Literal["none", "balanced"]
    """`balanced` weighs each class's loss by 1 / its frequency among the labels bought so far; not what
    augmentation adds."""

    _weight: Tensor | None = None

    def metrics(self) -> ClassificationMetrics:
        """Of the classes that the data or the checkpoint names."""
        self._check_classes()
        return ClassificationMetrics(self.names)

    def _check_classes(self) -> None:
        if len(self.names) < 2:
            raise UserError(f"data.label_names: {self.names} are too few, expected 2 or more classes")

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

    def varied(
        self, rows: datasets.Dataset, labels: Sequence[Label], texts: TextAugmentation, seed: int
    ) -> tuple[datasets.Dataset, list[Label]]:
        """Column `text`, see `split_words`; a variant has its row's label."""
        words, separators = zip(*map(split_words, rows["text"][:]), strict=True) if len(rows) else ((), ())
        variants = texts.vary(words, [self.kept(row) for row in words], seed)
        joined = [separator.join(one.words) for separator, one in zip(separators, variants, strict=True)]
        features = datasets.Features({"text": rows.features["text"]})
        return datasets.Dataset.from_dict({"text": joined}, features=features), list(labels)

    def kept(self, words: Sequence[str]) -> list[bool]:
        """Which words of a text stay in its variants."""
        return [False] * len(words)

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
        """Cross-entropy of the labeled rows in float32."""
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


class TextClassification(Classifier, TransformerTask):
    """Fine-tune a pretrained model with a classification head, all weights, multi-class.

    Args:
        pretrained: a folder, a hub name (`bert-base-cased`), or `package:NAME/FOLDER` inside an installed package.
        label_names: name of each class id; set from the data. None: those of the checkpoint (`predict`).
        max_length: texts are cut at so many tokens.
        optimizer: builds the optimiser from the parameters, anew in each round.
        lr_scheduler: `linear`, `cosine`, `constant_with_warmup`, or `plateau` (driven by the validation metric).
        warmup: share of the steps in which the learning rate rises from 0.
        class_weights: `balanced` weighs each class's loss by 1 / its frequency among the labels bought so far; not what
            augmentation adds to it.
        mc_samples: forward passes with dropout for BALD's mutual information, where a strategy needs it.
        compile: compile the transformer with `torch.compile` (worth it on GPUs, with large pools).
        lora: train low-rank adapters and the head; None: all weights.
        fine_tuning: new top layers and learning rates by layer, for few labels; None: neither. Not with `lora`.
    """

    auto_class = AutoModelForSequenceClassification
    offers = Classifier.offers | {"mutual_information"}
    augmentable = frozenset({"labels", "complementary", "contrastive", "features", "texts", "parts"})

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
        lora: LoRA | None = None,
        fine_tuning: FineTuning | None = None,
    ) -> None:
        super().__init__(
            pretrained,
            label_names,
            max_length,
            optimizer,
            lr_scheduler,
            warmup,
            mc_samples=mc_samples,
            compile=compile,
            lora=lora,
            fine_tuning=fine_tuning,
        )
        self.class_weights = class_weights

    def _config(self) -> dict[str, Any]:
        return named_outputs(self.names)

    def encode(self, table: datasets.Dataset) -> EncodedTable:
        """Token ids, in an Arrow file."""
        return tokenize(table, self.tokenizer, max_length=self.max_length, cache=cache_folder())

    def logits(self, batch: Batch) -> Tensor:
        """[b, C], in the precision of the forward pass."""
        return self.model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits

    def on_train_start(self) -> None:
        """Class weights, and a new beginning of the augmentation."""
        super().on_train_start()
        if self.augmentation is not None:
            self.augmentation.begin_steps(self._head().in_features, self.device)

    def _gathered(self, rows: Tensor) -> Tensor:
        """Of all processes, [world_size · b, …], with gradients into each."""
        if self.trainer.world_size == 1:
            return rows
        return cast(Tensor, self.all_gather(rows, sync_grads=rows.is_floating_point())).flatten(0, 1)

    def loss(self, batch: Batch) -> Tensor:
        """Cross-entropy of the labeled rows in float32, and what the augmentation adds; one pass of the encoder."""
        if self.augmentation is None:
            return super().loss(batch)
        view = self._view(batch)
        labels = batch["labels"]
        bought = F.cross_entropy(view.logits[: len(labels)], labels, self._weight)
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

    def certainty(self, logits: Tensor) -> dict[str, Tensor]:
        """The signals that logits, float32 [b, C], tell by themselves."""
        return {"probabilities": logits.softmax(-1)}

    def embedding(self, hidden: Tensor, batch: Batch) -> Tensor:
        """What rows are compared by, float32 [b, d] of unit length, of last hidden states [b, t, h]."""
        return sentence_embedding(hidden, batch)

    def signals(self, batch: Batch, needs: frozenset[str]) -> dict[str, Tensor]:
        """One forward pass; `mutual_information` adds `mc_samples` passes with dropout."""
        with self._recording() as seen:
            found = self.certainty(self.logits(batch).float())
        found["embeddings"] = self.embedding(seen["hidden"], batch).half()
        if "head_inputs" in needs:
            found["head_inputs"] = self._read_by_head(seen["head_inputs"], batch).half()
        if "mutual_information" in needs:
            found["mutual_information"] = self._mutual_information(lambda: self.logits(batch))
        return found

    def _read_by_head(self, states: Tensor, batch: Batch) -> Tensor:
        """[b, h]; of a decoder's [b, t, h] those of the last token that is none of padding, as transformers has it."""
        if states.ndim == 2:
            return states
        written = (batch["input_ids"] != self.tokenizer.pad_token_id).int()
        places = torch.arange(written.shape[1], device=written.device)
        return states[torch.arange(len(states), device=states.device), (written * places).argmax(1)]
