"""The tasks of docs/extending.md work, from the data to the predictions."""

import csv
import json
import sys
from pathlib import Path

import pytest
from extensions import examples
from run_folders import purchases, rounds
from tiny import command

from lit_react.cli import main


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Puts one of the guide's examples on the path as a module; gives its number of lines."""

    def write(name: str) -> int:
        code = examples()[f"{name}.py"].code
        (tmp_path / f"{name}.py").write_text(code)
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.delitem(sys.modules, name, raising=False)
        return len(code.splitlines())

    return write


def class_first(options: list[str]) -> list[str]:
    """The words after the command, the model's class before its options."""
    place = options.index("--model")
    return [*options[place : place + 2], *options[1:place], *options[place + 2 :]]


def test_the_guides_task_buys_numbers_and_predicts_them(write, tmp_path, news_csv, tiny_bert) -> None:
    assert write("text_regression") <= 60
    with news_csv.open() as file:
        texts = [row["text"] for row in csv.DictReader(file)]
    with (tmp_path / "lengths.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *((text, min(len(text) / 100, 1)) for text in texts)])
    model = ["--model", "text_regression.TextRegression", "--model.warmup", "0.2"]
    options = class_first(command(tmp_path / "lengths.csv", tiny_bert, tmp_path / "run", *model))
    main(["fit", *options])
    assert rounds(tmp_path / "run")[0]["shown"] == ["agreement", "error"]
    labels = [entry["label"] for entry in purchases(tmp_path / "run")]
    assert len(labels) == 46
    assert all(0 < label <= 1 for label in labels)
    main(["predict", *options, "--predictions.path", str(tmp_path / "p.jsonl")])
    records = [json.loads(line) for line in (tmp_path / "p.jsonl").read_text().splitlines()]
    assert set(records[0]) == {"text", "prediction"}


def test_a_label_that_the_task_cannot_read_is_named_with_its_row(write, tmp_path, tiny_bert, capsys) -> None:
    write("text_regression")
    with (tmp_path / "lengths.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *((f"text {n}", n / 90) for n in range(100))])
    options = command(
        tmp_path / "lengths.csv", tiny_bert, tmp_path / "run", "--model", "text_regression.TextRegression"
    )
    with pytest.raises(SystemExit):
        main(["fit", *class_first(options)])
    assert "lengths.csv:93: '1.011111111111111': expected a number from 0 to 1" in capsys.readouterr().err


def test_the_guides_network_is_fitted_exported_and_restored_with_all_its_layers(
    write, tmp_path, news_csv, tiny_bert
) -> None:
    assert write("most_active") <= 30
    options = command(news_csv, tiny_bert, tmp_path / "run", "--model", "most_active.MostActiveClassification")
    options = [*class_first(options), "--rounds.stopping.max_rounds", "1"]
    main(["fit", *options])
    main(["test", *options])
    main(["predict", *options, "--predictions.path", str(tmp_path / "first.jsonl")])
    own = ["--model.pretrained", str(tmp_path / "run" / "model")]
    main(["predict", *options, *own, "--predictions.path", str(tmp_path / "again.jsonl")])
    assert (tmp_path / "first.jsonl").read_text() == (tmp_path / "again.jsonl").read_text()
    from safetensors.torch import load_file

    names = set(load_file(tmp_path / "run" / "model" / "head.safetensors"))
    assert names == {"weight", "bias", "hidden.weight", "hidden.bias"}
