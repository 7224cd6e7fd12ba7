"""Fresh Trainers of the options that the user gave, for a Trainer and its callbacks remember their last fit."""

from __future__ import annotations

import copy
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning as L
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import Checkpoint, EarlyStopping, ModelCheckpoint, ProgressBar, RichProgressBar
from lightning.pytorch.loggers import Logger

from lit_react.acquisition.callback import AcquisitionCallback
from lit_react.core.errors import UserError
from lit_react.core.launch import as_launched
from lit_react.core.precision import fast_precision
from lit_react.core.progress import Estimate
from lit_react.run.steps import Steps


class RoundBar(RichProgressBar):
    """Without the last epoch's number, which a fit counted in steps does not have (it would be -2)."""

    def _get_train_description(self, current_epoch: int) -> str:
        if self.trainer.max_epochs != -1:
            return super()._get_train_description(current_epoch)
        return f"Epoch {current_epoch}".ljust(len(self.validation_description))

    def get_metrics(self, trainer: L.Trainer, pl_module: L.LightningModule) -> Any:
        """Of the fit, without the logger's version."""
        return {name: value for name, value in super().get_metrics(trainer, pl_module).items() if name != "v_num"}


class SaysHowLong(L.Callback):
    """Tells in the log how long a fit will take; it stands in for a bar."""

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """The first step begins."""
        steps = trainer.estimated_stepping_batches
        self._estimate = Estimate(f"Fitting in {steps:.0f} steps", steps)

    def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        """A step may have been made."""
        self._estimate.after(max(trainer.global_step, 1))


OF_THE_TASK = "the task's metric"
"""What `early_stopping.monitor` is unless the user names one."""

LENGTH: dict[str, Any] = {
    "max_steps": 100,
    "max_epochs": -1,
    "check_val_every_n_epoch": None,
    "val_check_interval": 10,
}
"""How long a fit of few labels takes, unless the user says anything of it: they need many steps."""

OF_ALL_FITS: dict[str, Any] = {
    "num_sanity_val_steps": 0,
    "log_every_n_steps": 1,
    "logger": False,
    "enable_model_summary": False,
}
"""Options that differ from Lightning's defaults, from the command line too."""

UNVALIDATED: dict[str, Any] = {"val_check_interval": None, "limit_val_batches": 0, "enable_checkpointing": False}
"""Options of a fit without validation labels."""

DEFAULTS: dict[str, Any] = {"gradient_clip_val": 1.0, **OF_ALL_FITS}
"""Other options that the user need not give; without clipped gradients fits of few labels now and then collapse."""


def say_length(options: Mapping[str, Any]) -> bool:
    """Whether options of a Trainer say how long a fit is; Lightning's defaults do not."""
    others = ("max_epochs", "max_time", "min_steps", "min_epochs")
    return options.get("max_steps", -1) != -1 or any(options.get(name) is not None for name in others)


def with_defaults(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a Trainer, and those of `LENGTH` and `DEFAULTS` that they leave open."""
    if say_length(options):
        return {**DEFAULTS, **options}
    unsaid = {"max_steps": -1, "max_epochs": None, "check_val_every_n_epoch": 1, "val_check_interval": None}
    said = {name: value for name, value in options.items() if name not in unsaid or value != unsaid[name]}
    return {**LENGTH, **DEFAULTS, **said}


def new_trainer(
    options: Mapping[str, Any], *callbacks: L.Callback, logger: Sequence[Logger] = (), **others: Any
) -> L.Trainer:
    """A Trainer with copies of the user's callbacks and with a progress bar where somebody looks.

    Args:
        options: those of `trainer`; its loggers are left out.
        callbacks: beside the user's, after them.
        logger: gets the metrics.
        others: options that are stronger than the user's.

    Raises:
        UserError: it needs a package that is not installed, knows no such value, or its options contradict each other.
    """
    fresh = copy.deepcopy({name: value for name, value in options.items() if name != "logger"}) | others
    fresh |= as_launched(fresh)
    used = [*_as_list(fresh.pop("callbacks", None)), *callbacks]
    has_bar = any(isinstance(callback, ProgressBar) for callback in used)
    if fresh.get("enable_progress_bar") is None:
        fresh["enable_progress_bar"] = has_bar or sys.stderr.isatty()
    if fresh.get("precision") is None:
        fresh["precision"] = fast_precision(str(fresh.get("accelerator", "auto")))
    if not fresh["enable_progress_bar"]:
        used.append(SaysHowLong())
    elif not has_bar:
        used.append(RoundBar(leave=False))
    try:
        return L.Trainer(**fresh | {"callbacks": used, "logger": list(logger), "use_distributed_sampler": False})
    except (ModuleNotFoundError, ValueError, RuntimeError, MisconfigurationException) as error:
        raise UserError(f"trainer: {error}") from error


@dataclass(frozen=True)
class RoundTrainers:
    """The Trainers of a run's rounds.

    Attributes:
        options: those of `trainer`.
        early_stopping: is copied for each fit.
        steps: of a fit by its labels; None: as the options say.
        monitor: the metric on validation data that is to be large.
    """

    options: Mapping[str, Any]
    early_stopping: EarlyStopping
    steps: Steps | None
    monitor: str

    def of_fit(
        self,
        folder: Path,
        labels: int,
        acquisition: AcquisitionCallback,
        loggers: Sequence[Logger],
        *,
        validated: bool,
    ) -> L.Trainer:
        """For a round's fit, which keeps the best weights, or the last ones where there is nothing to choose by.

        Without labels it has one step. What callbacks of the user's write goes to the round's folder, unless they say.

        Args:
            folder: of the round, where they are kept.
            labels: labeled rows of the pool.
            acquisition: the run's.
            loggers: get the metrics.
            validated: whether there are validation labels.
        """
        length = self.steps.of_trainer(labels) if self.steps else {}
        if not labels:
            length = {"max_steps": 1, "max_epochs": -1, "check_val_every_n_epoch": None, "val_check_interval": 1}
        options = {**self.options, "default_root_dir": self.options.get("default_root_dir") or folder}
        if not validated:
            kept = any(isinstance(callback, Checkpoint) for callback in _as_list(self.options.get("callbacks")))
            unvalidated = UNVALIDATED | {"enable_checkpointing": kept}
            return new_trainer(options, acquisition, logger=loggers, **{**length, **unvalidated})
        stopping = copy.deepcopy(self.early_stopping)
        if stopping.monitor == OF_THE_TASK:
            stopping.monitor = self.monitor
        checkpoint = ModelCheckpoint(
            folder / "checkpoint", "best", monitor=self.monitor, mode="max", save_weights_only=True
        )
        return new_trainer(options, acquisition, stopping, checkpoint, logger=loggers, **length)

    def of_refit(self, steps: int) -> L.Trainer:
        """For so many optimiser steps; it neither validates nor stops early nor asks for labels."""
        return new_trainer({**self.options, "callbacks": None}, max_steps=steps, max_epochs=-1, **UNVALIDATED)


def _as_list(callbacks: L.Callback | list[L.Callback] | None) -> list[L.Callback]:
    return callbacks if isinstance(callbacks, list) else [callbacks] if callbacks else []
