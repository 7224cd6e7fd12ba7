"""Fine-tune a sentence encoder: classes read off the mean of a text's tokens."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from lightning.pytorch.cli import OptimizerCallable
from torch import Tensor
from torch.nn import functional as F
from transformers import PreTrainedModel

from lit_react.augmentation.contrastive import Contrastive
from lit_react.core.bounds import expect
from lit_react.data.encoding import Batch
from lit_react.data.fit_data import FitData
from lit_react.tasks.encoder_classification import EncoderClassification, HeadOnEncoder
from lit_react.tasks.optimisation import adamw, adamw_for_few_labels
from lit_react.tasks.pretrained import MINILM
from lit_react.tasks.starting_classifier import Known, classifier_from_names, labels_only
from lit_react.tasks.text_classification import ClassificationTask

log = logging.getLogger("lit_react")


@dataclass(frozen=True)
class SentenceTask(ClassificationTask):
    """Texts of C classes whose names are read like texts."""

    reads_names: ClassVar[bool] = True


def adamw_from_a_start(parameters: Iterable[Any]) -> torch.optim.Optimizer:
    """AdamW at 1e-4, and at 2e-5 where the model is not small: a head that knows the classes needs no more."""
    return adamw(parameters, small=1e-4, large=2e-5)


class MeanOfTokens(HeadOnEncoder):
    """Reads the masked mean of the tokens' states, at unit length: features [b, h]."""

    def __init__(self, encoder: PreTrainedModel, num_labels: int) -> None:
        super().__init__(encoder, encoder.config.hidden_size, num_labels)

    def features(self, hidden: Tensor, batch: Batch) -> Tensor:
        """In the precision of the forward pass."""
        weights = batch["attention_mask"].unsqueeze(-1)
        return F.normalize((hidden * weights).sum(1) / weights.sum(1).clamp(min=1), dim=1)


class SentenceClassification(EncoderClassification):
    """Fine-tune an encoder that was trained to be read by the mean of its tokens, as sentence-transformers are.

    Each fit starts at a classifier that knows the names of the classes, the bought labels and the pool, without having
    changed the encoder (see `classifier_from_names`): its weights are those of the head. So there are predictions
    before the first label, and 50 steps at a small rate are enough, where a random head needs 200 (a classifier of
    names as the start of fine-tuning: Wortsman et al. 2022, https://arxiv.org/abs/2109.01903). The loss is the
    cross-entropy and a contrastive one, for each pair of labeled texts says something (see `Contrastive`).

    Args:
        pretrained: a folder, a hub name, or `package:NAME/FOLDER` inside an installed package.
        optimizer: builds the optimiser from the parameters; the default stands for `adamw_from_a_start` here: AdamW, at
            a rate of 1e-4 for models of up to 50 million parameters and 2e-5 for others. It has the name that it has in
            other modules, for the command line keeps options where `--model` names another class.
        contrastive: weight of the contrastive loss of each step's labeled texts; 0: none.
        **options: see `TextClassification`.
    """

    head_class = MeanOfTokens
    task_class = SentenceTask
    fewest_steps = 50
    augmentable = EncoderClassification.augmentable - {"contrastive"}

    def __init__(
        self,
        pretrained: str = MINILM,
        optimizer: OptimizerCallable = adamw_for_few_labels,
        contrastive: float = 1.0,
        **options: Any,
    ) -> None:
        suits = adamw_from_a_start if optimizer is adamw_for_few_labels else optimizer
        super().__init__(pretrained, optimizer=suits, **options)
        expect("model.contrastive", contrastive, at_least=0)
        self.contrastive = contrastive

    def on_train_start(self) -> None:
        """A head from names and labels, unless the weights are those of an earlier fit."""
        super().on_train_start()
        if not self.restored:
            self._start_from(self.trainer.datamodule.fit_data)  # type: ignore[attr-defined]

    def loss(self, batch: Batch) -> Tensor:
        """That of `TextClassification`, and the contrastive one; one pass of the encoder."""
        with self._recording() as seen:
            loss = super().loss(batch)
        labels = batch["labels"]
        if not (self.contrastive and len(labels)):
            return loss
        features = self._read_by_head(seen["head_inputs"], batch)[: len(labels)]
        return loss + Contrastive(self.contrastive).of_pairs(self._gathered(features), self._gathered(labels))

    @torch.no_grad()
    def _start_from(self, data: FitData) -> None:
        labeled = data.pool.labeled_rows
        classes = np.asarray([self.task.class_of(data.pool.labels[row]) for row in labeled.tolist()], dtype=np.int64)
        names = data.fixed.name_embeddings
        known = Known(data.embeddings(labeled), classes, data.unlabeled_embeddings, names, len(self.names))
        found, rule = self.trainer.strategy.broadcast(classifier_from_names(known, data.seed))
        if names is not None and rule == labels_only.__name__ and self.trainer.is_global_zero:
            log.warning("label names: the bought labels are told better without them, so this fit starts without")
        head = self._head()
        head.weight.copy_(torch.from_numpy(found.weight.T))
        head.bias.copy_(torch.from_numpy(found.bias))
