"""Several answers to a question: who is asked for how many, what they cost, and which label is learned."""

import numpy as np
import pandas as pd
import pytest
from run_folders import rounds
from tiny import ACCELERATOR, command

from lit_react import AcquisitionCallback, ActiveLearning, LabelsPending, LinearProbe, Oracle, PoolDataModule, UserError
from lit_react.annotation.dawid_skene import dawid_skene
from lit_react.annotation.ledger import Ledger
from lit_react.annotation.oracles import Answer, ApiOracle, GoldOracle
from lit_react.cli import main
from lit_react.core.files import read_lines
from lit_react.core.wandb_logger import Wandb
from lit_react.run.labelers import asked_of_several
from lit_react.tasks import SentenceClassification, TokenClassification


class Crowd(Oracle):
    """Two who know the labels by heart, and one who always says the same."""

    answers_known = True

    def open(self, folder, desk):
        self.desk = desk

    def label(self, questions):
        wanted = {each.question.id: each.wanted for each in self.desk.asked()}
        for number, question in enumerate(questions):
            known = {"ann": GOLD[question.text], "bob": GOLD[question.text], "eve": "sports"}
            for who in sorted(known)[number % 2 :][: wanted[question.id]]:
                yield Answer(question.id, known[who], annotator=who, seconds=2.0)


GOLD: dict[str, str] = {}


def latest(answers):
    """An aggregation of one's own."""
    return {where: given[-1].label for where, given in answers.items()}


@pytest.fixture
def make_run(tmp_path, news_csv, tiny_bert):
    GOLD.update(pd.read_csv(news_csv).set_index("text")["label"])

    def make(source=news_csv, label_names=None, **options) -> ActiveLearning:
        return ActiveLearning(
            PoolDataModule(source, test_size=0, validation_size=0, initial_size=12, label_names=label_names),
            LinearProbe(tiny_bert, max_length=16),
            AcquisitionCallback(query_size=6),
            folder=tmp_path / "run",
            trainer={"accelerator": ACCELERATOR, "precision": "32-true", "max_epochs": 1},
            wandb=Wandb(mode="disabled"),
            **{"budget": 28, "oracle": Crowd()} | options,
        )

    return make


def texts(labels):
    frame = pd.DataFrame({"text": [f"text {row}" for row in range(len(labels))], "label": labels})
    return PoolDataModule(frame, label_names=["x", "y"]).prepare(SentenceClassification().task)


def test_a_share_of_the_rows_wants_one_answer_more_and_rows_that_are_added_change_no_draw():
    small, large = texts([None] * 400), texts([None] * 500)
    wanted = asked_of_several(small, ApiOracle(), 2.3, seed=1).wanted["pool"]
    assert set(wanted) == {2, 3}
    assert 0.25 < np.mean(wanted == 3) < 0.35
    assert (asked_of_several(large, ApiOracle(), 2.3, seed=1).wanted["pool"][:400] == wanted).all()
    assert (asked_of_several(small, ApiOracle(), 2.3, seed=2).wanted["pool"] != wanted).any()


def test_a_label_that_came_with_the_data_wants_no_other_answer_unless_the_oracle_is_asked_for_it_too():
    data = texts(["x", None, "y", None])
    assert asked_of_several(data, ApiOracle(), 2, 0).wanted["pool"].tolist() == [1, 2, 1, 2]
    assert asked_of_several(data, ApiOracle(), 2, 0).pool.costs.tolist() == [1, 2, 1, 2]
    assert asked_of_several(data, Crowd(), 2, 0).wanted["pool"].tolist() == [2, 2, 2, 2]
    with pytest.raises(UserError, match=r"rounds\.overlap: 1\.5, but rounds\.oracle is gold, and the data has one"):
        asked_of_several(data, GoldOracle(), 1.5, 0)


def test_the_budget_counts_every_answer_and_what_is_learned_follows_from_the_ledger(make_run, capsys):
    run = make_run(overlap=1.5, aggregation="dawid_skene")
    result = run.fit()
    wanted = run.texts.wanted["pool"]
    with Ledger(result.folder.ledger, budget=28, fingerprint=run.texts.fingerprint, read_only=True) as ledger:
        assert all(query.wanted == wanted[query.row] == query.cost for query in ledger.asked())
        assert {query.wanted for query in ledger.asked()} == {1, 2}
        assert len(ledger.history()) == ledger.spent == rounds(result.folder.path)[-1]["cost"] <= 28
        for entry in rounds(result.folder.path):
            assert len(dawid_skene(ledger.answers(entry["round"]))) == entry["labeled"]
    assert f"the same on {100 * result.agreement()['same'][0]:.0f} % of" in capsys.readouterr().out
    last = rounds(result.folder.path)[-1]["round"]
    doubted = read_lines(result.folder.round(last) / "suspicious.jsonl")
    assert doubted == result.suspicious().to_dict("records"), "nothing came after the last round"


def test_a_round_waits_for_the_answer_of_another_annotator(make_run):
    run = make_run(pd.DataFrame({"text": [*"abcdefghijklm"]}), ["a", "b"], overlap=2, oracle="api", aggregation=latest)
    answers = dict.fromkeys(run.query()["id"], "a")
    assert run.answer(answers, annotator="ann") == 12
    with pytest.raises(LabelsPending, match=r"0 of 12 labels .*; 12 of these want the answer of another annotator"):
        run.step()
    assert run.query(annotator="ann").empty
    assert run.answer(dict.fromkeys(answers, "b"), annotator="bob") == 0
    assert run.query().empty
    assert run.result.labels()["cost"].tolist() == [2.0] * 12
    assert set(run.result.labels()["label"]) == {"b"}, "the majority would be the first"


def test_dawid_skene_is_for_classes(tmp_path):
    words = pd.DataFrame({"tokens": [["Ann", "sings"]] * 4})
    data = PoolDataModule(words, label_names=["PER"], test_size=0)
    with pytest.raises(UserError, match="for labels that are one class each, those of EntityTask are not"):
        ActiveLearning(
            data, TokenClassification(), oracle="api", aggregation="dawid_skene", folder=tmp_path / "r"
        ).query()


@pytest.mark.parametrize(
    ("given", "message"),
    [("mean", "rounds.aggregation"), ("lit_react.nothing", "rounds.aggregation")],
)
def test_an_aggregation_that_is_not_there_is_told(given, message, tmp_path, news_csv, tiny_bert, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(command(news_csv, tiny_bert, tmp_path / "run", "--rounds.aggregation", given))
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err
