"""Runs that buy no label to measure by, and runs that begin at the names of the classes."""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from run_folders import bought, purchases, rounds
from tiny import ACCELERATOR, as_words

from lit_react import ActiveLearning, PoolDataModule, SentenceClassification
from lit_react.cli import main

NAMES = ["business", "entertainment", "politics", "sports"]


def words(news_csv: Path, encoder: str, folder: Path, *options: str, **others: object) -> list[str]:
    """Arguments of a fit of seconds by names alone, and 3 purchases of 6; nothing is said of validation."""
    settings = {
        "rounds.folder": folder,
        "rounds.budget": 18,
        "data.source": news_csv,
        "data.test_size": 30,
        "acquisition.query_size": 6,
        "model": "SentenceClassification",
        "model.pretrained": encoder,
        "model.max_length": 16,
        "trainer.max_steps": 4,
        "trainer.accelerator": ACCELERATOR,
        "trainer.precision": "32-true",
        "wandb.mode": "disabled",
    }
    return ["fit", *as_words(settings | others), *options]


FROM_LABELS = ["--model", "TextClassification", "--data.initial_size", "6"]
FROZEN = ["--model", "LinearProbe", "--data.initial_size", "6", "--trainer.max_steps=-1", "--trainer.max_epochs=1"]
STARTS = {"names": [], "labels": FROM_LABELS, "frozen": FROZEN}


@pytest.fixture(scope="module")
def of_names(tmp_path_factory, news_csv, tiny_bert) -> Path:
    """Folder of a finished run from names; read, and not gone on with."""
    folder = tmp_path_factory.mktemp("of_names") / "run"
    main(words(news_csv, tiny_bert, folder))
    return folder


# ---- V(s)


@pytest.mark.parametrize("start", STARTS)
def test_every_label_is_paid_and_learned_and_none_is_bought_to_measure(start, tmp_path, news_csv, tiny_bert) -> None:
    main(words(news_csv, tiny_bert, tmp_path / "run", *STARTS[start]))
    entries, history = purchases(tmp_path / "run"), rounds(tmp_path / "run")
    assert {entry["split"] for entry in entries} == {"pool"}
    assert [e["labeled"] for e in history] == [e["cost"] for e in history]
    assert history[-1]["cost"] == sum(entry["cost"] for entry in entries) == len(entries) == 18
    assert {e["validation"] for e in history} == {0}
    assert history[0]["labeled"] == (0 if start == "names" else 6)
    for entry in history:
        measured = {name for name in entry["metrics"] if name.startswith("val/")}
        assert measured == {"val/estimate", "val/standard_error"}
        assert 0 <= entry["metrics"]["val/estimate"] <= 1
        assert 0 < entry["metrics"]["val/standard_error"] <= 0.5
        assert "test/accuracy" in entry["metrics"]
    for before, after in pairwise(history):
        gain = after["metrics"]["val/estimate"] - before["metrics"]["val/estimate"]
        assert after["reward"] == pytest.approx(gain - 1e-4 * 6)


def test_the_estimate_is_shown_with_its_error(tmp_path, news_csv, tiny_bert, capsys) -> None:
    main(words(news_csv, tiny_bert, tmp_path / "run"))
    printed = capsys.readouterr().out
    estimates = [entry["metrics"] for entry in rounds(tmp_path / "run")]
    for metrics in estimates:
        assert f"val/estimate {100 * metrics['val/estimate']:.1f}" in printed
        shown = f"{100 * metrics['val/estimate']:.1f} ± {100 * metrics['val/standard_error']:.0f}"
        assert shown in printed
    assert "pool, 0 for validation" not in printed


def test_a_run_whose_rows_are_all_bought_ends(tmp_path, news_csv, tiny_bert) -> None:
    small = {"data.pool_size": 10, "rounds.budget": 100}
    main(words(news_csv, tiny_bert, tmp_path / "run", **small))
    assert json.loads((tmp_path / "run" / "result.json").read_text())["stopped"] == "every row of the pool is labeled"
    assert [entry["labeled"] for entry in rounds(tmp_path / "run")] == [0, 6, 10]


@pytest.mark.parametrize(("option", "value", "reason"), [("target", "0.01", "target"), ("plateau_rounds", "1", "rise")])
def test_stopping_rules_read_the_estimate(option, value, reason, tmp_path, news_csv, tiny_bert) -> None:
    delta = ["--rounds.stopping.plateau_delta=1"] if option == "plateau_rounds" else []
    main(words(news_csv, tiny_bert, tmp_path / "run", f"--rounds.stopping.{option}={value}", *delta))
    assert reason in json.loads((tmp_path / "run" / "result.json").read_text())["stopped"]
    assert rounds(tmp_path / "run")[-1]["cost"] < 18


@pytest.mark.parametrize("refit", ["false", "true"])
@pytest.mark.parametrize(
    "length", [["--trainer.val_check_interval=2"], ["--trainer.max_steps=-1", "--trainer.max_epochs=2"]]
)
def test_a_validation_split_of_ones_own_is_used_whole(length, refit, tmp_path, news_csv, tiny_bert) -> None:
    frame = pd.read_csv(news_csv)
    frame[:12].to_csv(tmp_path / "mine.csv", index=False)
    options = {"data.validation": tmp_path / "mine.csv", "rounds.budget": 24, "rounds.refit": refit}
    if "--trainer.max_steps=-1" not in length:
        length = [*length, "--trainer.check_val_every_n_epoch=null"]
    main(words(news_csv, tiny_bert, tmp_path / "run", *length, **options))
    history = rounds(tmp_path / "run")
    assert [(entry["validation"], entry["labeled"]) for entry in history] == [(12, 0), (12, 6), (12, 12)]
    assert all("val/accuracy" in entry["metrics"] for entry in history)
    assert all("val/estimate" not in entry["metrics"] for entry in history)
    assert history[0]["steps"] == 1


# ---- going on


def same_runs(one: Path, other: Path) -> None:
    assert bought(one) == bought(other)
    told = [[{**entry, "seconds": None} for entry in rounds(folder)] for folder in (one, other)]
    assert told[0] == told[1]


@pytest.mark.parametrize("round", [0, 1, 2])
def test_a_run_that_was_killed_in_a_fit_goes_on_as_an_unbroken_one(
    round, of_names, tmp_path, news_csv, tiny_bert, monkeypatch
) -> None:
    import lit_react.run.active_learning as module

    fit, seen = module.fit_and_test, []

    def crash(*arguments, **options):
        seen.append(1)
        if len(seen) == round + 1:
            raise KeyboardInterrupt
        return fit(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(module, "fit_and_test", crash)
        with pytest.raises(KeyboardInterrupt):
            main(words(news_csv, tiny_bert, tmp_path / "run"))
    main(words(news_csv, tiny_bert, tmp_path / "run"))
    same_runs(tmp_path / "run", of_names)


@pytest.mark.parametrize("budgets", [("0",), ("6", "12"), ("8",)])
def test_a_raised_budget_goes_on_as_if_it_had_been_there(budgets, of_names, tmp_path, news_csv, tiny_bert) -> None:
    """8 pay one purchase and a third of the next, which such a run then has."""
    for budget in budgets:
        main(words(news_csv, tiny_bert, tmp_path / "run", **{"rounds.budget": budget}))
    if budgets == ("8",):
        assert [entry["labeled"] for entry in rounds(tmp_path / "run")] == [0, 6, 8]
        return
    main(words(news_csv, tiny_bert, tmp_path / "run"))
    assert bought(tmp_path / "run") == bought(of_names)
    for name in ("metrics", "reward"):
        assert [e[name] for e in rounds(tmp_path / "run")] == [e[name] for e in rounds(of_names)]


# ---- no label at all


def test_without_a_label_there_is_a_model_that_predicts(tmp_path, news_csv, tiny_bert) -> None:
    run = words(news_csv, tiny_bert, tmp_path / "run", **{"rounds.budget": 0})
    for _ in range(2):  # a finished run may be asked for again
        main(run)
    [entry] = rounds(tmp_path / "run")
    assert (entry["labeled"], entry["cost"], entry["steps"]) == (0, 0, 1)
    assert not bought(tmp_path / "run")
    (tmp_path / "new.csv").write_text("text\nShares fell on Monday.\nThe match ended in a draw.\n")
    path = tmp_path / "predictions.jsonl"
    main(["predict", *run[1:], "--data.predict", str(tmp_path / "new.csv"), "--predictions.path", str(path)])
    answers = [json.loads(line) for line in path.read_text().splitlines()]
    assert len(answers) == 2
    for answer in answers:
        assert list(answer["probabilities"]) == NAMES
        assert sum(answer["probabilities"].values()) == pytest.approx(1, abs=1e-4)
        assert answer["label"] == max(answer["probabilities"], key=answer["probabilities"].get)
    assert answers[0]["probabilities"] != answers[1]["probabilities"]


def test_the_first_model_is_the_classifier_of_the_names(tmp_path, news_csv, tiny_bert_without_dropout) -> None:
    """Its one step changes nothing: there is no label to learn."""
    data = PoolDataModule(news_csv, test_size=30)
    model = SentenceClassification(tiny_bert_without_dropout, max_length=16)
    options = {"trainer": {"accelerator": ACCELERATOR, "precision": "32-true"}, "budget": 0}
    result = ActiveLearning(data, model, folder=tmp_path / "run", **options).fit()
    from lit_react.tasks.starting_classifier import Known, classifier_from_names

    data.connect(model.task)
    fixed = data.fixed
    nothing = np.zeros(0, dtype=np.int64)
    known = Known(fixed.embeddings[nothing], nothing, fixed.embeddings, fixed.name_embeddings, 4)
    expected = classifier_from_names(known, 0)[0].probabilities(fixed.embeddings)
    found = result.predict(fixed.splits.pool["text"][:])
    shares = np.array([list(answer["probabilities"].values()) for answer in found])
    np.testing.assert_allclose(shares, expected, atol=2e-2)
    assert (shares.argmax(axis=1) == expected.argmax(axis=1)).mean() > 0.95


@pytest.mark.parametrize(
    "options",
    [
        ["--model.class_weights", "balanced"],
        ["--rounds.start", "warm"],
        ["--rounds.refit", "true"],
        ["--augmentation.labels", "SelfTraining"],
        ["--model.contrastive", "0"],
        ["--augmentation.texts", "WordDropout"],
        ["--model.optimizer", "torch.optim.SGD", "--model.optimizer.lr", "0.1"],
        ["--model.lr_scheduler", "cosine", "--model.warmup", "0"],
        ["--acquisition.proposals.strategies", "[margin]"],
        ["--acquisition.proposals.strategies", "[badge]"],
        ["--acquisition.proposals", "Samples"],
        ["--trainer.max_steps=-1", "--trainer.max_epochs=2"],
        ["--data.cost", "TokenCost", "--data.cost.price", "0.0625"],
    ],
    ids=lambda options: " ".join(options),
)
def test_other_parts_work_beside_a_start_without_labels(options, tmp_path, news_csv, tiny_bert) -> None:
    main(words(news_csv, tiny_bert, tmp_path / "run", *options, **{"rounds.budget": 6}))
    assert [entry["labeled"] for entry in rounds(tmp_path / "run")][:2] == [0, 6]


@pytest.mark.parametrize("initial", ["random", "stratified", "representative"])
def test_where_names_are_the_start_no_first_labels_are_chosen(initial, tmp_path, news_csv, tiny_bert) -> None:
    for folder, size, labeled in (("none", "null", 0), ("zero", "0", 0), ("four", "4", 4)):
        first = {"data.initial": initial, "data.initial_size": size, "rounds.budget": 4}
        main(words(news_csv, tiny_bert, tmp_path / folder, **first))
        assert rounds(tmp_path / folder)[0]["labeled"] == labeled


def test_people_are_first_asked_for_what_the_model_of_the_names_wants(tmp_path, news_csv, tiny_bert, capsys) -> None:
    frame = pd.read_csv(news_csv)
    answers = dict(zip(frame["text"], frame["label"], strict=True))
    frame[["text"]].to_csv(tmp_path / "unlabeled.csv", index=False)
    run = words(tmp_path / "unlabeled.csv", tiny_bert, tmp_path / "run", **{"data.test_size": 0, "rounds.budget": 12})
    run += ["--rounds.oracle", "file", "--data.label_names", f"[{', '.join(NAMES)}]"]
    for round in (1, 2):
        main(run)
        assert "0 of 6 labels are there" in capsys.readouterr().out
        assert [entry["labeled"] for entry in rounds(tmp_path / "run")] == [0, 6][:round]
        asked = tmp_path / "run" / f"round_{round:02d}" / "to_label.jsonl"
        records = [json.loads(line) for line in asked.read_text().splitlines()]
        lines = [json.dumps({"id": record["id"], "label": answers[record["text"]]}) for record in records]
        asked.with_name("labels.jsonl").write_text("\n".join(lines))
    main(run)
    assert [entry["labeled"] for entry in rounds(tmp_path / "run")] == [0, 6, 12]
    assert {entry["annotator"] for entry in purchases(tmp_path / "run")} == {"people"}


def test_a_model_that_reads_no_names_says_that_descriptions_are_not_read(tmp_path, news_csv, tiny_bert, caplog) -> None:
    described = ["--data.label_descriptions", "{sports: games}"]
    main(words(news_csv, tiny_bert, tmp_path / "run", *FROM_LABELS, *described, **{"rounds.budget": 6}))
    assert "label_descriptions: this model (--model) does not read them" in caplog.text


# ---- names


@pytest.mark.parametrize("names", [["0", "1", "2", "3"], ["LABEL_0", "LABEL_1", "LABEL_2", "LABEL_3"]])
def test_names_that_say_nothing_leave_twenty_random_first_labels(names, tmp_path, news_csv, tiny_bert) -> None:
    frame = pd.read_csv(news_csv)
    frame["label"] = frame["label"].map(dict(zip(NAMES, names, strict=True)))
    frame.to_csv(tmp_path / "numbers.csv", index=False)
    main(words(tmp_path / "numbers.csv", tiny_bert, tmp_path / "run", **{"rounds.budget": 26}))
    assert [entry["labeled"] for entry in rounds(tmp_path / "run")] == [20, 26]
    assert {policy for *_, policy in bought(tmp_path / "run")[:20]} == {"initial"}


def test_descriptions_stand_for_names_that_say_nothing_and_lists_are_averaged(news_csv, tiny_bert) -> None:
    def embeddings(descriptions: dict | None) -> np.ndarray | None:
        data = PoolDataModule(news_csv, label_descriptions=descriptions)
        data.connect(SentenceClassification(tiny_bert, max_length=16).task)
        return data.fixed.name_embeddings

    plain = embeddings(None)
    assert plain.shape == (4, 32)
    np.testing.assert_allclose(np.linalg.norm(plain, axis=1), 1, atol=1e-5)
    said = embeddings({"sports": "games and matches"})
    assert (said[:3] == plain[:3]).all()
    assert (said[3] != plain[3]).any()
    several = embeddings({"sports": ["games and matches", "the players of a team"]})
    assert (several[:3] == plain[:3]).all()
    assert (several[3] != said[3]).any()
    np.testing.assert_allclose(embeddings({"sports": ["games and matches"]}), said, atol=1e-6)
    assert np.allclose(embeddings({name: name for name in NAMES}), plain, atol=1e-6)


def test_other_names_of_the_same_classes_choose_another_first_query(of_names, tmp_path, news_csv, tiny_bert) -> None:
    (tmp_path / "names.yaml").write_text(
        "data: {label_descriptions: {sports: [shares fell, money and markets], business: a film about music}}\n"
    )
    main(words(news_csv, tiny_bert, tmp_path / "run", "--config", str(tmp_path / "names.yaml")))
    assert bought(tmp_path / "run")[:6] != bought(of_names)[:6]


# ---- how long a fit is


def test_steps_follow_from_the_labels_where_nothing_is_said(tmp_path, news_csv, tiny_bert) -> None:
    options = words(news_csv, tiny_bert, tmp_path / "run", **{"acquisition.query_size": 75, "rounds.budget": 80})
    place = options.index("--trainer.max_steps")
    del options[place : place + 2]
    main(options)
    assert [(entry["labeled"], entry["steps"]) for entry in rounds(tmp_path / "run")] == [(0, 1), (75, 70), (80, 80)]


def test_fits_of_few_labels_have_the_steps_that_the_model_wants(tmp_path, news_csv, tiny_bert) -> None:
    for model, steps in (("SentenceClassification", 50), ("LinearProbe", 1)):
        options = words(news_csv, tiny_bert, tmp_path / model, "--model", model, "--data.initial_size=6")
        place = options.index("--trainer.max_steps")
        del options[place : place + 2]
        main([*options, "--rounds.budget=6"])
        assert [entry["steps"] for entry in rounds(tmp_path / model)] == [steps], model
