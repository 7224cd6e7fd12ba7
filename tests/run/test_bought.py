"""What was bought as tables, and as files of other programs."""

import json

import datasets
import pandas as pd
import pytest

from lit_react.annotation.answers import Given, majority
from lit_react.annotation.ledger import Ledger, Query
from lit_react.core.errors import UserError
from lit_react.data.datamodule import PoolDataModule
from lit_react.run.bought import Said, bought_labels, given_answers
from lit_react.run.export import write_table
from lit_react.tasks import SentenceClassification


@pytest.fixture
def said(tmp_path):
    """Three texts that two annotators read: they disagree, one corrects; a skip; an answer that was taken back."""
    frame = pd.DataFrame({"text": [*"abcd"], "ticket": [7, 8, 9, 10], "id": [*"wxyz"], "label": None})
    data = PoolDataModule(frame, label_names=["no", "yes"]).prepare(SentenceClassification().task)
    with Ledger(tmp_path / "ledger.sqlite", budget=99, fingerprint=data.fingerprint) as ledger:
        ledger.ask(0, [Query("pool", row, 2.0, "initial", wanted=2) for row in (2, 0)])
        ledger.ask(1, [Query("pool", row, 1.0, "entropy") for row in (1, 3)])
        ledger.record([Given("pool", 2, "ann", 1, seconds=3.0, confidence=0.5), Given("pool", 2, "bob", 0, note="hm")])
        ledger.record([Given("pool", 0, "ann", 0), Given("pool", 0, "bob", 1, seconds=4.0)])
        ledger.record([Given("pool", 0, "bob", 0, seconds=1.0, note="=1+1")])
        ledger.record([Given("pool", 1, "ann", None, note="no text")])
        ledger.record([Given("pool", 3, "ann", 1), Given("pool", 3, "ann", undo=True)])
    return Said.read(tmp_path / "ledger.sqlite", data), data


def test_a_text_has_one_row_with_its_answers_money_and_time(said):
    table = bought_labels(*said, majority)
    assert table["id"].tolist() == ["pool-2", "pool-0", "pool-1"], "in the order of asking; what waits is left out"
    assert table["label"].fillna("–").tolist() == ["yes", "no", "–"]
    assert table["text"].tolist() == ["c", "a", "b"]
    assert table["ticket"].tolist() == [9, 7, 8]
    assert table["source.id"].tolist() == ["y", "w", "x"]
    assert table["annotators"].tolist() == ["ann, bob", "ann, bob", "ann"]
    assert table["answers"].tolist() == [2, 2, 0]
    assert table["agreement"].fillna(-1).tolist() == [0.5, 1.0, -1]
    assert table["confidence"].fillna(-1).tolist() == [0.5, -1, -1]
    assert table["seconds"].fillna(-1).tolist() == [3.0, 5.0, -1]
    assert table["cost"].tolist() == [2.0, 2.0, 0.0]
    assert table["note"].tolist() == ["bob: hm", "bob: =1+1", "no text"]
    assert table["round"].tolist() == [0, 0, 1]
    assert table["strategy"].tolist() == ["initial", "initial", "entropy"]


def test_an_answer_has_one_row_corrected_and_undone_ones_too(said):
    table = given_answers(*said)
    assert table["label"].fillna("–").tolist() == ["yes", "no", "no", "yes", "no", "–", "yes", "–"]
    assert table["holds"].tolist() == [True, True, True, False, True, True, False, False]
    assert table["undo"].tolist() == [False] * 7 + [True]
    assert table["annotator"].tolist() == ["ann", "bob", "ann", "bob", "bob", "ann", "ann", "ann"]


@pytest.mark.parametrize("form", ["jsonl", "parquet", "dataset"])
def test_other_programs_read_what_was_written(said, tmp_path, form):
    table, path = bought_labels(*said, majority), tmp_path / f"labels.{form}"
    write_table(table, path, form)
    read = {"jsonl": lambda: [json.loads(line) for line in path.open()], "parquet": lambda: pd.read_parquet(path)}
    found = read[form]() if form in read else datasets.load_from_disk(path).to_list()
    found = pd.DataFrame(found)
    assert list(found) == list(table)
    assert found["label"].fillna("–").tolist() == ["yes", "no", "–"]
    assert found["note"].tolist() == table["note"].tolist(), "as they are"
    with pytest.raises(UserError, match=r"is there already: expected a new name, or --overwrite true"):
        write_table(table, path, form)
    write_table(table[:1], path, form, overwrite=True)
    if form == "dataset":
        assert len(datasets.load_from_disk(path)) == 1
        with pytest.raises(UserError, match=r"labels\.dataset is a folder: expected the name of a file"):
            write_table(table, path, "csv", overwrite=True)


def test_no_cell_of_a_csv_file_is_a_formula(tmp_path):
    hostile = ["=HYPERLINK(1)", "+1", "-1", "@SUM(1)", "\t=1", "\r=1", "\n=1", "1=1", "plain"]
    write_table(pd.DataFrame({"=text": hostile, "cost": -1.0}), tmp_path / "labels.csv", "csv")
    found = pd.read_csv(tmp_path / "labels.csv", lineterminator="\n")
    assert list(found) == ["'=text", "cost"]
    assert found["'=text"].tolist() == [*(f"'{cell}" for cell in hostile[:7]), "1=1", "plain"]
    assert found["cost"].tolist() == [-1.0] * 9, "numbers stay numbers"
