"""The Python API: whole runs and single steps by objects, the same runs as from the command line."""

import gc
import os
import random
import sqlite3
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from run_folders import bought, rounds
from tiny import ACCELERATOR, command

import lit_react
from lit_react import (
    AcquisitionCallback,
    ActiveLearning,
    LabelsPending,
    LinearProbe,
    Oracle,
    PoolDataModule,
    TextClassification,
    UserError,
)
from lit_react.annotation.oracles import Answer
from lit_react.cli import main
from lit_react.core.wandb_logger import Wandb
from lit_react.tasks.optimisation import adamw_for_few_labels

TRAINER = {"max_epochs": 2, "accelerator": ACCELERATOR, "precision": "32-true", "gradient_clip_val": None}


@pytest.fixture
def make_run(tmp_path, news_csv, tiny_bert):
    """The run of `tiny.command`, by objects; options are those of `ActiveLearning`, `data` those of the data module."""

    def make(folder: Path | str = tmp_path / "run", data: dict | None = None, **options) -> ActiveLearning:
        sizes = {"source": news_csv, "validation_size": 20, "test_size": 30, "initial_size": 8, "batch_size": 8}
        parts = {
            "data": PoolDataModule(**sizes | (data or {})),
            "model": TextClassification(tiny_bert, max_length=16),
            "acquisition": AcquisitionCallback(query_size=6),
            "budget": 46,
            "refit": False,
            "trainer": TRAINER,
            "wandb": Wandb(mode="disabled"),
        }
        return ActiveLearning(folder=folder, **parts | options)

    return make


@pytest.fixture
def asking(make_run, tmp_path, news_csv):
    """A run of 6 validation and 8 initial labels whose answers come by `answer`; and the gold label of each text."""
    table = pd.read_csv(news_csv)
    table[["text"]].to_csv(tmp_path / "texts.csv", index=False)
    names = sorted(table["label"].unique())
    source = {"source": tmp_path / "texts.csv", "test_size": 0, "validation_size": 6, "label_names": names}
    gold = dict(zip(table["text"], table["label"], strict=True))
    return lambda **options: make_run(data=source, oracle="api", budget=20, **options), gold


def test_every_public_name_is_there_and_others_are_not() -> None:
    assert all(getattr(lit_react, name) for name in lit_react.__all__)
    assert set(lit_react.__all__) <= set(dir(lit_react))
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        lit_react.Nothing  # noqa: B018


def test_a_run_by_objects_buys_and_measures_what_the_command_line_does(make_run, finished: Path, capsys) -> None:
    result = make_run().fit()
    assert bought(result.folder.path) == bought(finished)
    for here, there in zip(rounds(result.folder.path), rounds(finished), strict=True):
        assert {**here, "seconds": 0} == {**there, "seconds": 0}
    printed = capsys.readouterr().out
    assert "round 3: 26 labels" in printed
    assert "learning curve: " in printed


def test_the_result_has_rounds_labels_and_predictions_as_frames(make_run, tmp_path) -> None:
    result = make_run(budget=34).fit()
    assert result.stopped == "the budget of 34 is spent"
    table = result.rounds
    assert table["labels"].tolist() == [8, 14]
    assert table["cost"].tolist() == [28, 34]
    assert {"val/accuracy", "test/accuracy", "reward", "seconds", "strategy"} <= set(table.columns)
    assert np.isnan(table["reward"][0])
    assert table["reward"][1] == pytest.approx(table["val/accuracy"][1] - table["val/accuracy"][0] - 6e-4)
    labels = result.labels()
    assert len(labels) == 34
    assert labels["cost"].sum() == 34
    assert set(labels["annotators"]) == {"gold"}
    assert set(labels["label"]) <= {"business", "entertainment", "politics", "sports"}
    assert labels["round"].value_counts().to_dict() == {0: 28, 1: 6}
    [shares, match] = result.predict(["Shares fell on Monday.", "The match ended in a draw."])
    assert shares["text"] == "Shares fell on Monday."
    assert shares["label"] == max(shares["probabilities"], key=shares["probabilities"].get)
    assert shares["probabilities"] != match["probabilities"]
    assert result.predict([]) == []


def test_the_same_lines_go_on_after_a_crash_and_equal_an_unbroken_run(make_run, finished, monkeypatch) -> None:
    import lit_react.run.active_learning as module

    fit, seen = module.fit_and_test, []

    def crash(*arguments, **options):
        seen.append(1)
        if len(seen) == 3:
            raise KeyboardInterrupt
        return fit(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(module, "fit_and_test", crash)
        with pytest.raises(KeyboardInterrupt):
            make_run().fit()
    result = make_run().fit()
    assert bought(result.folder.path) == bought(finished)
    assert [e["metrics"] for e in rounds(result.folder.path)] == [e["metrics"] for e in rounds(finished)]


def test_other_lines_are_refused_in_the_folder_of_a_run_whichever_way_it_began(finished, make_run, tiny_bert) -> None:
    assert make_run(finished).fit().stopped == "the budget of 46 is spent", "the command line began it"
    with pytest.raises(UserError, match=r"begun with data\.batch_size = 8, now it is 4; restore it"):
        make_run(finished, data={"batch_size": 4}).fit()
    with pytest.raises(UserError, match=r"begun with model\.max_length = 16, now it is 12"):
        make_run(finished, model=TextClassification(tiny_bert, max_length=12)).fit()


@pytest.mark.parametrize("kind", ["frame", "dataset", "splits"])
def test_tables_in_memory_are_read_like_files(kind, make_run, news_csv, finished) -> None:
    import datasets

    frame = pd.read_csv(news_csv)
    table = datasets.Dataset.from_pandas(frame, preserve_index=False)
    source = {"frame": frame, "dataset": table, "splits": datasets.DatasetDict(train=table)}[kind]
    result = make_run(data={"source": source}, budget=34).fit()
    assert bought(result.folder.path) == bought(finished)[:34]


def test_people_answer_step_by_step_and_a_new_kernel_goes_on(asking) -> None:
    make, gold = asking
    run = make()
    with pytest.raises(LabelsPending, match=r"0 of 14 labels are there; query\(\) shows the others"):
        run.step()
    query = run.query()
    assert len(query) == 14
    assert {"id", "text", "suggestions", "labels"} <= set(query.columns)
    answers = {row.id: gold[row.text] for row in query.itertuples()}
    assert run.answer(dict(list(answers.items())[:5])) == 9
    del run  # the kernel dies
    run = make()
    rest = run.query()
    assert sorted(rest["id"]) == sorted(list(answers)[5:])
    assert run.answer({name: answers[name] for name in rest["id"]}) == 0
    first = run.step()
    assert (first["round"], first["labels"]) == (0, 8)
    query = run.query()
    assert len(query) == 6
    assert all(sorted(names) == sorted(set(gold.values())) for names in query["suggestions"])
    run.answer({row.id: gold[row.text] for row in query.itertuples()})
    last = run.step()
    assert (last["round"], last["labels"]) == (1, 14)
    assert run.result.stopped == "the budget of 20 is spent"
    assert set(run.result.labels()["annotators"]) == {"api"}


def test_a_wrong_answer_is_told_and_none_of_the_call_counts(asking) -> None:
    make, gold = asking
    run = make()
    first, second = list(run.query().itertuples())[:2]
    with pytest.raises(UserError, match=f"{second.id}: unknown label 'weather': expected one of business"):
        run.answer({first.id: gold[first.text], second.id: "weather"})
    with pytest.raises(UserError, match=r"'pool-9999' waits for no label, expected one of "):
        run.answer({first.id: gold[first.text], "pool-9999": "sports"})
    assert len(run.query()) == 14, "nothing was taken"


class Keyword(Oracle):
    """Answers by the first word that it knows, and leaves the rest."""

    answers_known = True

    def __init__(self, words: dict[str, str], most: int = 1000) -> None:
        self.words, self.most = words, most
        self.outcomes: list[str | None] = []

    def label(self, questions):
        return {q.id: self.words.get(q.text.split()[0], "sports") for q in questions[: self.most]}

    def close(self, outcome):
        self.outcomes.append(outcome)


def test_an_oracle_of_ones_own_answers_at_once(make_run) -> None:
    oracle = Keyword({"the": "business"})
    result = make_run(oracle=oracle, budget=34).fit()
    assert oracle.outcomes == [result.stopped]
    labels = result.labels()
    assert set(labels["annotators"]) == {"Keyword"}
    assert set(labels["label"]) <= {"business", "sports"}, "gold labels were not taken"


def test_an_oracle_that_answers_some_makes_the_run_wait(make_run) -> None:
    oracle = Keyword({}, most=20)
    run = make_run(oracle=oracle)
    with pytest.raises(LabelsPending, match="20 of 28 labels are there; run the same command again"):
        run.fit()
    assert oracle.outcomes == [None], "it goes on"
    assert len(run.query()) == 8


class Interrupted(Oracle):
    """Gives its answers one by one, and fails at the fifth; the third means nothing."""

    answers_known = True

    def __init__(self, api_key: str, fails: bool = True) -> None:
        self.api_key, self.fails = api_key, fails

    def label(self, questions):
        for number, question in enumerate(questions):
            if self.fails and number == 4:
                raise ConnectionError("the endpoint is down")
            yield question.id, "weather" if self.fails and number == 2 else "sports"


def test_answers_that_came_before_a_failure_are_kept_and_not_asked_again(make_run) -> None:
    run = make_run(oracle=Interrupted("secret"), budget=34)
    with pytest.raises(ConnectionError):
        run.fit()
    assert len(run.query()) == 28 - 3
    result = make_run(oracle=Interrupted("another", fails=False), budget=34).fit()
    assert len(result.labels()) == 34


def test_what_an_oracle_knows_is_written_nowhere(make_run, tmp_path) -> None:
    run = make_run(oracle=Interrupted("secret", fails=False), budget=34)
    run.fit()
    assert "secret" not in (tmp_path / "run" / "run.json").read_text()


def test_labels_that_the_data_have_are_not_asked_of_people(make_run, tmp_path, news_csv) -> None:
    """Half of the texts are labeled; the validation rows are a file with labels."""
    table = pd.read_csv(news_csv).drop_duplicates("text")
    held, rest = table[:10], table[10:].copy()
    held.to_csv(tmp_path / "held.csv", index=False)
    rest.loc[rest.index[12:], "label"] = None
    rest.to_csv(tmp_path / "part.csv", index=False)
    sizes = {"source": tmp_path / "part.csv", "validation": str(tmp_path / "held.csv"), "validation_size": None}
    sizes |= {"test_size": 0, "initial_size": 14, "label_names": sorted(table["label"].unique())}
    run = make_run(data=sizes, oracle="api", budget=60)
    assert len(run.query()) == 2, "14 first labels, of which 12 are there; no validation row is asked"
    assert len(run.result.labels()) == 22


def test_an_answer_is_corrected_by_the_next_one_and_none_is_a_text_without_label(asking) -> None:
    make, gold = asking
    run = make()
    answers = {row.id: gold[row.text] for row in run.query().itertuples()}
    assert run.answer(answers) == 0
    assert run.answer(answers) == 0
    name, label = next(iter(answers.items()))
    other = next(each for each in sorted(set(gold.values())) if each != label)
    assert run.answer({name: other}, annotator="ann") == 0, "a second opinion that nobody asked for"
    assert run.answer({name: other}) == 0
    labels = run.result.labels().set_index("id")
    assert (labels.label[name], labels.annotators[name], labels.cost[name]) == (other, "ann, api", 2.0)
    assert run.answer({name: Answer(name, undo=True), **{row: None for row in list(answers)[1:3]}}) == 0
    first = run.step()
    assert first["labels"] + first["validation"] == 12
    assert not {*answers} & {*run.query()["id"]}, "what nobody can label is not asked again"


def test_more_texts_and_a_new_class_join_a_run(asking, make_run, tmp_path) -> None:
    make, gold = asking
    run = make()
    run.answer({row.id: gold[row.text] for row in run.query().itertuples()})
    run.step()
    asked = {row.id: row.text for row in run.query().itertuples()}
    found = next(iter(asked))
    run.answer({found: Answer(found, note="new class: weather\nrain")})
    assert run.result.new_classes() == {"weather": 1}
    del asked[found]
    path, new = tmp_path / "texts.csv", [f"Heavy rain and wind in the north, day {n}" for n in range(12)]
    pd.concat([pd.DataFrame({"text": new}), pd.read_csv(path)]).to_csv(path, index=False)
    names = [*sorted(set(gold.values())), "weather"]
    more = {"source": path, "test_size": 0, "validation_size": 6, "label_names": names}
    run = make_run(data=more, oracle="api", budget=40)
    assert {row.id: row.text for row in run.query().itertuples()} == asked
    assert len(run.texts.splits.pool) == 154 + 12
    assert run.result.new_classes() == {}
    assert run.result.labels().set_index("id").loc[found, ["label", "note", "cost"]].tolist() == ["weather", "rain", 1]
    run.answer({name: "weather" for name in asked})
    assert run.step()["labels"] == 14
    assert set(run.result.labels().label[-6:]) == {"weather"}
    assert "weather" in run.result.predict(["Rain"])[0]["probabilities"]
    again = make_run(data=more, oracle="api", budget=40)
    assert len(again.query()) == 6
    pd.read_csv(path).iloc[:-1].to_csv(path, index=False)
    with pytest.raises(UserError, match="rows that this run has read are gone or were changed"):
        make_run(data=more, oracle="api", budget=40).query()


def test_other_texts_in_the_place_of_a_run_s_are_refused_and_its_rows_stay_known(asking, make_run, tmp_path) -> None:
    make, gold = asking
    run = make()
    run.answer({row.id: gold[row.text] for row in run.query().itertuples()})
    known = (tmp_path / "run" / "rows.npz").read_bytes()
    names = sorted(set(gold.values()))
    pd.DataFrame({"text": [f"Day {n}" for n in range(6)]}).to_csv(tmp_path / "texts.csv", index=False)
    other = {"source": tmp_path / "texts.csv", "test_size": 0, "validation_size": 5, "label_names": names}
    with pytest.raises(UserError, match=r"other data|was begun with|gone or were changed"):
        make_run(data=other, oracle="api", budget=20).query()
    assert (tmp_path / "run" / "rows.npz").read_bytes() == known


def test_labeled_rows_that_join_cost_nothing_that_was_not_asked(asking, make_run, tmp_path) -> None:
    make, gold = asking
    run = make()
    run.answer({row.id: gold[row.text] for row in run.query().itertuples()})
    run.step()
    table = pd.read_csv(tmp_path / "texts.csv")
    new = pd.DataFrame({"text": [f"Day {n}" for n in range(40)], "label": "sports"})
    pd.concat([table, new]).to_csv(tmp_path / "texts.csv", index=False)
    source = {
        "source": tmp_path / "texts.csv",
        "test_size": 0,
        "validation_size": 6,
        "label_names": sorted(set(gold.values())),
    }
    again = make_run(data=source, oracle="api", budget=20)
    assert len(again.result.labels()) == 14
    assert len(again.query()) == 6


def test_a_stop_between_the_query_and_the_save_changes_nothing(make_run, tmp_path, monkeypatch) -> None:
    from lit_react.run.folder import RunFolder

    make_run(tmp_path / "unbroken").fit()
    with monkeypatch.context() as patched:
        patched.setattr(RunFolder, "save", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            make_run(tmp_path / "run").fit()
    make_run(tmp_path / "run").fit()
    for name in ("round_00/query.jsonl", "round_02/query.jsonl"):
        assert (tmp_path / "run" / name).read_text() == (tmp_path / "unbroken" / name).read_text()


def test_a_result_is_read_in_another_process_before_anything_is_run(make_run) -> None:
    make_run(budget=34).fit()
    assert len(make_run(budget=34).result.labels()) == 34


class Weatherman(Oracle):
    """Says what is no class."""

    answers_known = True

    def label(self, questions):
        return {question.id: "weather" for question in questions}


def test_an_answer_that_means_nothing_names_the_oracle_and_the_row(make_run) -> None:
    with pytest.raises(UserError, match="Weatherman: validation-0: unknown label 'weather'"):
        make_run(oracle=Weatherman()).fit()


def test_parts_that_were_given_are_not_changed_and_serve_another_run(make_run, tmp_path) -> None:
    acquisition = AcquisitionCallback(query_size=6)
    one = make_run(tmp_path / "one", acquisition=acquisition, budget=34).fit()
    other = make_run(tmp_path / "other", acquisition=acquisition, budget=34).fit()
    assert bought(one.folder.path) == bought(other.folder.path)


def test_a_run_leaves_no_state_in_its_process(make_run) -> None:
    def drawn() -> tuple[float, float, float]:
        """The next number of each global generator."""
        return random.random(), float(np.random.rand()), float(torch.rand(1))  # noqa: NPY002

    def seed() -> None:
        random.seed(5)
        np.random.seed(5)  # noqa: NPY002
        torch.manual_seed(5)

    seed()
    expected = drawn()
    seed()
    before = dict(os.environ)
    make_run(budget=34).fit()
    assert drawn() == expected
    assert dict(os.environ) == before


@pytest.mark.slow
def test_many_runs_in_one_process_keep_nothing(make_run, tmp_path) -> None:
    """After a first run, which loads libraries, further ones leave no tensor, module, Trainer or connection behind."""
    import lightning as L

    def alive() -> dict[str, int]:
        gc.collect()
        kinds = (torch.Tensor, torch.nn.Module, L.Trainer, sqlite3.Connection)
        return {kind.__name__: sum(issubclass(type(each), kind) for each in gc.get_objects()) for kind in kinds}

    counts = []
    for number in range(3):
        make_run(tmp_path / str(number), budget=34).fit()
        counts.append(alive())
    assert counts[2] == counts[1]


def test_the_command_line_can_go_on_with_a_run_by_objects(make_run, news_csv, tiny_bert, tmp_path, finished) -> None:
    make_run(tmp_path / "run", budget=34).fit()
    words = command(news_csv, tiny_bert, tmp_path / "run")
    main(words)
    assert bought(tmp_path / "run") == bought(finished)


def test_without_options_a_fit_is_as_long_as_suits_the_model(tiny_bert) -> None:
    fine_tuned = ActiveLearning(model=TextClassification(tiny_bert)).trainer
    assert (fine_tuned["max_steps"], fine_tuned["val_check_interval"], fine_tuned["gradient_clip_val"]) == (
        100,
        10,
        1.0,
    )
    from_the_command_line = {"max_steps": -1, "max_epochs": None, "precision": None, "gradient_clip_val": None}
    unsaid = ActiveLearning(model=LinearProbe(tiny_bert), trainer=from_the_command_line).trainer
    assert (unsaid["max_epochs"], unsaid["precision"]) == (1, "32-true")
    frozen = ActiveLearning(model=LinearProbe(tiny_bert)).trainer
    assert (frozen["max_epochs"], frozen["precision"], "max_steps" in frozen) == (1, "32-true", False)
    own = ActiveLearning(model=TextClassification(tiny_bert), trainer={"max_epochs": 3}).trainer
    assert (own["max_epochs"], "max_steps" in own) == (3, False)


def test_the_default_rate_is_that_of_the_class_whichever_is_the_default_class(tiny_bert, capsys, tmp_path) -> None:
    """The command line keeps options of the default class where another is named."""
    weights, rates = [torch.nn.Parameter(torch.empty(1))], {}
    for name in ("SentenceClassification", "TextClassification", "RelationExtraction"):
        rates[name] = getattr(lit_react, name)(tiny_bert).optimizer(weights).defaults["lr"]
        for words in (["--model", name], ["--config", str(tmp_path / f"{name}.yaml")]):
            (tmp_path / f"{name}.yaml").write_text(f"model: {{class_path: {name}}}\n")
            with pytest.raises(SystemExit):
                main(["fit", *words, "--print_config"])
            config = yaml.safe_load(capsys.readouterr().out)["model"]
            again = getattr(lit_react, name)(tiny_bert, optimizer=resolved(config["init_args"]["optimizer"]))
            assert again.optimizer(weights).defaults["lr"] == rates[name]
    assert rates == {"SentenceClassification": 1e-4, "TextClassification": 2e-4, "RelationExtraction": 2e-4}


def resolved(path: str) -> Any:
    """What a dotted path names."""
    module, _, name = path.rpartition(".")
    return getattr(import_module(module), name)


@pytest.mark.parametrize(("width", "rate"), [(1000, 2e-4), (60_000_000, 2e-5)])
def test_the_default_rate_suits_the_size_of_the_model(width, rate) -> None:
    weights = torch.nn.Parameter(torch.empty(width, device="meta"))
    assert adamw_for_few_labels([{"params": [weights]}]).defaults["lr"] == rate
