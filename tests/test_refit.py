"""`rounds.refit`: the validation labels are learned too, once validation has done its work."""

import json
import time
from pathlib import Path

import pandas as pd
import pytest
from test_kill import start
from tiny import command

from lit_react.cli import main
from lit_react.errors import UserError
from lit_react.rounds import Rounds

REFIT = ("--rounds.refit", "true")


def rounds(folder: Path) -> list[dict]:
    return json.loads((folder / "result.json").read_text())["rounds"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, news_csv: Path, tiny_bert: str) -> tuple[Path, Path]:
    """The same run without and with a refit."""
    folder = tmp_path_factory.mktemp("refit")
    main(command(news_csv, tiny_bert, folder / "without"))
    main(command(news_csv, tiny_bert, folder / "with", *REFIT))
    return folder / "without", folder / "with"


def test_rewards_validation_metrics_and_queries_are_those_of_a_run_without_refit(runs: tuple[Path, Path]) -> None:
    without, refitted = runs
    for before, after in zip(rounds(without), rounds(refitted), strict=True):
        assert before["reward"] == after["reward"]
        assert before["metrics"]["val/loss"] == after["metrics"]["val/loss"]
        assert before["metrics"]["test/loss"] != after["metrics"]["test/loss"]
    for round in range(3):
        path = f"round_{round:02d}/query.jsonl"
        assert (without / path).read_bytes() == (refitted / path).read_bytes()


def test_a_run_that_was_killed_goes_on_to_the_same_end(runs: tuple[Path, Path], tmp_path, news_csv, tiny_bert) -> None:
    words = command(news_csv, tiny_bert, tmp_path / "run", *REFIT)
    process = start(words)
    while not (tmp_path / "run" / "round_00" / "query.jsonl").exists() and process.poll() is None:
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert start(words).wait() == 0
    assert [e["metrics"] for e in rounds(tmp_path / "run")] == [e["metrics"] for e in rounds(runs[1])]


def test_the_kept_model_knows_a_class_that_only_validation_rows_have(tmp_path: Path, news_csv: Path, tiny_bert) -> None:
    """The pool has one class; a model that learned from it alone never names the other."""
    table = pd.read_csv(news_csv)
    first, second = table["label"].unique()[:2]
    folder = tmp_path / "data"
    folder.mkdir()
    table[table.label == first].to_csv(folder / "train.csv", index=False)
    table[table.label == second].to_csv(folder / "validation.csv", index=False)
    table[table.label == second].to_csv(folder / "test.csv", index=False)
    options = ("--data.label_names", f"[{first},{second}]", "--trainer.max_epochs", "8", "--rounds.budget", "28")
    options += ("--model.optimizer", "torch.optim.AdamW", "--model.optimizer.lr", "0.01")
    accuracies = {}
    for name, more in (("without", ()), ("with", REFIT)):
        main(command(folder, tiny_bert, tmp_path / name, *options, *more))
        accuracies[name] = rounds(tmp_path / name)[-1]["metrics"]["test/accuracy"]
    assert accuracies["without"] < 0.2 < 0.8 < accuracies["with"]


def test_generated_labels_are_learned_in_the_refit_too(tmp_path: Path, news_csv: Path, tiny_bert: str) -> None:
    parts = ("--augmentation.labels", "SelfTraining", "--augmentation.trust.mode", "always", *REFIT)
    main(command(news_csv, tiny_bert, tmp_path / "run", *parts, "--rounds.budget", "34"))
    assert [entry["augmentation"]["trust"] for entry in rounds(tmp_path / "run")] == [1, 1]
    assert all(entry["seconds"]["refit"] > 0 for entry in rounds(tmp_path / "run"))


def test_a_warm_start_is_refused_for_it_would_be_validated_on_what_it_learned() -> None:
    with pytest.raises(UserError, match="warm start"):
        Rounds(start="warm", refit=True)


def test_validate_is_refused_after_a_refit(runs: tuple[Path, Path], news_csv, tiny_bert, capsys) -> None:
    words = command(news_csv, tiny_bert, runs[1], *REFIT)
    with pytest.raises(SystemExit) as stopped:
        main(["validate", *words[1:]])
    assert stopped.value.code == 2
    assert "has learned the validation labels" in capsys.readouterr().err
