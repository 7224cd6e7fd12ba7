"""Loggers beside a run: they get its numbers, and none of them can stop it."""

import logging
from fnmatch import fnmatch

import pandas as pd
from run_folders import rounds
from tiny import command

from lit_react.cli import main
from lit_react.core.wandb_logger import BY_ROUND


def test_loggers_of_the_trainer_get_the_rounds(tmp_path, news_csv, tiny_bert) -> None:
    options = command(news_csv, tiny_bert, tmp_path / "run", "--trainer.logger", "CSVLogger")
    main([*options, "--trainer.logger.save_dir", str(tmp_path / "csv")])
    frame = pd.concat(pd.read_csv(path) for path in (tmp_path / "csv").rglob("metrics.csv"))
    assert set(frame["pool/labeled"].dropna()) == {8, 14, 20, 26}
    assert {"acquisition/reward", "acquisition/q_mean", "train/loss", "val/accuracy", "round"} <= set(frame.columns)


def test_all_numbers_of_a_round_are_drawn_over_rounds(tmp_path, news_csv, tiny_bert) -> None:
    stretched = ("--augmentation.labels", "SelfTraining", "--augmentation.features", "GanBert")
    options = command(news_csv, tiny_bert, tmp_path / "run", "--trainer.logger", "CSVLogger", *stretched)
    main([*options, "--trainer.logger.save_dir", str(tmp_path / "csv")])
    frame = pd.concat(pd.read_csv(path) for path in (tmp_path / "csv").rglob("metrics.csv"))
    of_rounds = frame.dropna(subset="pool/labeled").dropna(axis=1, how="all").columns
    assert {"augmentation/trust", "augmentation/d_fake", "augmentation/generated_accuracy_all"} <= set(of_rounds)
    others = {key for key in of_rounds if not any(fnmatch(key, pattern) for pattern in BY_ROUND)}
    assert others == {"round", "step"}, "the axis itself"


def test_the_trainers_default_logger_writes_into_the_runs_folder_and_keeps_what_it_wrote(
    tmp_path, news_csv, tiny_bert
) -> None:
    for _ in ("run", "say that it is finished"):
        main(command(news_csv, tiny_bert, tmp_path / "run", "--trainer.logger", "true"))
    logged = pd.read_csv(tmp_path / "run" / "logs" / "version_0" / "metrics.csv")
    assert set(logged["pool/labeled"].dropna()) == {8, 14, 20, 26}


def test_wandb_offline_keeps_the_run_in_its_folder(tmp_path, news_csv, tiny_bert) -> None:
    options = command(news_csv, tiny_bert, tmp_path / "run", "--rounds.stopping.max_rounds", "2")
    options[options.index("disabled")] = "offline"
    main(options)
    assert list((tmp_path / "run" / "wandb").glob("offline-run-*/*.wandb"))


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
    from lightning.pytorch.loggers import CSVLogger

    def full(*_: object, **__: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(CSVLogger, "log_hyperparams", full)
    options = command(news_csv, tiny_bert, tmp_path / "run", "--trainer.logger", "CSVLogger")
    with caplog.at_level(logging.WARNING, logger="lit_react"):
        main([*options, "--trainer.logger.save_dir", str(tmp_path), "--rounds.stopping.max_rounds", "1"])
    assert "No space left on device" in caplog.text
    assert len(rounds(tmp_path / "run")) == 1
