"""What all tasks share: their place in a round, the optimiser, the schedule."""

from __future__ import annotations

import copy
import json
from abc import abstractmethod
from pathlib import Path
from typing import Any, Literal, Self

import datasets
import lightning as L
import torch
from lightning.pytorch.cli import OptimizerCallable
from lightning.pytorch.trainer.states import TrainerFn
from numpy.typing import NDArray
from torch import Tensor
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau
from transformers import get_scheduler

from lit_react.data.encoding import Batch, EncodedTable
from lit_react.errors import UserError
from lit_react.files import write_json

Schedule = Literal["linear", "cosine", "constant_with_warmup", "plateau"]


CARD = "lit_react.json"


def is_export(folder: Path) -> bool:
    """Whether a run exported its model to this folder."""
    return (folder / CARD).is_file()


class TaskModule(L.LightningModule):
    """A model for one task, and how the task encodes texts.

    Until `configure_model` it holds no weights: the command line builds one module as the *recipe*, each round
    takes a `fresh` copy of it and so starts from the pretrained weights again.

    Args:
        label_names: name of each class id; None: those of the checkpoint.
        optimizer: builds the optimiser from the parameters, anew in each round.
        lr_scheduler: `linear`, `cosine` and `constant_with_warmup` go by optimiser step; `plateau` (seed 1: a
            learning rate driven by the task's metric) divides the rate by 10 after two validations without gain.
        warmup: share of the steps in which the learning rate rises from 0; not for `plateau`.
    """

    monitor: str
    """Name of the validation metric that early stopping, checkpoints and the reward read; higher is better."""

    shares_batches = True
    """Whether the processes of a distributed fit share each batch, or each fits all of it."""

    shared_by_rounds: tuple[str, ...] = ("optimizer", "tokenizer")
    """Attributes that a round's copy has from the recipe: no fit changes them, and they are slow to copy."""

    example_input_array: Any = None

    def __init__(
        self,
        label_names: list[str] | None,
        optimizer: OptimizerCallable,
        lr_scheduler: Schedule,
        warmup: float,
    ) -> None:
        super().__init__()
        if not 0 <= warmup < 1:
            raise UserError(f"model.warmup: {warmup} is not a share of the steps, expected 0 <= warmup < 1")
        self.label_names = label_names
        self.optimizer, self.lr_scheduler, self.warmup = optimizer, lr_scheduler, warmup
        self._plateau: ReduceLROnPlateau | None = None

    def fresh(self) -> Self:
        """A copy of the recipe for one round."""
        shared = [vars(self)[name] for name in self.shared_by_rounds if name in vars(self)]
        return copy.deepcopy(self, {id(part): part for part in shared})

    @abstractmethod
    def encode(self, table: datasets.Dataset) -> EncodedTable:
        """Encode a split's `text` column; done once per split, before any weights are trained."""

    @abstractmethod
    def embed(self, table: datasets.Dataset) -> NDArray[Any]:
        """Sentence embeddings of a split under the pretrained weights, float32 [n, d], unit length."""

    @abstractmethod
    def signals(self, batch: Batch, needs: frozenset[str]) -> dict[str, Tensor]:
        """What the pool pass collects of a batch, in eval mode and without gradients.

        Args:
            batch: as the pool's table gives it, on this module's device.
            needs: extra signals: `head_inputs`, `mutual_information` (see `PoolSignals`).

        Returns:
            `probabilities` float32 [b, C], `embeddings` float16 [b, d], and one entry for each of `needs`.
        """

    def export(self, folder: Path) -> None:
        """Write the fine-tuned model, and a card that names the task and the labels in the order of the class ids."""
        self._export_weights(folder)
        write_json(folder / CARD, {"task": type(self).__name__, "labels": self.names})

    def restore(self, folder: Path) -> None:
        """Take weights and labels from a folder that `export` wrote.

        Raises:
            UserError: another task's model lies there, or none.
        """
        if not is_export(folder):
            raise UserError(f"{folder}: no {CARD} there, expected a model that a run exported")
        card = json.loads((folder / CARD).read_text())
        if card["task"] != type(self).__name__:
            raise UserError(f"{folder}: a {card['task']} lies there, expected a {type(self).__name__} (--model)")
        self.label_names = card["labels"]
        self._restore_weights(folder)

    @property
    @abstractmethod
    def names(self) -> list[str]:
        """Name of each class id."""

    @abstractmethod
    def _export_weights(self, folder: Path) -> None:
        """Write the weights, with `save_pretrained` where a plain transformers class can read them."""

    @abstractmethod
    def _restore_weights(self, folder: Path) -> None:
        """Take the weights that `_export_weights` wrote."""

    def test_report(self) -> dict[str, Any]:
        """Results of the last test that are no scalars (per-class F1, confusion matrix), as plain lists."""
        return {}

    def configure_optimizers(self) -> Any:
        """AdamW or another, without weight decay on biases and norms, with the schedule chosen above."""
        optimizer = self.optimizer(self._parameter_groups())
        if self.lr_scheduler == "plateau":
            self._plateau = ReduceLROnPlateau(optimizer, mode="max", factor=0.1, patience=1)
            return optimizer
        steps = int(self.trainer.estimated_stepping_batches)
        schedule: LRScheduler = get_scheduler(
            self.lr_scheduler, optimizer, num_warmup_steps=int(self.warmup * steps), num_training_steps=steps
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _after_validation(self, value: Tensor) -> None:
        """Tell the plateau schedule the monitored metric: after each validation, be it by epochs or by steps."""
        fitting = self.trainer.state.fn == TrainerFn.FITTING and not self.trainer.sanity_checking
        if self._plateau is not None and fitting:
            self._plateau.step(float(value))

    def _parameter_groups(self) -> list[dict[str, Any]]:
        trainable = [parameter for parameter in self.parameters() if parameter.requires_grad]
        decayed = {"params": [p for p in trainable if p.ndim > 1]}
        plain = {"params": [p for p in trainable if p.ndim <= 1], "weight_decay": 0.0}
        return [decayed, plain]

    def _finite(self, loss: Tensor) -> Tensor:
        if not torch.isfinite(loss):
            raise UserError(
                f"the training loss became {loss.item()} at step {self.global_step}: "
                "lower the learning rate (model.optimizer) or use trainer.precision 32-true or bf16-mixed"
            )
        return loss
