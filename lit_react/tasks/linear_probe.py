"""A linear head on a frozen encoder: the encoder sees each text once, after that a round takes seconds."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Literal

import datasets
import torch
from lightning.pytorch.cli import OptimizerCallable
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from lit_react.data.encoding import Batch, EncodedTable, cache_folder
from lit_react.tasks.encoder_classification import HEAD_FILE
from lit_react.tasks.pretrained import MINILM, load_config
from lit_react.tasks.text_classification import ClassificationTask, Classifier


@dataclass(frozen=True)
class FrozenClassificationTask(ClassificationTask):
    """Texts of C classes, encoded as their embeddings under an encoder that is not fitted."""

    shares_batches: ClassVar[bool] = False  # the line search reads the loss: all processes must see the same one

    def encode(self, table: datasets.Dataset) -> EncodedTable:
        """Embeddings, in a memory-mapped file named after weights and texts; the same as `embed` gives."""
        return self.embedded(table)


class LinearProbe(Classifier):
    """Multinomial logistic regression on frozen, cached sentence embeddings, fitted by L-BFGS in one step.

    Set `trainer.max_epochs: 1`; a step reads all labels, whatever `data.batch_size`. With the default `l2` and
    unit-length embeddings it is scikit-learn's `LogisticRegression(C=20)`: mean cross-entropy + l2 / (2 n) · ‖W‖²,
    l2 = 1 / C.

    Args:
        pretrained: a folder, a hub name, or `package:NAME/FOLDER` inside an installed package.
        max_length: texts are cut at so many tokens.
        l2: strength of the penalty on the weights (not on the bias), 1 / C.
        class_weights: `balanced` weighs each class's loss by 1 / its frequency among the labels bought so far.
    """

    task: FrozenClassificationTask

    trainer_defaults = MappingProxyType({"max_epochs": 1, "precision": "32-true", "gradient_clip_val": None})

    def __init__(
        self,
        pretrained: str = MINILM,
        max_length: int = 128,
        l2: float = 0.05,
        class_weights: Literal["none", "balanced"] = "none",
    ) -> None:
        optimizer: OptimizerCallable = lambda p: torch.optim.LBFGS(  # noqa: E731
            p, max_iter=200, line_search_fn="strong_wolfe", tolerance_grad=1e-5
        )
        task = FrozenClassificationTask(pretrained, max_length)
        super().__init__(task, optimizer=optimizer, lr_scheduler="constant_with_warmup", warmup=0.0)
        self.l2, self.class_weights = l2, class_weights

    def build(self) -> None:
        """A head of zeros: the fit is convex and starts where logistic regression starts."""
        self.head = nn.Linear(load_config(self.task.pretrained).hidden_size, len(self.names))
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def configure_optimizers(self) -> Any:
        """L-BFGS with a strong-Wolfe line search, no schedule."""
        return self.optimizer(self.parameters())

    def logits(self, batch: Batch) -> Tensor:
        """[b, C]; in float32 whatever the precision, it costs nothing."""
        with torch.autocast(self.device.type, enabled=False):
            return self.head(batch["features"].float())

    def loss(self, batch: Batch) -> Tensor:
        """Mean cross-entropy plus the penalty."""
        count = float(batch["weight"].sum()) if "weight" in batch else max(len(batch["labels"]), 1)
        penalty = self.l2 / (2 * count) * self.head.weight.square().sum()
        return super().loss(batch) + penalty

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Keep the batch for the line search."""
        self._batch = batch

    def optimizer_step(
        self, epoch: int, batch_idx: int, optimizer: Any, optimizer_closure: Callable[[], Any] | None = None
    ) -> None:
        """The fit: its many evaluations of the loss go without Lightning's hooks and logs, then one goes with them."""

        def evaluate() -> Tensor:
            optimizer.zero_grad()
            loss = self.loss(self._batch)
            loss.backward()
            return loss

        optimizer.step(evaluate)
        assert optimizer_closure is not None, "Lightning gives one"
        optimizer_closure()

    def configure_gradient_clipping(self, *_: Any, **__: Any) -> None:
        """None, whatever the Trainer says: the line search needs the gradients of its loss."""

    def signals(self, batch: Batch, needs: frozenset[str]) -> dict[str, Tensor]:
        """The head's view."""
        found = {
            "probabilities": self.logits(batch).softmax(-1),
            "embeddings": batch["features"].half(),
        }
        if "head_inputs" in needs:
            found["head_inputs"] = batch["features"].half()
        return found

    def _export_weights(self, folder: Path) -> None:
        """The encoder and tokenizer in `encoder/`, the head (weight, bias) in `head.safetensors`.

        No class of transformers has this head (mean pooling, unit length, linear), so no `pipeline` reads the folder;
        `predict` does. The encoder's weights are never fitted: all runs link to one file in the cache.
        """
        encoder = folder / "encoder"
        encoder.mkdir(parents=True, exist_ok=True)
        for file in self._cached_encoder().iterdir():
            _link_or_copy(file, encoder / file.name)
        self.task.tokenizer.save_pretrained(encoder)
        head = {name: tensor.detach().cpu().contiguous() for name, tensor in self.head.state_dict().items()}
        save_file(head, folder / HEAD_FILE)

    def _cached_encoder(self) -> Path:
        """A folder in the cache with the encoder as `save_pretrained` writes it, its files read-only."""
        config = hashlib.sha256(load_config(self.task.pretrained).to_json_string().encode()).hexdigest()[:8]
        folder = cache_folder() / f"encoder-{self.task.encoder_digest}-{config}"
        if not folder.exists():
            partial = folder.with_suffix(f".{os.getpid()}.partial")
            self.task.encoder().save_pretrained(partial)
            for file in partial.iterdir():
                file.chmod(0o444)
            try:
                partial.rename(folder)
            except OSError:  # another process was faster
                shutil.rmtree(partial)
        return folder

    def _restore_weights(self, folder: Path) -> None:
        self.task = self.task.start_from(str(folder / "encoder"))
        self.configure_model()
        self.head.load_state_dict(load_file(folder / HEAD_FILE))


def _link_or_copy(source: Path, target: Path) -> None:
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without links
        shutil.copyfile(source, target)
