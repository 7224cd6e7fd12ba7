"""How long a round's fit takes, by the labels that it has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lit_react.bounds import expect
from lit_react.errors import UserError

if TYPE_CHECKING:
    import lightning as L


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

    def of_trainer(self, labels: int, batches_per_step: int) -> dict[str, Any]:
        """The Trainer's options for a fit.

        Args:
            labels: labeled rows of the pool.
            batches_per_step: the Trainer's `accumulate_grad_batches`; it counts validations in batches.
        """
        interval = self.between_validations(labels)
        return {
            "max_steps": interval * self.validations,
            "max_epochs": -1,
            "check_val_every_n_epoch": None,
            "val_check_interval": interval * batches_per_step,
        }


def check_validations(trainer: L.Trainer, rows: int, batch_size: int) -> None:
    """See that the Trainer's own options lead to a validation, before anything is bought.

    Args:
        trainer: as all rounds have it.
        rows: labeled rows of the first fit, no later one has fewer.
        batch_size: of them.

    Raises:
        UserError: `val_check_interval` is more batches than an epoch has.
    """
    batches, limit = -(-rows // batch_size), trainer.limit_train_batches
    batches = min(batches, limit) if isinstance(limit, int) else int(batches * limit)
    interval = trainer.val_check_interval
    if trainer.check_val_every_n_epoch is None or trainer.limit_val_batches == 0 or isinstance(interval, float):
        return
    if interval > batches:
        raise UserError(
            f"trainer.val_check_interval: {interval} is too large, expected at most {batches}, the batches of an epoch "
            f"of the first fit ({rows} rows, data.batch_size {batch_size}), or trainer.check_val_every_n_epoch null, "
            "which counts the batches of all epochs"
        )
