"""`rounds.refit`: the validation labels are learned too, once validation has done its work."""

import json
import sys
import time
from pathlib import Path

import datasets
import numpy as np
import pandas as pd
import pytest
from processes import ended, start
from tiny import command

from lit_react.cli import main
from lit_react.core.errors import UserError
from lit_react.core.logistic_regression import LinearClassifier
from lit_react.run.active_learning import ActiveLearning
from lit_react.tasks import sentence_classification
from lit_react.tasks.starting_classifier import Known

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
    while not (tmp_path / "run" / "round_00" / "query.jsonl").exists() and process.is_alive():
        time.sleep(0.01)
    process.kill()
    process.join()
    assert ended(start(words)) == 0
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


def test_generated_labels_are_learned_in_the_refit_too(tmp_path, news_csv, tiny_bert) -> None:
    parts = ("--augmentation.labels", "SelfTraining", "--augmentation.trust.mode", "always", *REFIT)
    main(command(news_csv, tiny_bert, tmp_path / "run", *parts, "--rounds.budget", "34"))
    assert [entry["augmentation"]["trust"] for entry in rounds(tmp_path / "run")] == [1, 1]
    assert all(entry["augmentation"]["generated_in_refit"] > 0 for entry in rounds(tmp_path / "run"))


def test_a_refit_shows_no_bars_of_its_own(tmp_path: Path, news_csv, tiny_bert, capfd, monkeypatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)  # in a file there are none at all
    datasets.enable_progress_bars()
    quick = (
        "--rounds.refit=true",
        "--rounds.budget=34",
        "--model.max_length=17",
        "--trainer.enable_progress_bar=false",
    )
    for name, shown in (("cold", True), ("encoded before", False)):
        main(command(news_csv, tiny_bert, tmp_path / name, *quick))
        assert ("Tokenising" in capfd.readouterr().err) == shown


def test_validation_labels_are_learned_wherever_there_are_any(tmp_path: Path, news_csv: Path, tiny_bert: str) -> None:
    options = ("--rounds.refit=null", "--rounds.budget=34", "--model.max_length=18")
    cases = {
        "cold": ((), True),
        "warm": (("--rounds.start=warm",), False),
        "plateau": (("--model.lr_scheduler=plateau",), False),
    }
    for name, (more, refitted) in cases.items():
        main(command(news_csv, tiny_bert, tmp_path / name, *options, *more))
        assert all(("refit_steps" in entry) == refitted for entry in rounds(tmp_path / name)), name


def test_a_refit_begins_at_the_names_and_the_pool_as_the_fit_did(monkeypatch, tmp_path, news_csv, tiny_bert) -> None:
    known: list[Known] = []
    make = sentence_classification.classifier_from_names

    def note(of_a_fit: Known, seed: int) -> tuple[LinearClassifier, str]:
        known.append(of_a_fit)
        return make(of_a_fit, seed)

    monkeypatch.setattr(sentence_classification, "classifier_from_names", note)
    options = ("--model", "SentenceClassification", "--rounds.budget=28", *REFIT)
    main(command(news_csv, tiny_bert, tmp_path / "run", *options))
    fit, refit = known
    assert (len(fit.labeled), len(refit.labeled)) == (8, 28)
    np.testing.assert_array_equal(refit.labeled[:8], fit.labeled)
    np.testing.assert_array_equal(refit.unlabeled, fit.unlabeled)
    assert len(fit.unlabeled) == 160 - 20 - 30 - 8


def test_a_warm_start_is_refused_for_it_would_be_validated_on_what_it_learned() -> None:
    with pytest.raises(UserError, match="warm start"):
        ActiveLearning(start="warm", refit=True)


def test_a_model_is_not_validated_on_labels_that_it_has_learned(runs: tuple[Path, Path], news_csv, tiny_bert, capsys):
    words = command(news_csv, tiny_bert, runs[1])[1:]
    for options in ((), REFIT, ("--model.pretrained", str(runs[1] / "model"))):
        with pytest.raises(SystemExit) as stopped:
            main(["validate", *words, *options])
        assert stopped.value.code == 2
        assert "it has learned the labels" in capsys.readouterr().err


def test_a_schedule_that_goes_by_validations_is_refused(tmp_path: Path, news_csv: Path, tiny_bert: str, capsys) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(command(news_csv, tiny_bert, tmp_path / "run", *REFIT, "--model.lr_scheduler", "plateau"))
    assert stopped.value.code == 2
    assert "plateau" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_validation_rows_may_come_from_a_file_of_another_kind_with_other_columns(tmp_path, news_csv, tiny_bert) -> None:
    table = pd.read_csv(news_csv)
    (tmp_path / "data").mkdir()
    table[60:].assign(id=range(len(table) - 60), old=1).to_csv(tmp_path / "data" / "train.csv", index=False)
    table[:30].assign(id="a").to_parquet(tmp_path / "validation.parquet")
    table[30:60].to_csv(tmp_path / "data" / "test.csv", index=False)
    options = ("--data.validation", str(tmp_path / "validation.parquet"), "--rounds.stopping.max_rounds", "1")
    main(command(tmp_path / "data", tiny_bert, tmp_path / "run", *options, *REFIT))
    assert rounds(tmp_path / "run")[0]["refit_steps"] > 0


def test_callbacks_of_the_user_watch_the_first_fit_only(tmp_path: Path, news_csv: Path, tiny_bert: str) -> None:
    own = ("--trainer.callbacks", "LearningRateMonitor", "--trainer.logger", "true")
    main(command(news_csv, tiny_bert, tmp_path / "run", *own, *REFIT, "--rounds.stopping.max_rounds", "1"))
    assert rounds(tmp_path / "run")[0]["refit_steps"] > 0


@pytest.mark.parametrize("parts", [(), ("--augmentation.texts", "WordDropout")])
def test_a_linear_head_on_frozen_embeddings_sees_all_labels_in_one_batch(parts, tmp_path, news_csv, tiny_bert) -> None:
    probe = ("--model", "LinearProbe", "--model.pretrained", tiny_bert, "--model.max_length", "16")
    once = ("--trainer.max_epochs", "1", "--rounds.stopping.max_rounds", "1", "--data.batch_size")
    found = []
    for size in ("8", "1000"):
        main(command(news_csv, tiny_bert, tmp_path / size, *probe, *REFIT, *parts, *once, size))
        found.append(rounds(tmp_path / size)[0]["metrics"]["test/loss"])
    assert found[0] == pytest.approx(found[1])
