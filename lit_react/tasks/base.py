"""What all tasks share: their place in a round, rows and labels, steps, files."""

from __future__ import annotations

import copy
import json
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self, cast

import datasets
import numpy as np
import torch
from lightning.pytorch.cli import OptimizerCallable
from numpy.typing import NDArray
from torch import Tensor

from lit_react.annotation.costs import ConstantCost, Cost
from lit_react.annotation.ledger import Label
from lit_react.core.errors import UserError
from lit_react.core.files import write_json
from lit_react.data.encoding import Batch, EncodedTable
from lit_react.data.tables import Source, Split
from lit_react.tasks.optimisation import Optimised, Schedule

if TYPE_CHECKING:
    from lit_react.augmentation.augmented_fit import AugmentedFit
    from lit_react.augmentation.texts import TextAugmentation

CARD = "lit_react.json"


def is_export(folder: Path) -> bool:
    """Whether a run exported its model to this folder."""
    return (folder / CARD).is_file()


class TaskMetrics(Protocol):
    """What a task measures over a validation or a test; an `nn.Module`, so that it follows the device."""

    def compute(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Scalars in [0, 1] by name, and what is no scalar (tables), as plain lists and dictionaries."""
        ...

    def reset(self) -> None:
        """Forget what was measured."""
        ...


class TaskModule(Optimised):
    """A model for one task, and all that is the task's own: its rows, labels, metrics, signals and predictions.

    A task is one file: `docs/adding_a_task.md` shows what it needs. A *label* is what was bought for one row, a JSON
    value: a class id, a list of spans, a text. Nothing outside the task looks into it.

    Until `configure_model` it holds no weights: the command line builds one module as the *recipe*, each round
    takes a `fresh` copy of it and so starts from the pretrained weights again.

    Args:
        label_names: name of each class id; None: those of the checkpoint.
        optimizer: see `Optimised`, as what follows.
        lr_scheduler: `linear`, `cosine`, `constant_with_warmup` or `plateau`.
        warmup: share of the steps.
    """

    text_column: ClassVar[str] = "text"
    """Column of the source with what is annotated, where the user names none."""

    label_column: ClassVar[str] = "label"
    """Column of the source with the labels, where the user names none."""

    inputs: ClassVar[tuple[str, ...]] = ("text",)
    """Columns of a split, as `read` gives it, that make a row what it is; the first is a string for people."""

    has_classes: ClassVar[bool] = True
    """Whether labels have names that must be known before the first is bought."""

    shown: ClassVar[tuple[str, ...]] = ("accuracy", "macro_f1")
    """Scalars of the metrics that tables and pictures show. The first is *the* metric, higher is better: early
    stopping, checkpoints and the reward read it."""

    offers: ClassVar[frozenset[str]] = frozenset()
    """Names of what `signals` can give on demand."""

    augmentable: ClassVar[frozenset[str]] = frozenset()
    """Names of the parts of `Augmentation` that the task has."""

    val_metrics: Any
    test_metrics: Any
    """See `TaskMetrics`; made with the weights, in `configure_model`."""

    shares_batches = True
    """Whether a step reads `data.batch_size` rows, shared out among processes, or in each process all labeled rows."""

    shared_by_rounds: tuple[str, ...] = ("optimizer", "tokenizer")
    """Attributes that a round's copy has from the recipe: no fit changes them, and they are slow to copy."""

    augmentation: AugmentedFit | None = None
    """What stretches the labels in this fit; the recipe has none."""

    has_learned_validation = False
    """Whether the validation labels were among those that the weights were fitted to, see `rounds.refit`."""

    restored = False
    """Whether the weights are those of an export: `restore` was called."""

    example_input_array: Any = None

    def __init__(
        self,
        label_names: list[str] | None,
        optimizer: OptimizerCallable,
        lr_scheduler: Schedule,
        warmup: float,
    ) -> None:
        super().__init__(optimizer, lr_scheduler, warmup)
        self.label_names = label_names
        self._report: dict[str, Any] = {}

    @property
    def default_cost(self) -> Cost:
        """What a label costs where the user does not say: 1."""
        return ConstantCost()

    @property
    def monitor(self) -> str:
        """Logged name of the validation metric that decides."""
        return f"val/{self.shown[0]}"

    def fresh(self, augmentation: AugmentedFit | None = None) -> Self:
        """A copy of the recipe for one fit.

        Args:
            augmentation: what stretches the labels in this fit.
        """
        shared = [vars(self)[name] for name in self.shared_by_rounds if name in vars(self)]
        fit = copy.deepcopy(self, {id(part): part for part in shared})
        fit.augmentation = augmentation
        return fit

    # ---- rows and labels ------------------------------------------------------------------------------------

    @abstractmethod
    def read(
        self,
        tables: Mapping[str, Split],
        text_column: str | None = None,
        label_column: str | None = None,
        label_names: list[str] | None = None,
    ) -> Source:
        """The splits as the task knows them, from the tables as they were read.

        Args:
            tables: `pool`, and `validation` and `test` where they are.
            text_column: column of what is annotated; None: `text_column` of the task.
            label_column: column of the labels; None: `label_column` of the task; "": there are none.
            label_names: names of the classes, where the user gives them.

        Returns:
            splits with the columns `text`, `label` (null where unknown; never in validation and test) and what else
            the task needs.

        Raises:
            UserError: in one line, which file and row is wrong, and what was expected.
        """

    def groups(self, table: datasets.Dataset) -> NDArray[np.int64] | None:
        """int64 [n], the group of each row, 0 … g-1, where splits that are carved must not share one; None: they may.

        Args:
            table: a split that `read` gave.
        """
        return None

    @abstractmethod
    def encode(self, table: datasets.Dataset) -> EncodedTable:
        """Encode a split that `read` gave; done once per split, before any weights are trained."""

    def sizes(self, table: datasets.Dataset, encoded: EncodedTable) -> NDArray[np.int64]:
        """int64 [n], how much there is to read or to tag in each row, for `TokenCost`."""
        return encoded.lengths

    def doubts(self, encoded: EncodedTable) -> list[str]:
        """A line for each thing that encoding did to the pool and that is seldom meant."""
        return []

    @abstractmethod
    def class_of(self, label: Label) -> int:
        """The class that stands for a label among the C classes of `signals`, in 0 … C-1."""

    def question(self, row: dict[str, Any]) -> dict[str, Any]:
        """What people are shown of a row; `text` at least."""
        return {"text": row["text"], "labels": self.names}

    @abstractmethod
    def parse(self, answer: Any, row: dict[str, Any]) -> Label:
        """The label that people's answer to `question` means.

        Raises:
            ValueError: it is none; what was expected, without a full stop.
        """

    @abstractmethod
    def describe(self, row: dict[str, Any], label: Label) -> tuple[str, str]:
        """A row and its label as people read them, for the table of what was bought."""

    def varied(
        self, rows: datasets.Dataset, labels: Sequence[Label], texts: TextAugmentation, seed: int
    ) -> tuple[datasets.Dataset, list[Label]]:
        """A variant of each row, and the label that it has.

        Args:
            rows: as `read` gave them.
            labels: one for each.
            texts: makes the variants.
            seed: of all that is drawn.

        Returns:
            the columns that `encode` reads; labels, one for each row.

        Raises:
            UserError: the task has no variants, see `augmentable`.
        """
        raise UserError(f"augmentation.texts: {type(self).__name__} has none, expected null")

    # ---- the model ------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Raise a `UserError` where an option is wrong or does not fit the checkpoint: before labels are bought."""
        try:
            self.optimizer([torch.nn.Parameter(torch.zeros(1))])
        except ValueError as error:
            raise UserError(f"model.optimizer: {error}") from error

    @abstractmethod
    def embed(self, table: datasets.Dataset) -> NDArray[Any]:
        """Sentence embeddings of a split under the pretrained weights, float32 [n, d], unit length."""

    @abstractmethod
    def signals(self, batch: Batch, needs: frozenset[str]) -> dict[str, Tensor]:
        """What the pool pass collects of a batch, in eval mode and without gradients.

        Args:
            batch: as the pool's table gives it, on this module's device.
            needs: names of further signals, all of them in `offers`: `head_inputs`, `mutual_information` and the
                task's own scores (see `PoolSignals`).

        Returns:
            `probabilities` float32 [b, C], `embeddings` float16 [b, d], one entry for each of `needs`; and `margin`,
            `entropy` and `max_probability` float32 [b] where those of `probabilities` are not what the task means.
        """

    @abstractmethod
    def loss(self, batch: Batch) -> Tensor:
        """What a training step minimises, a float32 scalar."""

    @abstractmethod
    def evaluate(self, batch: Batch, metrics: Any) -> Tensor:
        """Update the task's metrics with a batch; the loss, a float32 scalar."""

    @abstractmethod
    def outputs(self, batch: Batch) -> dict[str, Any]:
        """What `prediction` needs of each row of a batch: tensors and lists of length b by name."""

    @abstractmethod
    def prediction(self, output: dict[str, Any], row: dict[str, Any]) -> dict[str, Any]:
        """One line of the predictions' file.

        Args:
            output: the row's part of `outputs`; tensors have become NumPy arrays.
            row: as `read` gave it.
        """

    def training_step(self, batch: Batch, _: int) -> Tensor:
        """The loss, under `train/`."""
        loss = self._finite(self.loss(batch))
        self.log("train/loss", loss, batch_size=len(batch["row"]))
        return loss

    def validation_step(self, batch: Batch, _: int) -> None:
        """Loss and metrics under `val/`."""
        self._evaluate(batch, self.val_metrics, "val/")

    def on_validation_epoch_end(self) -> None:
        """Log the metrics."""
        scalars, _ = self._computed(self.val_metrics, "val/")
        self.log_dict(scalars, prog_bar=True)
        self._after_validation(scalars[self.monitor])

    def test_step(self, batch: Batch, _: int) -> None:
        """Loss and metrics under `test/`."""
        self._evaluate(batch, self.test_metrics, "test/")

    def on_test_epoch_end(self) -> None:
        """Log the metrics; keep the tables for `test_report`."""
        scalars, self._report = self._computed(self.test_metrics, "test/")
        self.log_dict(scalars)

    def test_report(self) -> dict[str, Any]:
        """Results of the last test that are no scalars (per-class F1, confusion matrix), as plain lists."""
        return self._report

    def predict_step(self, batch: Batch, _: int) -> dict[str, Any]:
        """`row` int64 [b], and `outputs`."""
        return {"row": batch["row"], **self.outputs(batch)}

    def _evaluate(self, batch: Batch, metrics: Any, prefix: str) -> None:
        loss = self._finite(self.evaluate(batch, metrics))
        self.log(f"{prefix}loss", loss, batch_size=len(batch["row"]), on_epoch=True, on_step=False, sync_dist=True)

    def _count(self, targets: Tensor) -> Tensor:
        """What a training loss that is a sum over this process's targets is divided by; for evaluation theirs alone.

        DDP takes the mean of what the processes return, so that is all their targets over the number of processes.

        Args:
            targets: int64 scalar, of the batch of this process.
        """
        processes = self.trainer.world_size if self._trainer is not None else 1
        count = targets.float()
        if self.training and processes > 1:
            count = cast(Tensor, self.trainer.strategy.reduce(count, reduce_op="mean"))
        return count.clamp(min=1 / processes)

    @staticmethod
    def _computed(metrics: TaskMetrics, prefix: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
        scalars, tables = metrics.compute()
        metrics.reset()
        return {f"{prefix}{name}": value for name, value in scalars.items()}, tables

    # ---- files ----------------------------------------------------------------------------------------------

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """A frozen weight is still where it came from: a checkpoint holds the others."""
        frozen = self._frozen_weights()
        weights = checkpoint["state_dict"].items()
        checkpoint["state_dict"] = {name: w for name, w in weights if not f"{name}.".startswith(frozen)}

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """As always, and frozen weights may be missing."""
        frozen = self._frozen_weights()
        found = super().load_state_dict(state_dict, strict=False, assign=assign)
        missing = [name for name in found.missing_keys if not f"{name}.".startswith(frozen)]
        if strict and (missing or found.unexpected_keys):
            raise RuntimeError(f"weights of another model: missing {missing}, unexpected {found.unexpected_keys}")
        return found

    def _frozen_weights(self) -> tuple[str, ...]:
        """Beginnings of their names in a `state_dict`; 4-bit ones have more than one entry (`weight.absmax`)."""
        parameters = self.named_parameters(remove_duplicate=False)
        return tuple(f"{name}." for name, parameter in parameters if not parameter.requires_grad)

    def export(self, folder: Path) -> None:
        """Write the fine-tuned model, and its card."""
        self._export_weights(folder)
        write_json(folder / CARD, self.card())

    def card(self) -> dict[str, Any]:
        """What an exported folder says of itself: `task`, `labels` in the order of the class ids; `refit` after one."""
        refit = {"refit": True} if self.has_learned_validation else {}
        return {"task": type(self).__name__, "labels": self.names} | refit

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
        self.label_names, self.restored = card["labels"], True
        self.has_learned_validation = card.get("refit", False)
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
