"""Whatever is wrong with a run shows here, before anything is bought."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import lightning as L
from lightning.pytorch.callbacks import DeviceStatsMonitor, EarlyStopping, LearningRateMonitor

from lit_react.acquisition.callback import AcquisitionCallback
from lit_react.augmentation.augmentation import Augmentation
from lit_react.core.errors import UserError
from lit_react.run.steps import Steps, check_end, check_validations, few_batches
from lit_react.tasks import TaskModule

log = logging.getLogger("lit_react")


def check_parts(
    recipe: TaskModule,
    trainer: L.Trainer,
    acquisition: AcquisitionCallback,
    augmentation: Augmentation,
    early_stopping: EarlyStopping,
    *,
    refit: bool,
    validated: bool,
) -> None:
    """See that the parts of a run fit together.

    Args:
        recipe: its task knows the names of the classes.
        trainer: as all rounds have it.
        acquisition: of the run.
        augmentation: of each fit.
        early_stopping: of each fit.
        refit: whether each fit is followed by another with the validation labels.
        validated: whether there are validation labels.

    Raises:
        UserError: they do not, in one line.
    """
    _check_options(trainer)
    if not validated and recipe.lr_scheduler == "plateau":
        raise UserError("model.lr_scheduler: plateau goes by validations, expected data.validation_size above 0")
    if not validated and acquisition.metric is not None:
        raise UserError("acquisition.metric: is measured on validation rows, expected data.validation_size above 0")
    if not validated and refit:
        log.warning("rounds.refit: there are no validation labels, which it would learn (data.validation_size)")
    if refit and recipe.lr_scheduler == "plateau":
        raise UserError("rounds.refit: a refit has no validations, which model.lr_scheduler plateau goes by")
    if early_stopping.monitor.endswith("loss") and early_stopping.mode == "max":
        raise UserError(f"early_stopping.mode: max, but {early_stopping.monitor} is to fall, expected min")
    acquisition.check(recipe)
    augmentation.check(recipe, trainer.world_size)
    recipe.check()


def _check_options(trainer: L.Trainer) -> None:
    """See that no fit would end by an option or a callback that only shows when it begins."""
    if trainer.fast_dev_run:  # type: ignore[attr-defined]
        raise UserError(
            "trainer.fast_dev_run: each round of a run buys labels, and one tested batch is no result; expected false, "
            "and for a try --rounds.folder of its own, --rounds.stopping.max_rounds 1 and --trainer.max_steps 2"
        )
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        if isinstance(callback, LearningRateMonitor | DeviceStatsMonitor) and not trainer.loggers:
            raise UserError(
                f"trainer.callbacks: {type(callback).__name__} writes to a logger, and there is none; "
                "expected --trainer.logger CSVLogger, or the like, or --wandb.mode offline"
            )


def check_lengths(trainer: L.Trainer, steps: Steps | None, epochs: Sequence[int], *, validated: bool) -> list[str]:
    """See that each fit has an end, and a validation before it where there are validation labels.

    Args:
        trainer: as all rounds have it.
        steps: of a fit by its labels; None: as the Trainer's options say.
        epochs: batches of an epoch, of the smallest fit and of the largest.
        validated: whether there are validation labels.

    Returns:
        a line where a fit is shorter than is meant.

    Raises:
        UserError: a fit has none.
    """
    if validated and trainer.limit_val_batches == 0:
        raise UserError("trainer.limit_val_batches: 0, but the best validation decides what a round keeps")
    if steps is not None:
        steps.check(trainer.accumulate_grad_batches)
        return []
    check_end(trainer)
    if validated:
        check_validations(trainer, *epochs)
    return few_batches(trainer, epochs[0])
