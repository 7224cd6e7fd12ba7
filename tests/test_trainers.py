"""The Trainers of a run: what they show."""

import lightning as L
import pytest
from lightning.pytorch.callbacks import ProgressBar
from lightning.pytorch.loggers import CSVLogger
from tiny import QUIET

from lit_react.run.trainers import new_trainer


@pytest.mark.parametrize(("max_epochs", "told"), [(-1, "Epoch 6"), (10, "Epoch 6/9")])
def test_the_progress_bar_names_a_last_epoch_only_where_there_is_one(max_epochs, told, tmp_path) -> None:
    options = QUIET | {"max_epochs": max_epochs, "max_steps": 100, "enable_progress_bar": True, "callbacks": None}
    trainer = new_trainer(options, logger=[CSVLogger(tmp_path)])
    [bar] = [callback for callback in trainer.callbacks if isinstance(callback, ProgressBar)]
    bar.setup(trainer, L.LightningModule(), "fit")
    assert bar._get_train_description(6).rstrip() == told
    assert "v_num" not in bar.get_metrics(trainer, L.LightningModule())
