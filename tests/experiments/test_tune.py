"""A search of options: trials learn what a run has bought and nothing else, once each, and go on where they stopped."""

import json
import os
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import optuna
import pytest
import yaml
from processes import ended, start
from wandb.wandb_agent import Agent

from lit_react.annotation.ledger import Ledger
from lit_react.cli import main
from lit_react.cli.lightning_cli import ParsedOnly, run_lightning
from lit_react.experiments.search_space import fragment
from lit_react.experiments.study import PRUNED, STARTUP, open_study, worth
from lit_react.experiments.tune import Search
from lit_react.run.replay import lay_out, measured, replay_of
from lit_react.run.results import read_results
from lit_react.run.state import RunState

CONFIGS = Path(__file__).parent.parent.parent / "configs"
SPACE = {
    "model.optimizer": {"choices": ["AdamW"]},
    "model.optimizer.lr": {"float": [1e-4, 1e-2], "log": True},
    "data.batch_size": {"choices": [4, 8]},
}


def config(folder: Path, finished: Path, **changes: Any) -> list[str]:
    """The command of a study of two trials, one after the other."""
    options = {"run": str(finished), "folder": str(folder / "study"), "trials": 2, "workers": 1, "space": SPACE}
    (folder / "tune.yaml").write_text(yaml.safe_dump(options | changes, sort_keys=False))
    return ["tune", "--config", str(folder / "tune.yaml")]


def answers(run: Path) -> list[Any]:
    with Ledger(run / "ledger.sqlite", budget=0, fingerprint=None, read_only=True) as ledger:
        return ledger.history()


def search(folder: Path, run: Path) -> Search:
    return Search(run, folder / "study", SPACE, replay_of(run), after=1)


@pytest.mark.parametrize("oracle", ["GoldOracle", "FileOracle"])
def test_a_replay_is_the_run_once_more_and_neither_buys_nor_tests(oracle: str, finished: Path, tmp_path) -> None:
    run, again = tmp_path / "run", tmp_path / "again"
    shutil.copytree(finished, run)
    record = json.loads((run / "run.json").read_text())
    record["rounds"]["oracle"] = {"class_path": f"lit_react.annotation.oracles.{oracle}"}
    (run / "run.json").write_text(json.dumps(record))
    lay_out(run, again)
    options = replay_of(run) | {"rounds.folder": again}
    main(["fit", "--config", str(run / "config.yaml"), *(f"--{name}={value}" for name, value in options.items())])
    assert measured(again) == measured(run)
    assert answers(again) == answers(run)
    rounds = json.loads((again / "result.json").read_text())["rounds"]
    assert all(name.startswith("val/") for entry in rounds for name in entry["metrics"])


def test_a_study_that_is_killed_goes_on_and_runs_no_finished_trial_twice(finished: Path, tmp_path, capfd) -> None:
    words = config(tmp_path, finished)
    first, second = (tmp_path / "study" / f"trial_{number:03d}" for number in (0, 1))
    process = start(words)
    while not (second / "output.log").exists():
        assert process.is_alive(), (first / "output.log").read_text()
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    ended(process, within=20)
    time.sleep(1)  # its worker ends with it, a moment later on a busy machine
    before = (first / "state.pt").stat().st_mtime_ns
    main(words)
    out = capfd.readouterr().out
    assert (first / "state.pt").stat().st_mtime_ns == before
    trials = open_study(tmp_path / "study" / "study.sqlite").trials
    assert [trial.state.name for trial in trials] == ["COMPLETE"] * 2
    assert [trial.value for trial in trials] == [worth(*measured(folder)) for folder in (first, second)]
    assert f"the 46 of {finished} chose among 2 trials and none was bought" in out
    best = max(trials, key=lambda trial: trial.value).params
    merged = ["--config", str(finished / "config.yaml"), "--config", str(tmp_path / "study" / "best.yaml")]
    with pytest.raises(SystemExit):
        main(["fit", *merged, "--print_config"])
    printed = yaml.safe_load(capfd.readouterr().out)
    assert printed["model"]["init_args"]["optimizer"]["init_args"]["lr"] == best["model.optimizer.lr"]
    assert printed["data"]["init_args"]["batch_size"] == best["data.batch_size"]
    assert printed["model"]["init_args"]["max_length"] == 16, "what the space leaves out stays"


def test_a_trial_below_the_median_of_the_others_ends_early(finished: Path, tmp_path) -> None:
    (tmp_path / "study").mkdir()
    study = open_study(tmp_path / "study" / "study.sqlite")
    for _ in range(STARTUP):
        study.add_trial(optuna.trial.create_trial(value=1.0, intermediate_values=dict.fromkeys(range(4), 1.0)))
    trial = study.ask()
    job = search(tmp_path, finished).job(trial.number, {"trainer.max_epochs": 1})
    lay_out(finished, job.folder)
    main(job.arguments())
    result = read_results(job.folder)
    assert result["stopped"] == PRUNED
    assert len(result["rounds"]) == 2, "the first is let be"
    assert study.trials[-1].intermediate_values == pytest.approx({1: worth(*measured(job.folder))})


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"space": {}}, "space: no options"),
        ({"space": {"model.warmup": 0.1}}, "space: model.warmup: got 0.1, expected {float: [low, high]}"),
        ({"space": {"model.warmup": {"float": [0.1]}}}, "space: model.warmup: got {'float': [0.1]}, expected"),
        ({"space": {"model.warmup": {"int": [0.1, 0.2]}}}, "space: model.warmup: got {'int'"),
        ({"space": {"model.warmup": {"float": [0.2, 0.1]}}}, "space: model.warmup: `low <= high` must hold"),
        ({"space": {"model.warmup": {"float": [0, 1], "log": "yes"}}}, "space: model.warmup: got"),
        ({"space": {"model.warmup": {"choices": []}}}, "space: model.warmup: got"),
        ({"space": {"data.init_args.source": {"choices": ["a"]}}}, "data.init_args.source says which labels"),
        ({"space": {"acquisition.query_size": {"int": [1, 2]}}}, "acquisition.query_size says which labels"),
        ({"space": {"rounds.aggregation": {"choices": ["majority"]}}}, "rounds.aggregation says which labels"),
        ({"space": {"model.wormup": {"float": [0, 1]}}}, "wormup"),
        ({"space": {"model.warmup": {"choices": ["much"]}}}, "warmup"),
        ({"trials": 0}, "trials: 0 is too small"),
        ({"run": "nowhere"}, "nowhere: no round of a run of `fit` has ended there"),
    ],
)
def test_a_wrong_study_is_one_line_before_anything_runs(change, expected, finished: Path, tmp_path, capsys) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(config(tmp_path, finished, **change))
    line = capsys.readouterr().err
    assert stopped.value.code == 2
    assert line.startswith("error: ")
    assert line.count("\n") == 1
    assert expected in line
    assert not (tmp_path / "study").exists()


def test_a_trial_is_worth_what_its_fits_told_before_they_learned_it_or_else_its_validation() -> None:
    assert worth([0.9, 1.0], [True, False, False, True]) == 0.5
    assert worth([0.25, 0.75], []) == 0.5


def test_a_run_whose_labels_tell_nothing_is_refused(finished: Path, tmp_path, capsys) -> None:
    shutil.copytree(finished, tmp_path / "run")
    state = RunState.load(finished)
    state.rounds[-1]["validation"] = 0
    state.save(tmp_path / "run")
    with pytest.raises(SystemExit):
        main(config(tmp_path, tmp_path / "run"))
    assert "no validation labels, and no label of a class that was predicted" in capsys.readouterr().err


def test_the_fragment_of_options_names_the_classes_that_take_them() -> None:
    inner = {"class_path": "AdamW", "init_args": {"lr": 1, "eps": 2}}
    whole = {"model": {"class_path": "M", "init_args": {"optimizer": inner, "warmup": 3}}, "rounds": {"refit": True}}
    found = fragment(whole, ["model.init_args.optimizer.init_args.lr", "rounds.refit"])
    optimizer = {"class_path": "AdamW", "init_args": {"lr": 1}}
    assert found == {"model": {"class_path": "M", "init_args": {"optimizer": optimizer}}, "rounds": {"refit": True}}


def test_the_shipped_space_is_one_of_fit(finished: Path, tmp_path) -> None:
    space = yaml.safe_load((CONFIGS / "tune.yaml").read_text())["space"]
    Search(finished, tmp_path, space, replay_of(finished), after=1).check()


def test_the_command_line_understands_the_agent_of_a_sweep(tmp_path, monkeypatch) -> None:
    seen = tmp_path / "words"
    (tmp_path / "python").write_text(f'#!/bin/sh\nfor word; do echo "$word"; done > {seen}\n')
    (tmp_path / "python").chmod(0o755)
    for name, value in {"PATH": f"{tmp_path}:{os.environ['PATH']}", "WANDB_DIR": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    for name in ("WANDB_RUN_ID", "WANDB_SWEEP_PARAM_PATH"):  # the agent sets them
        monkeypatch.setenv(name, "")
    sweep = yaml.safe_load((CONFIGS / "sweep.yaml").read_text())
    values = {"model.optimizer.lr": 2e-05, "rounds.steps.least": 30, "data.batch_size": 4}
    assert values.keys() == sweep["parameters"].keys()
    agent = Agent(None, None)
    agent._sweep_command = sweep["command"]
    drawn = {name: {"value": value} for name, value in {**values, "model.compile": True}.items()}
    agent._command_run({"run_id": "abc", "program": None, "args": drawn})
    assert agent._run_processes["abc"].wait() == 0
    words = seen.read_text().split("\n")[:-1]
    assert words[:3] == ["-m", "lit_react", "fit"]
    assert {"--model.optimizer.lr=2e-05", "--model.compile=True", "runs/sweep/abc"} <= set(words)
    monkeypatch.chdir(CONFIGS.parent)
    run_lightning(words[2:], ParsedOnly)
