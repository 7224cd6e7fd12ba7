"""Every task through the whole path: fit, kill, resume, validate, test, predict, export, reload."""

import json
import re
import shutil
import time
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import pandas as pd
import pytest
from processes import ended, start
from run_folders import bought, purchases, rounds
from tiny import ACCELERATOR

from lit_react.applications.reader import Abstention, Reader, columns_of
from lit_react.cli import main
from lit_react.cli.labels import result_of

CASES = sorted(path.stem for path in (Path(__file__).parent / "task_cases").glob("*.py"))


@dataclass(frozen=True)
class Run:
    """A finished run and the options that it was begun with."""

    folder: Path
    options: list[str]
    seconds: float

    def words(self, command: str, *options: str) -> list[str]:
        return words(command, self.folder, [*self.options, *options])


def words(command: str, folder: Path, options: list[str]) -> list[str]:
    everywhere = ["--trainer.accelerator", ACCELERATOR, "--wandb.mode", "disabled", "--rounds.folder", str(folder)]
    return [command, *everywhere, "--rounds.refit", "false", *options]


@pytest.fixture(scope="module", params=CASES)
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    here = tmp_path_factory.mktemp(request.param)
    options = import_module(f"task_cases.{request.param}").options(here / "given")
    begun = time.monotonic()
    main(words("fit", here / "run", options))
    return Run(here / "run", options, time.monotonic() - begun)


def predictions(run: Run, path: Path, *options: str) -> list[dict]:
    main(run.words("predict", "--predictions.path", str(path), *options))
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_run_buys_within_its_budget_and_measures_its_metric(run: Run) -> None:
    budget = float(run.options[run.options.index("--rounds.budget") + 1])
    history = rounds(run.folder)
    assert len(history) >= 3
    assert sum(entry["cost"] for entry in purchases(run.folder)) <= budget
    assert all(entry["label"] is not None for entry in purchases(run.folder))
    for entry in history:
        for name in entry["shown"]:
            assert {f"val/{name}", f"test/{name}"} <= set(entry["metrics"])
        assert 0 <= entry["metrics"][f"val/{entry['shown'][0]}"] <= 1
    assert (run.folder / "learning_curve.png").read_bytes().startswith(b"\x89PNG")
    for line in (run.folder / "round_00" / "query.jsonl").read_text().splitlines():
        signals = json.loads(line)
        assert 0 <= signals["max_probability"] <= 1
        assert signals["entropy"] >= 0


def test_resume_after_kill_buys_no_label_twice_and_equals_the_unbroken_run(run: Run, tmp_path: Path) -> None:
    arguments = words("fit", tmp_path / "run", run.options)
    process = start(arguments)
    while not (tmp_path / "run" / "round_00" / "query.jsonl").exists() and process.is_alive():
        time.sleep(0.01)
    process.kill()
    process.join()
    assert not (tmp_path / "run" / "result.json").exists() or rounds(tmp_path / "run") != rounds(run.folder)
    assert ended(start(arguments)) == 0
    assert bought(tmp_path / "run") == bought(run.folder)
    assert [e["metrics"] for e in rounds(tmp_path / "run")] == [e["metrics"] for e in rounds(run.folder)]


def test_validate_and_test_give_the_numbers_of_the_last_round(run: Run, capsys: pytest.CaptureFixture) -> None:
    main(run.words("validate"))
    main(run.words("test"))
    printed = capsys.readouterr().out
    last = rounds(run.folder)[-1]
    for split in ("val", "test"):
        name = f"{split}/{last['shown'][0]}"
        assert name in printed
        assert any(float(n) == pytest.approx(last["metrics"][name], abs=1e-5) for n in re.findall(r"\d\.\d+", printed))


def test_a_served_model_says_what_predict_does_and_whether_it_abstains(run: Run) -> None:
    result = result_of(run.folder)
    column = result.text_column or result.data.task.text_column
    kinds = columns_of(result.data.task, column)
    read = [result.data.row("pool", row) for row in range(3)]
    places = {name: "text" if name == column and kind is str else name for name, kind in kinds.items()}
    rows = pd.DataFrame([{name: row[place] for name, place in places.items()} for row in read])
    reader = Reader(result, Abstention.of_run(result, 0.9), ACCELERATOR)
    hostile = [{name: "" if isinstance(value, str) else [] for name, value in rows.iloc[0].items()}]
    said = reader.answers([*rows.to_dict("records"), *hostile])
    for answer, prediction in zip(said, result.predict(rows), strict=False):
        for name in prediction.keys() & {"text", "label", "labels"}:
            assert answer[name] == prediction[name]
        assert prediction.keys() < answer.keys()
        assert answer["abstains"] in (None, "unsure", "out of scope")


def test_an_exported_model_predicts_without_the_run(run: Run, tmp_path: Path) -> None:
    own = predictions(run, tmp_path / "own.jsonl")
    assert own
    shutil.copytree((run.folder / "model").resolve(), tmp_path / "exported")
    elsewhere = Run(tmp_path / "no-run", run.options, 0)
    exported = predictions(elsewhere, tmp_path / "exported.jsonl", "--model.pretrained", str(tmp_path / "exported"))
    assert exported == own


def test_another_policy_can_buy_for_it_and_validation_labels_be_learned(run: Run, tmp_path: Path) -> None:
    policy = ["--acquisition.proposals.strategies", "[margin]"]
    limits = ["--rounds.stopping.max_rounds", "2", "--rounds.refit", "true"]
    main(words("fit", tmp_path / "run", [*run.options, *policy, *limits]))
    chosen = {entry["policy"] for entry in purchases(tmp_path / "run")}
    assert chosen == {"validation", "initial", "margin"}
    assert all(entry["seconds"]["refit"] > 0 for entry in rounds(tmp_path / "run"))
