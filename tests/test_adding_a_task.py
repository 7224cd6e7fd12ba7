"""The example of docs/adding_a_task.md is a task that works."""

import csv
import json
import re
import sys
from pathlib import Path

import pytest
from run_folders import purchases, rounds
from tiny import command

from lit_react.cli import main

GUIDE = Path(__file__).parents[1] / "docs" / "adding_a_task.md"


@pytest.fixture
def task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The guide's code as a module on the path."""
    (code,) = re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    (tmp_path / "text_regression.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "text_regression", raising=False)
    return "text_regression.TextRegression"


def test_the_guides_task_buys_numbers_and_predicts_them(task, tmp_path, news_csv, tiny_bert) -> None:
    with news_csv.open() as file:
        texts = [row["text"] for row in csv.DictReader(file)]
    with (tmp_path / "lengths.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *((text, min(len(text) / 100, 1)) for text in texts)])
    options = command(tmp_path / "lengths.csv", tiny_bert, tmp_path / "run", "--model", task)
    options = [*options[options.index("--model") :][:2], *options[1 : options.index("--model")]]  # the class first
    main(["fit", *options])
    assert rounds(tmp_path / "run")[0]["shown"] == ["agreement", "closeness"]
    labels = [entry["label"] for entry in purchases(tmp_path / "run")]
    assert len(labels) == 46
    assert all(0 < label <= 1 for label in labels)
    main(["predict", *options, "--predictions.path", str(tmp_path / "p.jsonl")])
    records = [json.loads(line) for line in (tmp_path / "p.jsonl").read_text().splitlines()]
    assert set(records[0]) == {"text", "number"}
