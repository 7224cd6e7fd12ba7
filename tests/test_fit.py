"""The main path, from the command line to the files, with a 2-layer BERT."""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.csv as pa_csv
import pytest
from run_folders import bought, purchases, rounds
from tiny import command, random_policy

from lit_react.cli import main
from lit_react.run.best_round import best_round


def test_a_run_spends_its_budget_and_leaves_results_model_and_picture(finished: Path) -> None:
    assert [entry["labeled"] for entry in rounds(finished)] == [8, 14, 20, 26]
    assert [entry["cost"] for entry in rounds(finished)] == [28, 34, 40, 46]
    assert json.loads((finished / "result.json").read_text())["stopped"] == "the budget of 46 is spent"
    assert (finished / "learning_curve.png").read_bytes().startswith(b"\x89PNG")
    assert {path.name for path in (finished / "model").iterdir()} >= {"config.json", "model.safetensors"}
    assert not list(finished.glob("round_*/checkpoint")), "the export is kept, the checkpoint is not"
    assert finished.stat().st_mode & 0o777 == 0o700, "for its owner alone"
    best = f"round_{best_round(rounds(finished)):02d}"
    assert (finished / "model").resolve() == finished / best / "model"
    assert {path.parent.name for path in finished.glob("round_*/model")} == {best, "round_03"}, (
        "the best and the newest are kept"
    )


def test_a_run_says_first_what_its_data_are_and_last_all_numbers_of_its_rounds(
    tmp_path, news_csv, tiny_bert, capsys, caplog
) -> None:
    stretched = ["--augmentation.labels", "SelfTraining", "--rounds.refit", "true"]
    main(command(news_csv, tiny_bert, tmp_path / "run", *stretched))
    lines = capsys.readouterr().out.splitlines()
    names = "business, entertainment, politics, sports"
    assert lines[0] == f"data: 110 texts in the pool, 20 for validation, 30 for test; 4 labels: {names}"
    [first] = [line for line in lines if line.split()[:2] == ["0", "8"]]
    assert "…" not in first, "no column is cut"
    assert len(first.rpartition("  ")[2].split(" + ")) == 5, "fit, score, select, refit, test"
    assert "trainer: the first fit has 2 batches, too few to learn from" in caplog.text


def test_the_reward_is_the_gain_of_the_metric_less_the_weighted_cost(finished: Path) -> None:
    history = rounds(finished)
    assert history[0]["reward"] is None
    for before, after in pairwise(history):
        gain = after["metrics"]["val/accuracy"] - before["metrics"]["val/accuracy"]
        assert after["reward"] == pytest.approx(gain - 1e-4 * 6)


def test_the_temperature_rises_with_what_is_spent_on_labels_beyond_the_first(finished: Path) -> None:
    """28 of 46 go to validation and first labels; three purchases of 6 are left, as in a simulated run."""
    seen = [entry["q"]["temperature"] for entry in rounds(finished)[:-1]]
    assert seen == pytest.approx([10, 10 + 40 / 3, 10 + 80 / 3])


def test_an_untrained_network_buys_what_facility_location_buys(tmp_path, news_csv, tiny_bert) -> None:
    fixed = ["--acquisition.proposals.strategies", "[facility_location]"]
    main(command(news_csv, tiny_bert, tmp_path / "untrained", "--acquisition.agent.pretrained", "null"))
    main(command(news_csv, tiny_bert, tmp_path / "fixed", *fixed))
    assert bought(tmp_path / "fixed") == bought(tmp_path / "untrained")


def test_the_same_seed_buys_the_same_rows_and_another_seed_others(
    finished: Path, tmp_path, news_csv, tiny_bert
) -> None:
    main(command(news_csv, tiny_bert, tmp_path / "same"))
    main(command(news_csv, tiny_bert, tmp_path / "other", "--seed_everything", "1"))
    assert bought(tmp_path / "same") == bought(finished)
    assert [e["metrics"] for e in rounds(tmp_path / "same")] == [e["metrics"] for e in rounds(finished)]
    assert bought(tmp_path / "other") != bought(finished)


def untested(folder: Path) -> list[dict]:
    """What is told of each round, but for test metrics and seconds: rewards, Q-values, losses, purchases, metrics."""
    told = []
    for entry in rounds(folder):
        metrics = {name: value for name, value in entry["metrics"].items() if not name.startswith("test/")}
        asked = (folder / f"round_{entry['round']:02d}" / "query.jsonl").read_text().splitlines()
        query = [json.loads(line) for line in asked]
        told.append({**entry, "metrics": metrics, "query": query, "seconds": None})
    assert all({"q_value", "policy", "entropy"} <= set(row) for entry in told for row in entry["query"])
    assert all({"reward", "q"} <= set(entry) for entry in told)
    return told


def accuracies(folder: Path) -> list[float]:
    return [entry["metrics"]["test/accuracy"] for entry in rounds(folder)]


def test_test_labels_reach_neither_purchases_nor_rewards(finished: Path, tmp_path, news_csv, tiny_bert) -> None:
    """The taint test: with the test labels scrambled, all but the test metrics stays the same."""
    carved = command(news_csv, tiny_bert, tmp_path)
    table = pa_csv.read_csv(news_csv).to_pandas()
    order = np.random.default_rng(0).permutation(len(table))  # data.split_seed 0 carves the test rows first
    test_rows = order[:30]
    names = sorted(table["label"].unique())
    following = dict(zip(names, names[1:] + names[:1], strict=True))
    table.loc[test_rows, "label"] = table.loc[test_rows, "label"].map(following)
    table.to_csv(tmp_path / "tainted.csv", index=False)
    carved[carved.index(str(news_csv))] = str(tmp_path / "tainted.csv")
    carved[carved.index(str(tmp_path))] = str(tmp_path / "run")
    main(carved)
    assert bought(tmp_path / "run") == bought(finished)
    assert untested(tmp_path / "run") == untested(finished)
    assert accuracies(tmp_path / "run") != accuracies(finished), "the scrambled labels were the test labels"


PROBE = ["--model", "LinearProbe", "--data.batch_size", "1000", "--trainer.max_epochs", "1"]
UNVALIDATED = ["--data.validation_size", "0", "--rounds.budget", "26"]
NAMES = ["--model", "SentenceClassification", "--data.initial_size", "null", "--trainer.max_epochs", "3"]
"""Past ten labels they and the names are compared by folds."""


@pytest.mark.parametrize(
    ("proposals", "way"),
    [
        ("Batches", PROBE),
        ("Samples", PROBE),
        ("Batches", [*PROBE, *UNVALIDATED]),
        ("Samples", [*NAMES, *UNVALIDATED]),
    ],
    ids=["batches", "samples", "without validation", "from names"],
)
def test_labels_of_a_test_file_do_not_reach_a_network_that_chooses_and_learns(
    proposals, way, tmp_path, news_csv, tiny_bert
) -> None:
    """Random weights and no doubt: whatever reached a feature, a reward or an update would change what is bought."""
    random_policy(spread=5.0).save(tmp_path / "policy")
    free = ["--acquisition.agent.doubt", "-10", "--acquisition.agent.learning_rate", "0.01"]
    model = ["--model.pretrained", tiny_bert, "--model.max_length", "16"]
    chosen = ["--acquisition.proposals", proposals, "--acquisition.agent.pretrained", str(tmp_path / "policy"), *free]
    table = pd.read_csv(news_csv)
    test, names = table.sample(40, random_state=0), sorted(table["label"].unique())
    table.drop(test.index).to_csv(tmp_path / "pool.csv", index=False)
    for run, labels in (
        ("gold", test["label"]),
        ("other", test["label"].map(lambda name: names[names.index(name) - 1])),
    ):
        test.assign(label=labels).to_csv(tmp_path / f"{run}.csv", index=False)
        options = command(tmp_path / "pool.csv", tiny_bert, tmp_path / run, *way, *model, *chosen)
        main([*options, "--data.test", str(tmp_path / f"{run}.csv")])
    assert bought(tmp_path / "gold") == bought(tmp_path / "other")
    assert untested(tmp_path / "gold") == untested(tmp_path / "other")
    assert accuracies(tmp_path / "gold") != accuracies(tmp_path / "other")
    told = untested(tmp_path / "gold")
    measured = "--data.validation_size" not in way  # estimated rewards weigh too little to learn from
    assert all(("td_loss" in entry["q"]) is measured for entry in told[1:]), "it learned on"
    assert {row["policy"] for entry in told for row in entry["query"]} - {"facility_location"}, "it left the prior"


def test_a_finished_run_says_so_and_buys_nothing(finished: Path, news_csv, tiny_bert, capsys) -> None:
    before = bought(finished)
    main(command(news_csv, tiny_bert, finished))
    assert "the budget of 46 is spent" in capsys.readouterr().out
    assert bought(finished) == before


@pytest.mark.parametrize("start", ["cold", "warm"])
def test_a_raised_budget_goes_on_and_equals_a_run_that_had_it_from_the_start(
    start, finished, tmp_path, news_csv, tiny_bert
) -> None:
    for budget in ("34", "46"):
        main(command(news_csv, tiny_bert, tmp_path / "raised", "--rounds.start", start, "--rounds.budget", budget))
    whole = finished
    if start == "warm":
        whole = tmp_path / "whole"
        main(command(news_csv, tiny_bert, whole, "--rounds.start", start))
    assert bought(tmp_path / "raised") == bought(whole)
    assert [e["metrics"] for e in rounds(tmp_path / "raised")] == [e["metrics"] for e in rounds(whole)]


def test_a_crash_just_after_raising_the_budget_does_not_end_the_run(
    finished, tmp_path, news_csv, tiny_bert, monkeypatch
):
    import lit_react.run.active_learning as module

    main(command(news_csv, tiny_bert, tmp_path / "run", "--rounds.budget", "34"))
    with monkeypatch.context() as crash:
        crash.setattr(module, "fit_and_test", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            main(command(news_csv, tiny_bert, tmp_path / "run"))
    assert (tmp_path / "run" / "model" / "model.safetensors").exists(), "the last model stays until there is another"
    assert len(rounds(tmp_path / "run")) == 2
    main(command(news_csv, tiny_bert, tmp_path / "run"))
    assert bought(tmp_path / "run") == bought(finished)


def test_a_first_fit_that_failed_is_mended_without_buying_again(tmp_path, news_csv, tiny_bert) -> None:
    rate = ["--model.optimizer", "torch.optim.AdamW", "--model.optimizer.lr"]
    with pytest.raises(SystemExit):
        main(command(news_csv, tiny_bert, tmp_path, *rate, "1e30"))
    paid = bought(tmp_path)
    assert len(paid) == 28
    main(command(news_csv, tiny_bert, tmp_path, *rate, "1e-3"))
    assert bought(tmp_path)[:28] == paid
    assert len(rounds(tmp_path)) == 4
    with pytest.raises(SystemExit):
        main(command(news_csv, tiny_bert, tmp_path, *rate, "1e-4"))


def test_a_crash_between_asking_and_saving_asks_people_for_nothing_too_early(
    tmp_path, news_csv, tiny_bert, monkeypatch
):
    from lit_react.run.state import RunState

    frame = pd.read_csv(news_csv)
    answers = dict(zip(frame["text"], frame["label"], strict=True))
    frame[["text"]].to_csv(tmp_path / "unlabeled.csv", index=False)
    names = ["--data.label_names", f"[{', '.join(sorted(frame['label'].unique()))}]"]
    options = command(tmp_path / "unlabeled.csv", tiny_bert, tmp_path / "run", "--rounds.oracle", "file", *names)
    options[options.index("--data.test_size") + 1] = "0"
    main(options)
    asked = tmp_path / "run" / "round_00" / "to_label.jsonl"
    before = asked.read_text()
    records = [json.loads(line) for line in before.splitlines()]
    lines = [json.dumps({"id": record["id"], "label": answers[record["text"]]}) for record in records]
    asked.with_name("labels.jsonl").write_text("\n".join(lines))
    with monkeypatch.context() as crash:
        crash.setattr(RunState, "save", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            main(options)
    main(options)
    assert asked.read_text() == before
    assert len((tmp_path / "run" / "round_01" / "to_label.jsonl").read_text().splitlines()) == 6
    assert len(rounds(tmp_path / "run")) == 1


def test_people_answer_through_files_in_several_sittings(tmp_path, news_csv, tiny_bert, capsys, caplog) -> None:
    frame = pd.read_csv(news_csv)
    answers = dict(zip(frame["text"], frame["label"], strict=True))
    frame[["text"]].to_csv(tmp_path / "unlabeled.csv", index=False)
    test = frame.sample(30, random_state=0)
    test.to_csv(tmp_path / "test.csv", index=False)
    options = command(tmp_path / "unlabeled.csv", tiny_bert, tmp_path / "run", "--rounds.oracle", "file")
    options[options.index("--data.test_size") + 1] = "30"
    options += ["--data.test", str(tmp_path / "test.csv")]

    def answer(round: int, share: float) -> None:
        here = tmp_path / "run" / f"round_{round:02d}"
        records = [json.loads(line) for line in (here / "to_label.jsonl").open()]
        lines = [{"id": r["id"], "label": answers[r["text"]]} for r in records[: int(share * len(records))]]
        (here / "labels.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))

    main(options)
    assert "0 of 28 labels are there" in capsys.readouterr().out
    answer(0, 0.5)
    main(options)
    assert "14 of 28 labels are there" in capsys.readouterr().out
    for round in range(4):
        answer(round, 1.0)
        main(options)
    assert "the budget of 46 is spent" in capsys.readouterr().out
    entries = purchases(tmp_path / "run")
    assert {entry["annotator"] for entry in entries} == {"people"}
    assert len({(e["split"], e["row"]) for e in entries}) == len(entries) == 46
    labels = tmp_path / "run" / "round_01" / "labels.jsonl"
    first = json.loads(labels.read_text().splitlines()[0])
    other = next(name for name in answers.values() if name != first["label"])
    labels.write_text(json.dumps(first | {"label": other}) + "\n")
    main(options)
    assert f"{labels.parent}: 1 answers corrected or added" in caplog.text
    corrected = [
        e for e, before in zip(purchases(tmp_path / "run"), entries, strict=True) if e["label"] != before["label"]
    ]
    assert [f"{e['split']}-{e['row']}" for e in corrected] == [first["id"]]
    assert sum(entry["cost"] for entry in purchases(tmp_path / "run")) == 46, "a correction costs nothing"


def test_frozen_encoder_rounds_train_a_head_only(tmp_path, news_csv, tiny_bert) -> None:
    frozen = ["--model", "LinearProbe", "--model.pretrained", tiny_bert, "--model.max_length", "16"]
    options = command(news_csv, tiny_bert, tmp_path / "run", *frozen)
    main([*options, "--data.batch_size", "1000", "--trainer.max_epochs", "1"])
    assert [entry["steps"] for entry in rounds(tmp_path / "run")] == [1, 1, 1, 1]
    main(["test", *options[1:], "--data.batch_size", "1000", "--trainer.max_epochs", "1"])


def test_warm_start_goes_on_from_the_last_rounds_weights(finished: Path, tmp_path, news_csv, tiny_bert) -> None:
    main(command(news_csv, tiny_bert, tmp_path / "warm", "--rounds.start", "warm"))
    cold, warm = (rounds(folder)[1]["metrics"]["val/loss"] for folder in (finished, tmp_path / "warm"))
    assert rounds(tmp_path / "warm")[0]["metrics"] == rounds(finished)[0]["metrics"]
    assert warm != cold


@pytest.mark.parametrize("proposals", ["Samples", "Batches"])
def test_a_network_learns_and_stays_within_the_budget(tmp_path, news_csv, tiny_bert, proposals: str) -> None:
    learn = ["--acquisition.agent.updates_per_round", "5"]
    greedy = ["--acquisition.agent.deviation_starts", "1", "--acquisition.agent.doubt", "-3"]  # any option may be taken
    main(command(news_csv, tiny_bert, tmp_path / "run", "--acquisition.proposals", proposals, *learn, *greedy))
    history = rounds(tmp_path / "run")
    assert history[0]["q"].get("td_loss") is None
    assert all(entry["q"]["td_loss"] >= 0 for entry in history[1:])
    assert history[-1]["cost"] == 46


def test_badge_makes_do_where_the_task_offers_no_head_inputs(tmp_path, news_csv, tiny_bert, monkeypatch) -> None:
    from lit_react.tasks import TextClassification

    given = TextClassification.signals

    def without_head_inputs(self, batch, needs):
        assert not needs, "what is not offered is not asked for"
        return given(self, batch, needs)

    monkeypatch.setattr(TextClassification, "offers", frozenset())
    monkeypatch.setattr(TextClassification, "signals", without_head_inputs)
    badge = ["--acquisition.proposals.strategies", "[badge]"]
    main(command(news_csv, tiny_bert, tmp_path / "run", *badge, "--rounds.stopping.max_rounds", "2"))
    assert {policy for *_, policy in bought(tmp_path / "run")} == {"validation", "initial", "badge"}


def test_each_round_says_which_metrics_to_show(finished: Path) -> None:
    for entry in rounds(finished):
        assert entry["shown"] == ["accuracy", "macro_f1"]
        assert {f"{split}/{name}" for split in ("val", "test") for name in entry["shown"]} <= set(entry["metrics"])


def test_token_costs_bind_the_budget(tmp_path, news_csv, tiny_bert) -> None:
    cost = ["--data.cost", "TokenCost", "--data.cost.price", "0.1", "--rounds.budget", "60"]
    main(command(news_csv, tiny_bert, tmp_path / "run", *cost))
    entries = purchases(tmp_path / "run")
    spent = sum(entry["cost"] for entry in entries)
    assert 60 - 1.6 < spent <= 60 + 1e-9, "no text of 16 tokens fits any more, and the budget is kept"


@pytest.mark.parametrize(
    ("option", "value", "reason"),
    [
        ("max_rounds", "2", "2 rounds are done"),
        ("target", "0.01", "reached the target"),
        ("plateau_rounds", "1", "did not rise"),
        ("min_uncertainty", "1.0", "uncertainty"),
    ],
)
def test_stopping_rules_end_the_run_and_say_why(tmp_path, news_csv, tiny_bert, option, value, reason, capsys) -> None:
    extra = ["--rounds.stopping.plateau_delta", "1"] if option == "plateau_rounds" else []
    main(command(news_csv, tiny_bert, tmp_path / "run", f"--rounds.stopping.{option}", value, *extra))
    assert reason in json.loads((tmp_path / "run" / "result.json").read_text())["stopped"]
    assert rounds(tmp_path / "run")[-1]["cost"] < 46


def test_the_run_ends_when_every_row_is_labeled(tmp_path, news_csv, tiny_bert) -> None:
    small = ["--data.pool_size", "12", "--rounds.budget", "1000"]
    main(command(news_csv, tiny_bert, tmp_path / "run", *small))
    assert json.loads((tmp_path / "run" / "result.json").read_text())["stopped"] == "every row of the pool is labeled"
    assert [entry["labeled"] for entry in rounds(tmp_path / "run")] == [8, 12]


def test_bf16_mixed_precision_runs_on_the_cpu_and_keeps_float32_weights(tmp_path, news_csv, tiny_bert) -> None:
    from safetensors.torch import load_file

    short = ["--trainer.precision", "bf16-mixed", "--rounds.stopping.max_rounds", "2"]
    main(command(news_csv, tiny_bert, tmp_path / "run", *short))
    weights = load_file(tmp_path / "run" / "model" / "model.safetensors")
    assert {str(tensor.dtype) for tensor in weights.values() if tensor.is_floating_point()} == {"torch.float32"}
