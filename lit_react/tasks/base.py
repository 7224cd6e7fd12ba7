"""What the modules of all tasks share: their place in a round, their steps, their files."""

from __future__ import annotations

import copy
import json
from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self, cast

import torch
from torch import Tensor

from lit_react.core.errors import UserError
from lit_react.core.files import write_json
from lit_react.data.encoding import Batch
from lit_react.data.task import Task
from lit_react.tasks.optimisation import Optimised

if TYPE_CHECKING:
    from lit_react.augmentation.augmented_fit import AugmentedFit

CARD = "lit_react.json"


def is_export(folder: Path) -> bool:
    """Whether a run exported its model to this folder."""
    return (folder / CARD).is_file()


class TaskModule(Optimised):
    """A model that learns a task, what the acquisition sees of it, and its files.

    `docs/extending.md` shows what one needs. Until `configure_model` it holds no weights: the command line builds
    one module as the *recipe*, and each fit takes a `fresh` copy of it and so starts from the pretrained weights again.

    Args:
        task: what is learned; a module builds it of its own options.
        **options: see `Optimised`.
    """

    offers: ClassVar[frozenset[str]] = frozenset()
    """Names of what `signals` can give on demand."""

    trainer_defaults: ClassVar[Mapping[str, Any]] = {}
    """Options of a Trainer that suit its fits, where the user gives none to `ActiveLearning`."""

    fewest_steps: ClassVar[int] = 200
    """Steps of a fit of few labels where nothing is validated, and no option says how many."""

    augmentable: ClassVar[frozenset[str]] = frozenset()
    """Names of the parts of `Augmentation` that the module has."""

    task: Task
    """What is learned; the copy of a fit has one that knows the names of the classes."""

    val_metrics: Any
    test_metrics: Any
    """See `Task.metrics`; made with the weights, in `configure_model`."""

    augmentation: AugmentedFit | None = None
    """What stretches the labels in this fit; the recipe has none."""

    has_learned_validation = False
    """Whether the validation labels are among those that the weights are fitted to, see `rounds.refit`."""

    restored = False
    """Whether the weights are those of an export: `restore` was called."""

    example_input_array: Any = None

    def __init__(self, task: Task, **options: Any) -> None:
        super().__init__(**options)
        self.task = task
        self._report: dict[str, Any] = {}

    @property
    def names(self) -> list[str]:
        """Name of each class id, see `Task.names`."""
        return self.task.names

    def fresh(
        self,
        task: Task | None = None,
        augmentation: AugmentedFit | None = None,
        learns_validation: bool = False,
    ) -> Self:
        """The copy of the recipe for one fit; no fit changes the task or the optimiser, so copies share them.

        `task` knows the names of the classes (None: the recipe's own); `learns_validation` says that the fit reads the
        validation labels too.
        """
        shared = {id(part): part for part in (self.task, self.optimizer)}
        fit = copy.deepcopy(self, shared)
        fit.task = task or self.task
        fit.augmentation = augmentation
        fit.has_learned_validation = learns_validation
        return fit

    def check(self) -> None:
        """See that the module can be fitted: before labels are bought, once its classes are named.

        Raises:
            UserError: an option is wrong or does not fit the checkpoint.
        """
        try:
            self.optimizer([torch.nn.Parameter(torch.zeros(1))])
        except ValueError as error:
            raise UserError(f"model.optimizer: {error}") from error
        self.task.check()

    def setup(self, stage: str) -> None:
        """Before there are weights, take over the task of the Trainer's data module, which knows the classes' names."""
        if self.restored or self._is_built:
            return  # with names of its own; data that nobody needs are not read for theirs
        task = getattr(getattr(self.trainer, "datamodule", None), "task", None)
        if isinstance(task, Task):
            self.task = task

    def configure_model(self) -> None:
        """Build the model and its metrics, once per module."""
        if not self._is_built:
            self.build()
            self.val_metrics, self.test_metrics = self.task.metrics(), self.task.metrics()

    @property
    def _is_built(self) -> bool:
        return hasattr(self, "val_metrics")

    @abstractmethod
    def build(self) -> None:
        """Load the pretrained weights, or make new ones, as parts of this module."""

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
    def logits(self, batch: Batch) -> Tensor:
        """One forward pass, [b, …], in its precision."""

    @abstractmethod
    def criterion(self, logits: Tensor, batch: Batch) -> Tensor:
        """How far logits are from the batch's `labels`, a float32 scalar."""

    def predicted(self, logits: Tensor) -> Tensor:
        """What float32 logits mean, [b, …]: what the metrics and `prediction` read."""
        return logits

    def loss(self, batch: Batch) -> Tensor:
        """What a training step minimises, a float32 scalar."""
        return self.criterion(self.logits(batch).float(), batch)

    def evaluate(self, batch: Batch, metrics: Any) -> Tensor:
        """Update the task's metrics with a batch; the loss, a float32 scalar."""
        logits = self.logits(batch).float()
        metrics.update(self.predicted(logits), batch["labels"])
        return self.criterion(logits, batch)

    def outputs(self, batch: Batch) -> dict[str, Any]:
        """What `Task.prediction` needs of each row of a batch: tensors and lists of length b by name."""
        return {"prediction": self.predicted(self.logits(batch).float())}

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
        self._after_validation(scalars[self.task.monitor])

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
        rows = len(batch["row"]) * self.trainer.world_size  # Lightning rounds their mean over processes down
        self.log(f"{prefix}loss", loss, batch_size=rows, on_epoch=True, on_step=False, sync_dist=True)

    def _count(self, targets: Tensor) -> Tensor:
        """What a training loss that is a sum over this process's targets is divided by; for evaluation theirs alone.

        DDP takes the mean of what the processes return, so that is all their targets over the number of processes.
        """
        processes = self.trainer.world_size if self._trainer is not None else 1
        count = targets.float()
        if self.training and processes > 1:
            count = cast(Tensor, self.trainer.strategy.reduce(count, reduce_op="mean"))
        return count.clamp(min=1 / processes)

    @staticmethod
    def _computed(metrics: Any, prefix: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Scalars and tables, see `Task.metrics`."""
        found = metrics.compute()
        scalars, tables = found if isinstance(found, tuple) else (found, {})
        metrics.reset()
        return {f"{prefix}{name}": value for name, value in scalars.items()}, tables

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
        self.task, self.restored = self.task.named(card["labels"]), True
        self.has_learned_validation = card.get("refit", False)
        self._restore_weights(folder)

    @abstractmethod
    def _export_weights(self, folder: Path) -> None:
        """Write the weights, with `save_pretrained` where a plain transformers class can read them."""

    @abstractmethod
    def _restore_weights(self, folder: Path) -> None:
        """Take the weights that `_export_weights` wrote."""
