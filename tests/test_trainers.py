"""The Trainers of a run: what they show."""

from pathlib import Path
from typing import Any

import lightning as L
import pytest
from lightning.pytorch.callbacks import ProgressBar
from lightning.pytorch.loggers import CSVLogger
from tiny import QUIET, command

from lit_react import AcquisitionCallback, ActiveLearning, PoolDataModule, TextClassification
from lit_react.cli import main
from lit_react.core.wandb_logger import Wandb
from lit_react.run.trainers import new_trainer


@pytest.mark.parametrize(("max_epochs", "told"), [(-1, "Epoch 6"), (10, "Epoch 6/9")])
def test_the_progress_bar_names_a_last_epoch_only_where_there_is_one(max_epochs, told, tmp_path) -> None:
    options = QUIET | {"max_epochs": max_epochs, "max_steps": 100, "enable_progress_bar": True, "callbacks": None}
    trainer = new_trainer(options, logger=[CSVLogger(tmp_path)])
    [bar] = [callback for callback in trainer.callbacks if isinstance(callback, ProgressBar)]
    bar.setup(trainer, L.LightningModule(), "fit")
    assert bar._get_train_description(6).rstrip() == told
    assert "v_num" not in bar.get_metrics(trainer, L.LightningModule())


def test_what_lightning_has_a_user_may_add_without_setting_what_goes_with_it(
    tmp_path: Path, news_csv, tiny_bert, caplog, capsys
) -> None:
    """A bar that is not for a terminal, checkpoints of a fit without validation, a profile of each fit."""
    options = command(news_csv, tiny_bert, tmp_path / "run", "--rounds.stopping.max_rounds", "1")
    options += ["--data.validation_size", "0", "--trainer.profiler", "simple"]
    main([*options, "--trainer.callbacks", "RichProgressBar", "--trainer.callbacks+=ModelCheckpoint"])
    assert "FIT Profiler Report" in caplog.text
    assert "Epoch 1/1" in capsys.readouterr().out
    assert list((tmp_path / "run" / "round_00" / "checkpoints").glob("*.ckpt")), "where the round lies"


def test_a_callback_starts_anew_each_round_unless_it_is_its_own_copy(tmp_path, news_csv, tiny_bert) -> None:
    page = Path("docs/lightning_and_wandb.md").read_text()
    defined: dict[str, Any] = {"L": L}
    exec(page.partition("```python\n")[2].partition("```")[0], defined)
    kept = defined["Count"]()
    anew = type("Anew", (defined["Count"],), {"__deepcopy__": None})()
    ActiveLearning(
        PoolDataModule(str(news_csv), initial_size=8),
        TextClassification(tiny_bert, max_length=16),
        AcquisitionCallback(query_size=6),
        budget=14,
        folder=tmp_path / "run",
        trainer=QUIET | {"max_epochs": 1, "callbacks": [kept, anew]},
        wandb=Wandb(mode="disabled"),
    ).fit()
    assert (kept.fits, anew.fits) == (2, 0)
