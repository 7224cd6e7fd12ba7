"""Whatever is wrong with a run shows here, before anything is bought."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import lightning as L

from lit_react.annotation.ledger import Query
from lit_react.core.errors import UserError
from lit_react.core.processes import check_launch
from lit_react.run.purchases import label_counts
from lit_react.run.steps import check_validations, few_batches

if TYPE_CHECKING:
    from lit_react.run.active_learning import ActiveLearning


def check_parts(run: ActiveLearning, trainer: L.Trainer, first: Sequence[Query]) -> list[str]:
    """See that the parts of a run fit together.

    Args:
        run: its texts are read.
        trainer: as all rounds have it.
        first: what a new run asks for first.

    Returns:
        a line for what is allowed, but seldom meant.

    Raises:
        UserError: something is wrong, in one line.
    """
    check_launch(trainer)
    if run.refit and run.model.lr_scheduler == "plateau":
        raise UserError("rounds.refit: a refit has no validations, which model.lr_scheduler plateau goes by")
    monitor, mode = run.early_stopping.monitor, run.early_stopping.mode
    if monitor.endswith("loss") and mode == "max":
        raise UserError(f"early_stopping.mode: max, but {monitor} is to fall, expected min")
    run.acquisition.check(run.recipe)
    run.augmentation.check(run.recipe, trainer.world_size)
    run.recipe.check()
    if run.pretraining is not None:
        run.pretraining.check(run.texts.task, run.texts.splits.pool)
    return _check_lengths(run, trainer, first)


def _check_lengths(run: ActiveLearning, trainer: L.Trainer, first: Sequence[Query]) -> list[str]:
    """See that each fit has an end and a validation before it."""
    if trainer.limit_val_batches == 0:
        raise UserError("trainer.limit_val_batches: 0, but the best validation decides what a round keeps")
    if run.steps is not None:
        run.steps.check(trainer.accumulate_grad_batches)
        return []
    rows = [run.augmentation.rows_of(labels) for labels in label_counts(run.texts, run.budget, first)]
    epochs = [-(-count // run.texts.rows_per_step(count)) for count in rows]
    check_validations(trainer, *epochs)
    return few_batches(trainer, epochs[0]) if run.texts.task.shares_batches else []
