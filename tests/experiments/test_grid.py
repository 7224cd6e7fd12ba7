"""A grid: cells that are finished stay, cells that fail are told, cells that were cut short go on."""

import os
import signal
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from grids import printed
from processes import ended, start
from small_grid import compare, result, write

from lit_react.cli import main
from lit_react.cli.commands import COMMANDS
from lit_react.core.errors import UserError
from lit_react.experiments.executors import DIED, LocalExecutor
from lit_react.experiments.grid import plan
from lit_react.experiments.jobs import Job

CONFIGS = Path(__file__).parent.parent.parent / "configs"
ARCHIVES = CONFIGS.parent / "docs" / "results"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, news_csv: Path, tiny_bert: str) -> Path:
    """The folder of a grid of two finished cells."""
    folder = tmp_path_factory.mktemp("finished")
    config = write(folder, news_csv, tiny_bert)
    assert compare("--config", config) == 0
    return folder


def test_each_cell_is_a_run_with_its_own_strategy_and_output(finished: Path) -> None:
    for strategy, proposals in (("margin", "Batches"), ("either", "Samples")):
        cell = finished / "grid" / "news" / strategy / "seed_00"
        assert "budget" in result(cell)["stopped"]
        config = yaml.safe_load((cell / "config.yaml").read_text())
        assert config["acquisition"]["proposals"]["class_path"].endswith(proposals)
        assert (config["seed_everything"], config["data"]["init_args"]["split_seed"]) == (0, 0)
        assert config["wandb"]["mode"] == "disabled"
        assert "test" in (cell / "output.log").read_text(), "the table of the run"


def test_finished_cells_are_left_alone(finished: Path, capfd) -> None:
    times = {path: path.stat().st_mtime_ns for path in finished.rglob("grid/**/*")}
    assert compare("--config", str(finished / "grid.yaml")) == 0  # a worker process would take seconds to begin
    assert "2 of 2 cells finished, 0 of them now" in capfd.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in finished.rglob("grid/**/*")} == times


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"options": {"data.initial_size": 9}}, "data.initial_size"),
        (
            {"strategies": {"margin": {"acquisition.proposals": "Samples"}}},
            "acquisition.proposals = None, now it is 'Samples'",
        ),
    ],
)
def test_results_of_other_options_are_not_taken_for_these(finished: Path, change, expected, capsys) -> None:
    grid = yaml.safe_load((finished / "grid.yaml").read_text())
    for name, value in change.items():
        grid[name] |= value
    (finished / "changed.yaml").write_text(yaml.safe_dump(grid, sort_keys=False))
    assert compare("--config", str(finished / "changed.yaml")) == 2
    line = capsys.readouterr().err
    assert expected in line
    assert "news/margin/seed_00" in line
    assert line.count("\n") == 1


def test_a_changed_config_file_is_noticed(finished: Path, tmp_path, capsys) -> None:
    grid = yaml.safe_load((finished / "grid.yaml").read_text())
    (tmp_path / "base.yaml").write_text("trainer: {gradient_clip_val: 1.0}")
    (tmp_path / "grid.yaml").write_text(yaml.safe_dump(grid | {"configs": [str(tmp_path / "base.yaml")]}))
    assert compare("--config", str(tmp_path / "grid.yaml")) == 2
    assert "trainer.gradient_clip_val = None, now it is 1.0" in capsys.readouterr().err


def test_where_and_how_fast_cells_compute_may_change(finished: Path) -> None:
    grid = yaml.safe_load((finished / "grid.yaml").read_text())
    grid["options"]["data.eval_batch_size"] = 7
    (finished / "slower.yaml").write_text(yaml.safe_dump(grid))
    assert compare("--config", str(finished / "slower.yaml")) == 0


def test_a_grid_goes_on_from_the_cells_of_its_archive(finished: Path, tmp_path, capsys) -> None:
    for into in ("first", "second"):
        assert "2 cells" in printed("archive.py", finished / "grid", "--into", tmp_path / into)
    archives = [tmp_path / into / "grid.zip" for into in ("first", "second")]
    assert archives[0].read_bytes() == archives[1].read_bytes()
    zipfile.ZipFile(archives[0]).extractall(tmp_path)
    grid = yaml.safe_load((finished / "grid.yaml").read_text()) | {"folder": str(tmp_path / "grid")}
    (tmp_path / "grid.yaml").write_text(yaml.safe_dump(grid, sort_keys=False))
    assert compare("--config", str(tmp_path / "grid.yaml")) == 0
    assert "2 of 2 cells finished, 0 of them now" in capsys.readouterr().out


def test_a_cell_that_fails_does_not_stop_the_others_and_can_be_mended(tmp_path, news_csv, tiny_bert, capfd) -> None:
    missing = tmp_path / "missing.csv"
    data = {"broken": {"data.source": str(missing)}, "news": None}
    config = write(tmp_path, news_csv, tiny_bert, data=data, strategies={"margin": None})
    words = ["--config", config]
    assert compare(*words) == 1
    out, err = capfd.readouterr()
    assert "1 of 2 cells finished" in out
    (line,) = [line for line in err.splitlines() if line.startswith("failed: ")]
    log = tmp_path / "grid" / "broken" / "margin" / "seed_00" / "output.log"
    assert line.startswith("failed: broken/margin/seed_00: error: ")
    assert "missing.csv" in line
    assert str(log) in line
    assert "missing.csv" in log.read_text()
    missing.write_text(news_csv.read_text())
    assert compare(*words) == 0
    assert "2 of 2 cells finished, 1 of them now" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"strategies": {"margins": None}}, "margins"),
        ({"strategies": {"a/b": {}}}, "a/b"),
        ({"strategies": {"-b": {}}}, "'-b' is no name for a folder"),
        ({"data": {"..": {}}}, "'..' is no name for a folder"),
        ({"data": {"a\x1b[31m": {}}}, "is no name for a folder"),
        ({"seeds": 0}, "seeds"),
        ({"seeds": [1, 1]}, "seeds"),
        ({"data": {}}, "data"),
        ({"configs": ["no_{data}.yaml"]}, "no_news.yaml"),
        ({"executor": {"class_path": "LocalExecutor", "init_args": {"workers": 0}}}, "executor.workers"),
        ({"executor": "Somewhere"}, "Somewhere"),
        ({"sedes": 3}, "sedes"),
    ],
)
def test_a_wrong_grid_is_one_line_before_anything_runs(change, expected, tmp_path, news_csv, tiny_bert, capsys) -> None:
    assert compare("--config", write(tmp_path, news_csv, tiny_bert, **change)) == 2
    line = capsys.readouterr().err
    assert line.startswith("error: ")
    assert line.count("\n") == 1
    assert expected in line
    assert not (tmp_path / "grid").exists()


@pytest.mark.parametrize("devices", [2, -1, [0, 1], "2"])
def test_a_cell_of_several_processes_is_refused(devices, tmp_path) -> None:
    with pytest.raises(UserError, match=r"trainer\.devices: .* a cell is computed by one process"):
        plan(tmp_path, [], {"a": {}}, {"random": None}, [0], {"trainer.devices": devices})


@pytest.mark.parametrize(
    ("given", "words"), [({}, "1"), ({"trainer.devices": "auto"}, "1"), ({"trainer.devices": [3]}, "[3]")]
)
def test_a_cell_computes_on_one_device(given, words, tmp_path) -> None:
    (job,) = plan(tmp_path, [], {"a": {}}, {"random": None}, [0], given)
    assert [word for word in job.arguments() if "devices" in word] == [f"--trainer.devices={words}"]


class SaysGpu(Job):
    """Tells which GPU it sees, and goes no further."""

    def arguments(self) -> list[str]:
        raise ValueError(os.environ.get("CUDA_VISIBLE_DEVICES", "all"))


@pytest.mark.parametrize(("given", "seen"), [("4,6", {"4", "6"}), ("", {""})])
def test_workers_share_out_the_gpus(given, seen, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", given)
    jobs = [SaysGpu(tmp_path / str(number), (), {}, {}) for number in range(4)]
    outcomes = [outcome for _, outcome in LocalExecutor(workers=2).run(jobs)]
    assert set(outcomes) == {f"error: ValueError: {name}" for name in seen}
    assert len(outcomes) == 4


def test_all_cells_of_a_seed_come_before_those_of_the_next(tmp_path) -> None:
    (tmp_path / "x.yaml").write_text("data: {batch_size: 3}")
    jobs = plan(
        tmp_path,
        [f"{tmp_path}/{{data}}.yaml"],
        {"x": {"data": {"text_column": "of_{data}"}}},
        {"margin": None, "own": {"acquisition.agent.pretrained": "without_{data}/{strategy}_{seed}"}},
        [0, 11],
        {"data.text_column": "weaker"},
    )
    assert [job.name for job in jobs] == [f"x/{s}/seed_{n:02d}" for n in (0, 11) for s in ("margin", "own")]
    assert jobs[3].options["acquisition.agent.pretrained"] == "without_x/own_11"
    assert jobs[3].asked["data.text_column"] == "of_x"
    assert jobs[3].asked["data.batch_size"] == 3


class Deadly(Job):
    """Its process dies."""

    def arguments(self) -> list[str]:
        os._exit(1)


class Wrong(Job):
    """Does not get far."""

    def arguments(self) -> list[str]:
        raise ValueError("nothing\nto run")


def test_the_death_of_a_worker_is_the_end_of_one_cell(tmp_path) -> None:
    jobs = [kind(tmp_path / str(i), (), {}, {}) for i, kind in enumerate((Deadly, Wrong))]
    outcomes = {int(job.folder.name): outcome for job, outcome in LocalExecutor(workers=1).run(jobs)}
    assert outcomes == {0: DIED, 1: "error: ValueError: nothing to run"}


@pytest.mark.parametrize(
    ("end", "code"), [(signal.SIGKILL, -9), pytest.param(signal.SIGINT, 130, marks=pytest.mark.slow)]
)
def test_a_grid_that_is_stopped_goes_on(end, code, finished: Path, tmp_path, news_csv, tiny_bert, capfd) -> None:
    config = write(tmp_path, news_csv, tiny_bert, executor={"class_path": "LocalExecutor", "init_args": {"workers": 1}})
    process = start(["compare", "--config", config])
    first, second = (tmp_path / "grid" / "news" / name / "seed_00" for name in ("margin", "either"))
    while not (second / "ledger.sqlite").exists():
        assert process.is_alive(), (first / "output.log").read_text()
        time.sleep(0.02)
    os.kill(process.pid, end)
    assert ended(process, within=20) == code
    time.sleep(1)  # its worker ends with it, a moment later on a busy machine
    before = (first / "state.pt").stat().st_mtime_ns
    assert compare("--config", config) == 0
    assert "2 of 2 cells finished, 1 of them now" in capfd.readouterr().out
    assert (first / "state.pt").stat().st_mtime_ns == before
    for cell in (first, second):
        rounds, unbroken = result(cell)["rounds"], result(finished / cell.relative_to(tmp_path))["rounds"]
        # a single worker has all cores, and sums in its order
        for found, expected in zip(rounds, unbroken, strict=True):
            assert found["metrics"] == pytest.approx(expected["metrics"], rel=1e-5)


OVER = {
    "policy": [],
    "tasks": [],
    "tasks_short": ["tasks"],
    "labels": [],
    "labels_short": ["labels"],
    "labels_setfit": ["labels"],
}
"""Grids that are not merged over `policy`, and what they are merged over."""


def shipped_jobs(name: str, **changes: Any) -> list[Job]:
    """The cells of a grid as its command runs them."""
    grid: dict[str, Any] = {"options": {}}
    for part in (*OVER.get(name, ["policy"]), name):
        grid |= shipped(f"compare/{part}.yaml")
    grid |= changes
    seeds = range(grid["seeds"]) if isinstance(grid["seeds"], int) else grid["seeds"]
    return plan(Path(grid["folder"]), grid["configs"], grid["data"], grid["strategies"], list(seeds), grid["options"])


@pytest.mark.parametrize("name", sorted(path.stem for path in CONFIGS.glob("compare/*.yaml") if path.stem != "base"))
def test_shipped_grids_are_sound(name: str, monkeypatch) -> None:
    monkeypatch.chdir(CONFIGS.parent)
    comment = (CONFIGS / "compare" / f"{name}.yaml").read_text().split("\n\n")[0]
    assert f"configs/compare/{name}.yaml" in comment, "the command that runs it"
    assert {job.folder.parts[1] for job in shipped_jobs(name, seeds=[0])} == {name}, "a folder of its own"


@pytest.mark.parametrize("name", sorted(path.stem for path in ARCHIVES.glob("*.zip")))
def test_archived_cells_are_those_of_the_shipped_grid_which_goes_on_from_them(name: str, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(CONFIGS.parent)
    with zipfile.ZipFile(ARCHIVES / f"{name}.zip") as archive:
        archive.extractall(tmp_path)
    jobs = shipped_jobs(name, folder=str(tmp_path / name))
    archived = {path.parent for path in tmp_path.glob("*/*/*/*/cell.json")}
    assert archived <= {job.folder for job in jobs}
    for job in jobs:
        job.check_record()


def shipped(path: str) -> dict[str, Any]:
    return yaml.safe_load((CONFIGS / path).read_text())


def test_the_fits_of_the_shipped_grid_have_options_that_exist(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(CONFIGS.parent)
    grid = yaml.safe_load((CONFIGS / "compare" / "policy.yaml").read_text())
    strategies = {"policy": grid["strategies"]["policy"]}
    jobs = plan(tmp_path, grid["configs"], grid["data"], strategies, [0], grid.get("options") or {})
    for job in jobs[::5]:  # a second each
        with pytest.raises(SystemExit) as stopped:
            main([*job.arguments(), "--print_config"])
        assert not stopped.value.code, job.name


def test_help_lists_all_commands(capsys) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    listed = capsys.readouterr().out
    assert all(f"\n  {name} " in listed for name in COMMANDS)
    assert all(f"\n    {name} " in listed for name in ("fit", "validate", "test", "predict"))


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_explains_its_options(name: str, capsys) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([name, "--help"])
    assert not stopped.value.code
    assert "--config" in capsys.readouterr().out
