"""The Trainer of a pretraining: it measures, trains and measures again, and goes on from its checkpoint."""

from __future__ import annotations

import sys
from pathlib import Path

import lightning as L
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import Checkpoint, RichProgressBar
from lightning.pytorch.loggers import Logger
from torch.utils.data import DataLoader

from lit_react.core.errors import UserError
from lit_react.core.files import put_in_place
from lit_react.pretraining.examples import Examples, Stretches
from lit_react.pretraining.module import Pretraining
from lit_react.pretraining.options import Training


def checkpoint(folder: Path) -> Path:
    """The file from which a pretraining goes on."""
    return folder / "checkpoint.ckpt"


def run(
    folder: Path,
    module: Pretraining,
    train: Examples,
    held_out: Examples,
    logger: Logger | None,
) -> None:
    """Measure, train, measure; or go on from the checkpoint.

    Args:
        folder: of the pretraining.
        module: what is trained.
        train: batches by step.
        held_out: to measure on, one pass, always with the same masks and pairs.
        logger: W&B's, if there is one.

    Raises:
        UserError: the machine has not the accelerator or the precision.
        KeyboardInterrupt: which Lightning keeps to itself.
    """
    options = module.training_options
    trainer = _trainer(folder, options, logger)
    stretches = Stretches(options.steps, options.stretch)
    steps = DataLoader(train, batch_size=None, sampler=stretches)
    measured = DataLoader(held_out, batch_size=None, sampler=range(held_out.batches_per_epoch))
    saved = checkpoint(folder)
    stretches.done = lambda: trainer.global_step
    if not saved.exists():
        trainer.validate(module, measured, verbose=False)
    trainer.fit(module, steps, measured, ckpt_path=saved if saved.exists() else None, weights_only=True)
    if trainer.global_step < options.steps:
        raise KeyboardInterrupt
    if module.validations[-1]["step"] < trainer.global_step:
        trainer.validate(module, measured, verbose=False)


class SaveLast(Checkpoint):
    """Keeps the state after the last whole stretch in one file, which is whole at any moment.

    Args:
        path: of the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write it beside, then put it in place."""
        partial = self.path.with_name(f".{self.path.name}.partial")
        trainer.save_checkpoint(partial)
        put_in_place(partial, self.path)


def _trainer(folder: Path, training: Training, logger: Logger | None) -> L.Trainer:
    bar = sys.stderr.isatty()
    try:
        return L.Trainer(
            max_steps=training.steps,
            max_epochs=-1,
            precision=training.precision,
            gradient_clip_val=1.0,
            accelerator=training.accelerator,
            devices=1,
            logger=logger or False,
            callbacks=[SaveLast(checkpoint(folder)), *([RichProgressBar(leave=False)] if bar else [])],
            default_root_dir=folder,
            log_every_n_steps=min(50, -(-training.steps // 20)),
            num_sanity_val_steps=0,
            enable_progress_bar=bar,
            enable_model_summary=False,
            use_distributed_sampler=False,
        )
    except (MisconfigurationException, ModuleNotFoundError, ValueError, RuntimeError) as error:
        raise UserError(f"training.accelerator, training.precision: {error}") from error
