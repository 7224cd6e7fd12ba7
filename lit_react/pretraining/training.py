"""The Trainer of a pretraining: it measures, trains and measures again, and goes on from its checkpoint."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import lightning as L
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import Checkpoint, RichProgressBar
from lightning.pytorch.loggers import Logger
from lightning.pytorch.strategies import DDPStrategy
from torch.utils.data import DataLoader, Sampler

from lit_react.core.errors import UserError
from lit_react.core.files import put_in_place
from lit_react.core.precision import fast_precision
from lit_react.core.processes import as_joined, files_of_first, from_first
from lit_react.pretraining.examples import Examples
from lit_react.pretraining.module import Pretraining
from lit_react.pretraining.options import Training


def checkpoint(folder: Path) -> Path:
    """The file from which a pretraining goes on."""
    return folder / "checkpoint.ckpt"


class Stretches(Sampler[int]):
    """The numbers of all steps, a stretch of them per Lightning "epoch": it ends with a validation and a checkpoint.

    Each stretch begins at the step that the training has come to, which Lightning's count of epochs does not tell after
    a resume; `done` does. The last one may be shorter than `length`.
    """

    def __init__(self, steps: int, length: int, done: Callable[[], int]) -> None:
        self.steps, self.length, self.done = steps, length, done

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.done(), self.done() + len(self)))

    def __len__(self) -> int:
        return min(self.length, self.steps - self.done())


class SaveLast(Checkpoint):
    """Keeps the state after the last whole stretch in one file, which is whole at any moment.

    Lightning's own ModelCheckpoint brings its file from the folder for temporary files: where that is another file
    system, a kill may leave a part of it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write it beside, then put it in place; the first process of all does."""
        partial = self.path.with_name(f".{self.path.name}.partial")
        trainer.save_checkpoint(partial)
        if trainer.is_global_zero:
            put_in_place(partial, self.path)


def run(trainer: L.Trainer, folder: Path, module: Pretraining, train: Examples, held_out: Examples) -> None:
    """Measure, train on batches by step, measure; or go on from the checkpoint of the first process.

    Each measuring is one pass over `held_out`, with the same masks and pairs. A KeyboardInterrupt, which Lightning
    keeps to itself, is raised.
    """
    options, goes_on = module.training_options, from_first(checkpoint(folder).exists)
    stretches = Stretches(options.steps, options.stretch, lambda: trainer.global_step)
    steps = DataLoader(train, batch_size=None, sampler=stretches)
    measured = DataLoader(held_out, batch_size=None, sampler=range(held_out.batches_per_epoch))
    if not goes_on:
        trainer.validate(module, measured, verbose=False)
    with files_of_first(folder, checkpoint(folder).name) as place:
        trainer.fit(module, steps, measured, ckpt_path=checkpoint(place) if goes_on else None, weights_only=True)
    if trainer.global_step < options.steps:
        raise KeyboardInterrupt
    if module.validations[-1]["step"] < trainer.global_step:
        trainer.validate(module, measured, verbose=False)


def new_trainer(folder: Path, training: Training, logger: Logger | None = None) -> L.Trainer:
    """A Trainer of this process's group, or of what a launcher has started (see `as_joined`).

    Raises:
        UserError: the machine has not the accelerator or the precision, or a batch has no row for some process.
    """
    processes, bar = as_joined(), sys.stderr.isatty()
    if training.batch_size < (every := processes["devices"] * processes["num_nodes"]):
        raise UserError(
            f"training.batch_size: {training.batch_size}, but {every} processes share the rows of a batch, expected "
            f"{every} or more"
        )
    try:
        return L.Trainer(
            **processes,
            strategy="auto" if every == 1 else DDPStrategy(static_graph=True),  # a head may have no part
            max_steps=training.steps,
            max_epochs=-1,
            precision=training.precision or fast_precision(training.accelerator),  # type: ignore[arg-type]
            gradient_clip_val=1.0,
            accelerator=training.accelerator,
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
