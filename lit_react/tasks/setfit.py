"""SetFit by its own library: the baseline of few labels, on the rows that any strategy buys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import Any, ClassVar

import datasets
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lit_react.annotation.answers import Label
from lit_react.core.errors import UserError
from lit_react.core.extras import check_installed
from lit_react.data.encoding import Batch, EncodedTable
from lit_react.tasks.encoder_classification import EncoderClassification
from lit_react.tasks.pretrained import MINILM, resolve
from lit_react.tasks.sentence_classification import MeanOfTokens
from lit_react.tasks.text_classification import ClassificationTask

UNSEEN = -20.0
"""Logit of a class without a label: scikit-learn's logistic regression does not know it."""


class TextTable:
    """Token ids of a split, and its texts."""

    def __init__(self, tokens: EncodedTable, texts: datasets.Dataset) -> None:
        self.tokens, self.texts, self.lengths = tokens, texts, tokens.lengths

    def __len__(self) -> int:
        return len(self.tokens)

    def batch(self, rows: Sequence[int] | NDArray[np.int64], labels: Sequence[Label] | None = None) -> Batch:
        """That of `TokenTable`, and `text`, a list of b strings."""
        return self.tokens.batch(rows, labels) | {"text": self.texts[list(rows)]["text"]}


@dataclass(frozen=True)
class SetFitTask(ClassificationTask):
    """Texts of C classes; a step reads all that are labeled, for each makes pairs with each other."""

    shares_batches: ClassVar[bool] = False

    def encode(self, table: datasets.Dataset) -> EncodedTable:
        """Token ids, and the texts, which SetFit encodes itself."""
        return TextTable(super().encode(table), table)


class SetFit(EncoderClassification):
    """Fit by contrastive pairs and logistic regression (SetFit; Tunstall et al. 2022, arXiv 2209.11055).

    The `setfit` library makes and fits all of it with its own defaults: one epoch of oversampled pairs, the encoder
    first, then scikit-learn's `LogisticRegression` on the mean of the tokens at unit length. Its coefficients become
    the head, so that tests, signals and exports are those of `SentenceClassification`.

    The whole fit is the first step; set `trainer.max_epochs: 1`. Labels of fewer than two classes fit nothing: a lone
    class is predicted throughout. It needs the extra `setfit`, and one process.

    Args:
        pretrained: a folder, a hub name, or `package:NAME/FOLDER` inside an installed package; its texts are read by
            the mean of their tokens.
        max_length: texts are cut at so many tokens.
    """

    head_class = MeanOfTokens
    task_class = SetFitTask
    augmentable = frozenset()
    trainer_defaults = MappingProxyType({"max_epochs": 1, "precision": "32-true"})

    def __init__(self, pretrained: str = MINILM, max_length: int = 128) -> None:
        super().__init__(pretrained, max_length=max_length)

    def check(self) -> None:
        """See that the library is installed."""
        check_installed("setfit", "model: SetFit", "setfit")
        super().check()

    def configure_optimizers(self) -> Any:
        """One that changes nothing: the library has its own."""
        return torch.optim.SGD(self._head().parameters(), lr=0.0)

    def training_step(self, batch: Batch, _: int) -> Tensor:
        """The fit, and nothing left to minimise; further steps change nothing."""
        if self.trainer.world_size > 1:
            raise UserError(f"trainer.devices: {self.trainer.world_size} processes, but SetFit fits in one, expected 1")
        if self.global_step == 0:
            order = batch["row"][: len(batch["labels"])].argsort()
            self._learn([batch["text"][i] for i in order], batch["labels"].cpu().numpy()[order.cpu()])
        return 0 * self._head().bias.sum()

    def _learn(self, texts: list[str], classes: NDArray[np.int64]) -> None:
        present, head = np.unique(classes), self._head()
        with torch.no_grad():
            nn.init.zeros_(head.weight)
            nn.init.constant_(head.bias, UNSEEN)
            head.bias[present] = 0
            if len(present) > 1:
                weight, bias = self._fitted(datasets.Dataset.from_dict({"text": texts, "label": classes}))
                rows = present[-len(weight) :]  # of two classes scikit-learn has the logit of the second alone
                head.weight[rows], head.bias[rows] = weight.to(head.weight), bias.to(head.bias)

    @torch.enable_grad()
    def _fitted(self, rows: datasets.Dataset) -> tuple[Tensor, Tensor]:
        """The library's fit of the columns `text` and `label`; the encoder becomes its own.

        Returns:
            weight [c, d] and bias [c] of its head, for the classes that are there in their order; c is 1 where they are
            two.
        """
        import setfit
        from sentence_transformers import SentenceTransformer
        from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
        from sklearn.linear_model import LogisticRegression
        from transformers import PrinterCallback, ProgressCallback

        setfit.logging.set_verbosity_error()
        transformer = Transformer(resolve(self.task.pretrained))
        pooling = Pooling(transformer.get_embedding_dimension(), "mean")
        body = SentenceTransformer(modules=[transformer, pooling, Normalize()])
        body.max_seq_length = self.task.max_length
        model = setfit.SetFitModel(model_body=body, model_head=LogisticRegression())
        seed = self.trainer.datamodule.fit_data.seed  # type: ignore[attr-defined]
        with TemporaryDirectory() as folder:
            options = setfit.TrainingArguments(folder, seed=seed, report_to="none", save_strategy="no")
            trainer = setfit.Trainer(model=model, args=options, train_dataset=rows)
            for loud in (PrinterCallback, ProgressCallback):
                trainer.st_trainer.remove_callback(loud)
            trainer.st_trainer.args.dataloader_pin_memory = False
            trainer.train()
        self.model.base_model.load_state_dict(transformer.auto_model.state_dict())
        return torch.from_numpy(model.model_head.coef_), torch.from_numpy(model.model_head.intercept_)
