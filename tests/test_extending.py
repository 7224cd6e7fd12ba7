"""The examples of docs/extending.md, in an empty folder, by words and by objects, on the built wheel."""

import json
import os
import re
import sqlite3
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pandas as pd
import pytest
from extensions import examples
from tiny import bbc, command

MOST_LINES = {
    "my_strategy.py": 15,
    "my_agent.py": 40,
    "my_reward.py": 15,
    "my_stopping.py": 15,
    "my_cost.py": 15,
    "my_oracle.py": 25,
    "my_data.py": 20,
    "text_regression.py": 60,
    "most_active.py": 60,
    "my_part.py": 40,
}
BUDGETS = {"my_agent.py": 46, "my_stopping.py": 40, "my_cost.py": 19}
"""Of the examples that need more than 34, the first labels and one purchase, or whose labels cost less."""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which `pip install .` has put the package; its dependencies are the environment's."""
    target, root = tmp_path_factory.mktemp("wheel"), Path(__file__).parents[1]
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*pip, "--target", str(target), str(root)], check=True, capture_output=True, timeout=300)
    return target


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory, wheel: Path, news_csv: Path, tiny_bert: str) -> dict:
    """What came of each example."""
    folder = tmp_path_factory.mktemp("empty")
    frame = pd.read_csv(news_csv)
    frame[["text"]].to_csv(folder / "texts.csv", index=False)
    frame.assign(label=(frame["text"].str.len() / 100).clip(0, 1)).to_csv(folder / "numbers.csv", index=False)
    tickets = frame.rename(columns={"text": "body", "label": "topic"}).reset_index(names="id")
    with sqlite3.connect(folder / "tickets.sqlite") as db:
        tickets.to_sql("tickets", db, index=False)
    words = command(news_csv, tiny_bert, folder / "run", "--trainer.gradient_clip_val", "1.0")[1:]
    job = {
        "words": [str(word) for word in words],
        "data": {"source": str(news_csv), "validation_size": 20, "test_size": 30, "initial_size": 8, "batch_size": 8},
        "model": {"pretrained": tiny_bert, "max_length": 16},
        "budgets": {name: BUDGETS.get(name, 34) for name in MOST_LINES},
        "names": sorted(frame["label"].unique()),
        "gold": dict(zip(frame["text"], frame["label"], strict=True)),
        "examples": {name: asdict(example) for name, example in examples().items()},
    }
    (folder / "job.json").write_text(json.dumps(job))
    environment = os.environ | {"PYTHONPATH": str(wheel), "OMP_NUM_THREADS": "1"}
    driver = [sys.executable, str(Path(__file__).with_name("extending_driver.py")), "job.json"]
    done = subprocess.run(driver, cwd=folder, env=environment, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads((folder / "outcomes.json").read_text())


def test_the_package_that_runs_them_is_the_installed_one(outcomes: dict, wheel: Path) -> None:
    assert Path(outcomes["package"]).is_relative_to(wheel)
    files = {path.name for path in (wheel / "lit_react" / "annotation" / "page" / "static").iterdir()}
    assert files == {"icon.svg", "index.html", "page.css", "page.js", "widgets.js", "words.js"}


def test_every_example_is_held_to_a_length() -> None:
    assert examples().keys() == MOST_LINES.keys()


@pytest.mark.parametrize("name", MOST_LINES)
def test_an_example_runs_by_words_and_by_objects_and_buys_the_same(name: str, outcomes: dict) -> None:
    assert len(examples()[name].code.splitlines()) < MOST_LINES[name]
    assert outcomes[name]["words"] is None, outcomes[name]["words"]
    assert outcomes[name]["objects"] is None, outcomes[name]["objects"]
    by_words, by_objects = outcomes[name]["ledgers"]
    assert by_words == by_objects
    assert len(by_words) >= 28


def test_the_examples_do_what_they_say(outcomes: dict) -> None:
    strategies = {name: {row[-1] for row in outcomes[name]["ledgers"][0]} for name in MOST_LINES}
    assert len(strategies["my_agent.py"]) == 5, "initial, validation and three strategies, tried in turn"
    assert outcomes["my_stopping.py"]["stopped"] == "labels no longer pay"
    costs = {row[5] for row in outcomes["my_cost.py"]["ledgers"][0]}
    assert costs == {12 / 250 + 0.5}, "texts of 12 words"


@pytest.mark.slow
def test_the_lines_of_the_readme_run_as_they_stand(wheel: Path, tmp_path: Path) -> None:
    """With the packaged encoder, on the packaged articles as a file of the user's; minutes."""
    readme = (Path(__file__).parents[1] / "README.md").read_text()
    (lines,) = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    table = bbc().pool.to_pandas()
    names = dict(enumerate(bbc().label_names))
    table = pd.DataFrame({"body": table["text"], "topic": table["label"].map(names)}).sample(600, random_state=0)
    table.to_csv(tmp_path / "texts.csv", index=False)
    told = "\nprint(result.rounds.to_json())\nprint(result.labels().to_json())\nprint(result.stopped)"
    predicted = "print(result.predict(['Shares fell on Monday.'])[0]['label'])"
    (tmp_path / "mine.py").write_text(f"{lines}{told}\n{predicted}\n")
    done = subprocess.run(
        [sys.executable, "mine.py"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(wheel)},
        capture_output=True,
        text=True,
        timeout=1500,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    *_, rounds, labels, stopped, topic = done.stdout.splitlines()
    assert stopped == "the budget of 100 is spent"
    assert list(json.loads(rounds)["labels"].values()) == list(range(0, 101, 10))
    assert len(json.loads(labels)["id"]) == 100
    assert topic == "business"
    assert list(json.loads(rounds)["test/accuracy"].values())[-1] > 0.8
    assert (tmp_path / "runs" / "mine" / "learning_curve.png").exists()
