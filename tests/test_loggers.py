"""Loggers beside a run: they get its numbers, and none of them can stop it."""

import logging
from typing import Any

import pandas as pd
import pytest
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger, WandbLogger
from run_folders import rounds
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tiny import command
from wandb import Table

from lit_react import AcquisitionCallback, ActiveLearning, PoolDataModule, TextClassification
from lit_react.cli import main
from lit_react.core.wandb_logger import Wandb


def test_loggers_of_the_trainer_get_the_rounds(tmp_path, news_csv, tiny_bert) -> None:
    options = command(news_csv, tiny_bert, tmp_path / "run", "--trainer.logger", "CSVLogger")
    main([*options, "--trainer.logger.save_dir", str(tmp_path / "csv")])
    frame = pd.concat(pd.read_csv(path) for path in (tmp_path / "csv").rglob("metrics.csv"))
    assert set(frame["pool/labeled"].dropna()) == {8, 14, 20, 26}
    assert {"acquisition/reward", "acquisition/q_mean", "train/loss", "val/accuracy", "round"} <= set(frame.columns)


class OpenRun:
    """A run of W&B that the user has open, and what it is told."""

    def __init__(self) -> None:
        self.sent: list[dict[str, float]] = []
        self.axes: dict[str, str | None] = {}
        self.config: dict[str, Any] = {}

    def define_metric(self, name: str, step_metric: str | None) -> None:
        self.axes[name] = step_metric

    def log(self, numbers: dict[str, float]) -> None:
        self.sent.append(numbers)


def test_each_round_is_tested_once_in_each_logger_at_its_own_round(tmp_path, news_csv, tiny_bert) -> None:
    open_run = OpenRun()
    loggers = [
        CSVLogger(tmp_path / "csv"),
        TensorBoardLogger(tmp_path / "tensorboard"),
        WandbLogger(experiment=open_run),
    ]
    run = ActiveLearning(
        PoolDataModule(str(news_csv), validation_size=20, test_size=30, initial_size=8),
        TextClassification(tiny_bert, max_length=16),
        AcquisitionCallback(query_size=6),
        budget=34,
        folder=tmp_path / "run",
        trainer={"max_epochs": 1, "accelerator": "cpu", "logger": loggers},
        wandb=Wandb(texts=False),
    )
    run.fit()
    tested = list(enumerate(run.result.rounds["test/accuracy"]))
    frame = pd.concat(pd.read_csv(path) for path in (tmp_path / "csv").rglob("metrics.csv"))
    drawn = EventAccumulator(str(next((tmp_path / "tensorboard").rglob("events*")).parent)).Reload()
    sent = [entry for entry in open_run.sent if "test/accuracy" in entry]
    for points in (
        [(point.step, point.value) for point in drawn.Scalars("test/accuracy")],
        list(frame.dropna(subset="test/accuracy")[["round", "test/accuracy"]].itertuples(index=False, name=None)),
        [(entry["round"], entry["test/accuracy"]) for entry in sent],
    ):
        assert points == [(round, pytest.approx(value)) for round, value in tested]
    tables = [table for entry in open_run.sent for table in entry.values() if isinstance(table, Table)]
    assert len(tables) == 2
    assert not {"text", "label"} & {column for table in tables for column in table.columns}, "no text leaves"
    assert set(open_run.axes) == set(sent[-1]) | set(sent[0])
    assert {name for name, axis in open_run.axes.items() if axis != "round"} == {"round"}


def test_the_trainers_default_logger_writes_into_the_runs_folder_and_keeps_what_it_wrote(
    tmp_path, news_csv, tiny_bert
) -> None:
    for _ in ("run", "say that it is finished"):
        main(command(news_csv, tiny_bert, tmp_path / "run", "--trainer.logger", "true"))
    logged = pd.read_csv(tmp_path / "run" / "logs" / "version_0" / "metrics.csv")
    assert set(logged["pool/labeled"].dropna()) == {8, 14, 20, 26}


def test_wandb_offline_keeps_the_run_in_its_folder(tmp_path, news_csv, tiny_bert, monkeypatch) -> None:
    monkeypatch.setenv("WANDB_RUN_ID", "trial7")  # as the agent of a sweep does
    options = command(news_csv, tiny_bert, tmp_path / "run", "--rounds.stopping.max_rounds", "2")
    options[options.index("disabled")] = "offline"
    main(options)
    assert list((tmp_path / "run" / "wandb").glob("offline-run-*/run-trial7.wandb"))


def test_wandb_out_of_reach_costs_a_line_and_not_the_run(tmp_path, news_csv, tiny_bert, monkeypatch, caplog) -> None:
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "no-netrc"))
    options = command(news_csv, tiny_bert, tmp_path / "run", "--rounds.stopping.max_rounds", "1")
    options[options.index("disabled")] = "online"
    with caplog.at_level(logging.WARNING, logger="lit_react"):
        main(options)
    assert "kept offline" in caplog.text
    assert len(rounds(tmp_path / "run")) == 1


def test_a_tracker_that_fails_is_skipped_and_said(tmp_path, news_csv, tiny_bert, monkeypatch, caplog) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(CSVLogger, "log_hyperparams", full)
    options = command(news_csv, tiny_bert, tmp_path / "run", "--trainer.logger", "CSVLogger")
    with caplog.at_level(logging.WARNING, logger="lit_react"):
        main([*options, "--trainer.logger.save_dir", str(tmp_path), "--rounds.stopping.max_rounds", "1"])
    assert "No space left on device" in caplog.text
    assert len(rounds(tmp_path / "run")) == 1
