"""How long a round's fit takes, by the labels that it has."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lit_react.core.bounds import expect
from lit_react.core.errors import UserError

if TYPE_CHECKING:
    import lightning as L


FEW_BATCHES = 10
"""A fit of fewer that does not have all labels in each is hardly meant."""


@dataclass
class Steps:
    """Optimiser steps of a fit in proportion to the labeled rows, within bounds.

    Three epochs over a hundred samples are too few steps for fine-tuning to converge, whatever the learning rate
    (Mosbach et al. 2021, https://arxiv.org/abs/2006.04884, section 6; Zhang et al. 2021,
    https://arxiv.org/abs/2006.05987, section 6): hence `least`. `20 / data.batch_size` per label are 20 epochs.

    Args:
        least: steps, however few the labels are.
        per_label: steps for each labeled row of the pool.
        most: steps, however many the labels are.
        validations: of each fit, evenly spread, the last one at its end: `early_stopping.patience` then means the same
            share of every fit. The number of steps is rounded down to a multiple of it.
    """

    least: int = 150
    per_label: float = 2.5
    most: int = 1000
    validations: int = 10

    def __post_init__(self) -> None:
        if not 1 <= self.validations <= self.least <= self.most:
            raise UserError(
                f"rounds.steps: least {self.least}, most {self.most}, validations {self.validations}, "
                "expected 1 <= validations <= least <= most"
            )
        expect("rounds.steps.per_label", self.per_label, at_least=0)

    def between_validations(self, labels: int) -> int:
        """Steps from one validation of a fit to the next."""
        return int(min(max(self.per_label * labels, self.least), self.most)) // self.validations

    def of_trainer(self, labels: int) -> dict[str, Any]:
        """The Trainer's options for a fit.

        Args:
            labels: labeled rows of the pool.
        """
        interval = self.between_validations(labels)
        return {
            "max_steps": interval * self.validations,
            "max_epochs": -1,
            "check_val_every_n_epoch": None,
            "val_check_interval": interval,
        }

    def check(self, accumulate_grad_batches: int) -> None:
        """See that a step is a batch: the Trainer counts the former to its end and the latter to a validation.

        Raises:
            UserError: it is not; and how many batches a step has depends on where in an epoch it is.
        """
        if accumulate_grad_batches != 1:
            raise UserError(
                f"rounds.steps: expected trainer.accumulate_grad_batches 1, got {accumulate_grad_batches}; "
                "give rounds.steps null, trainer.max_steps and trainer.val_check_interval"
            )


def check_end(trainer: L.Trainer) -> None:
    """See that a fit has an end; a `UserError` says that it has none."""
    if trainer.max_steps == -1 and trainer.max_epochs == -1:
        raise UserError("trainer.max_steps: -1, and max_epochs too: schedules need an end, expected one of the two")


def check_validations(trainer: L.Trainer, *epochs: int) -> None:
    """See that the Trainer's own options lead each fit to a validation, before anything is bought.

    Args:
        trainer: as all rounds have it.
        *epochs: batches of an epoch, of the smallest fit and of the largest.

    Raises:
        UserError: a fit would end without a validation, or `val_check_interval` is more than an epoch has.
    """
    interval: int | float | None = getattr(trainer, "val_check_interval", None)
    if interval is None:  # a time
        return
    every = trainer.check_val_every_n_epoch
    for given in epochs:
        batches = _within_limit(trainer, given)
        if isinstance(interval, int) and every is not None and interval > batches:
            raise UserError(
                f"trainer.val_check_interval: {interval} is too large, expected at most {batches}, the batches of an "
                "epoch of the first fit, or trainer.check_val_every_n_epoch null, which counts those of all epochs"
            )
        within = interval if isinstance(interval, int) else max(1, int(batches * interval))
        first, last = within + batches * ((every or 1) - 1), _last_batch(trainer, batches)
        if first > last:
            raise UserError(
                f"trainer: with {batches} batches an epoch, which a fit of this run may have, the first validation "
                f"would come after {first} batches, but max_steps {trainer.max_steps} and max_epochs "
                f"{trainer.max_epochs} end the fit after {last:g}: expected at least as many, or an earlier validation"
            )


def few_batches(trainer: L.Trainer, epoch: int) -> list[str]:
    """A line where a fit is shorter than is meant.

    Args:
        trainer: as all rounds have it.
        epoch: batches of an epoch of the smallest fit.
    """
    fit = _last_batch(trainer, _within_limit(trainer, epoch))
    if fit >= FEW_BATCHES:
        return []
    return [f"the first fit has {fit:g} batches, too few to learn from: see trainer.max_steps and max_epochs"]


def _within_limit(trainer: L.Trainer, batches: int) -> int:
    limit = trainer.limit_train_batches
    return min(batches, limit) if isinstance(limit, int) else int(batches * limit)


def _last_batch(trainer: L.Trainer, batches: int) -> float:
    """How many batches a fit has, of so many an epoch; an epoch's last step may have fewer than the others."""
    of_epochs = math.inf if trainer.max_epochs in (None, -1) else trainer.max_epochs * batches
    if trainer.max_steps == -1:
        return of_epochs
    steps = -(-batches // trainer.accumulate_grad_batches)
    epochs, rest = divmod(trainer.max_steps, max(steps, 1))
    return min(of_epochs, epochs * batches + rest * trainer.accumulate_grad_batches)
