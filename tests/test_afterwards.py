"""What is done with a finished run: validate, test, predict, and transformers alone."""

import datetime
import json
import shutil
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from run_folders import rounds
from tiny import command

from lit_react.cli import main


def test_the_exported_model_is_read_by_a_plain_pipeline(finished: Path) -> None:
    from transformers import pipeline

    answer = pipeline("text-classification", str(finished / "model"))("shares rose as profits grew")
    assert answer[0]["label"] in {"business", "entertainment", "politics", "sports", "tech"}


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_predict_labels_a_file_without_labels(finished: Path, tmp_path, news_csv, tiny_bert, suffix: str) -> None:
    rows = '"the match ended in a draw",7,x\n"shares fell",8,\n"a, quoted ""text""",9,x\n'
    (tmp_path / "new.csv").write_text(f"text,number,label\n{rows}")
    out = tmp_path / f"predictions.{suffix}"
    options = command(news_csv, tiny_bert, finished)[1:]
    main(["predict", *options, "--data.predict", str(tmp_path / "new.csv"), "--predictions.path", str(out)])
    records = pq.read_table(out).to_pylist() if suffix == "parquet" else [json.loads(x) for x in out.open()]
    assert [r["text"] for r in records] == ["the match ended in a draw", "shares fell", 'a, quoted "text"']
    assert [r["number"] for r in records] == ["7", "8", "9"], "columns that are the user's are kept"
    for record in records:
        assert sum(record["probabilities"].values()) == pytest.approx(1, abs=1e-4)
        assert record["label"] == max(record["probabilities"], key=record["probabilities"].get)


def test_predict_keeps_columns_of_any_type_and_gold_labels_of_another_name(
    finished, tmp_path, news_csv, tiny_bert
) -> None:
    day = datetime.date(2026, 1, 31)
    pq.write_table(pa.table({"text": ["a draw"], "day": [day], "topic": ["sports"]}), tmp_path / "new.parquet")
    options = command(news_csv, tiny_bert, finished)[1:]
    out = tmp_path / "predictions.jsonl"
    main(["predict", *options, "--data.predict", str(tmp_path / "new.parquet"), "--predictions.path", str(out)])
    record = json.loads(out.read_text())
    assert (record["day"], record["topic"]) == ("2026-01-31", "sports")


def test_predict_with_an_exported_folder_needs_neither_run_nor_training_data(finished, tmp_path, news_csv) -> None:
    shutil.copytree((finished / "model").resolve(), tmp_path / "exported")
    (tmp_path / "new.csv").write_text("text,label\nthe match ended in a draw,no class of the model\n")
    options = command(tmp_path / "gone.csv", tmp_path / "exported", tmp_path / "no-run")[1:]
    out = tmp_path / "predictions.jsonl"
    main(["predict", *options, "--data.predict", str(tmp_path / "new.csv"), "--predictions.path", str(out)])
    assert set(json.loads(out.read_text())["probabilities"]) == set(pd.read_csv(news_csv)["label"])


def test_an_exported_folder_that_is_named_comes_before_the_runs_own(finished, tmp_path, news_csv, tiny_bert) -> None:
    main(command(news_csv, tiny_bert, tmp_path / "other", "--rounds.stopping.max_rounds", "1"))
    (tmp_path / "new.csv").write_text("text\nthe match ended in a draw\n")
    found = []
    for model in (tiny_bert, str(tmp_path / "other" / "model")):
        options = command(news_csv, model, finished)[1:]
        out = tmp_path / f"{len(found)}.jsonl"
        main(["predict", *options, "--data.predict", str(tmp_path / "new.csv"), "--predictions.path", str(out)])
        found.append(json.loads(out.read_text())["probabilities"])
    assert found[0] != found[1]


def test_validate_and_test_give_the_numbers_of_the_last_round_by_the_runs_own_config(finished: Path, capsys) -> None:
    for task in ("validate", "test"):
        main([task, "--config", str(finished / "config.yaml")])
    printed = capsys.readouterr().out
    last = rounds(finished)[-1]["metrics"]
    for name in ("val/accuracy", "test/accuracy"):
        assert name in printed
        assert f"{last[name]:.6f}"[:6] in printed


def test_the_labels_of_a_run_are_written_by_its_folder_alone(finished: Path, tmp_path, capsys) -> None:
    out = tmp_path / "labels.csv"
    main(["labels", str(finished), "--output", str(out)])
    table = pd.read_csv(out)
    assert list(table)[:3] == ["id", "text", "label"]
    assert len(table) == table["cost"].sum() == 46
    assert capsys.readouterr().out == f"46 texts with an answer: {out}\n"
    with pytest.raises(SystemExit) as stopped:
        main(["labels", str(finished), "--output", str(out), "--answers", "true"])
    assert stopped.value.code == 2
    assert f"{out} is there already: expected a new name, or --overwrite true" in capsys.readouterr().err
    main(["labels", str(finished), "--output", str(out), "--answers", "true", "--overwrite", "true"])
    assert pd.read_csv(out)["annotator"].tolist() == ["gold"] * 46
    with pytest.raises(SystemExit):
        main(["labels", str(tmp_path), "--output", str(tmp_path / "x.csv")])
    assert "config.yaml: no such file: expected the folder of a run of the command line" in capsys.readouterr().err


def test_rows_that_were_bought_are_not_tested_on(finished: Path, news_csv, tiny_bert, capsys) -> None:
    options = command(news_csv, tiny_bert, finished, "--data.test_size", "40")[1:]
    with pytest.raises(SystemExit) as stopped:
        main(["test", *options])
    assert stopped.value.code == 2
    assert "ledger.sqlite" in capsys.readouterr().err
