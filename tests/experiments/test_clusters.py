"""Cells on other machines: those that are lost with their machine, or preempted, go on elsewhere."""

import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from shutil import which
from typing import Any

import pytest
from small_grid import compare, result, write
from tiny import command

from lit_react.core.errors import UserError
from lit_react.experiments.executors import RayExecutor, SubmititExecutor
from lit_react.experiments.jobs import Job

MARGIN, EITHER = (Path("grid") / "news" / name / "seed_00" for name in ("margin", "either"))


@pytest.fixture(scope="module")
def cell(tmp_path_factory: pytest.TempPathFactory, news_csv: Path, tiny_bert: str) -> dict:
    """The results of one cell, computed on this machine."""
    folder = tmp_path_factory.mktemp("here")
    assert compare("--config", write(folder, news_csv, tiny_bert, strategies={"margin": None})) == 0
    return result(folder / MARGIN)


@pytest.mark.parametrize(("executor", "extra"), [(RayExecutor(), "ray"), (SubmititExecutor(), "slurm")])
def test_one_line_says_what_to_install(executor, extra, monkeypatch, tmp_path) -> None:
    for name in ("ray", "submitit"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(UserError, match=rf"pip install -e \"\.\[{extra}\]\""):
        next(executor.run([Job(tmp_path, (), {}, {})]))


# ---- SLURM ---------------------------------------------------------------------------------------------------


def by_submitit(folder: Path, **options) -> dict:
    return {"class_path": "SubmititExecutor", "init_args": {"folder": str(folder / "jobs"), **options}}


def preempt(cells: list[Path], jobs: Path) -> None:
    """Tell the jobs of cells that are under way of their end, as SLURM does."""
    while not all((cell / "ledger.sqlite").exists() for cell in cells):
        time.sleep(0.02)
    for log in jobs.glob("*_log.out"):
        controller = log.name.split("_")[0]
        [process] = Path(f"/proc/{controller}/task/{controller}/children").read_text().split()
        os.kill(int(process), signal.SIGUSR2)


@pytest.mark.slow
def test_cells_that_are_preempted_are_queued_again_and_go_on(cell, tmp_path, news_csv, tiny_bert, capfd) -> None:
    config = write(tmp_path, news_csv, tiny_bert, executor=by_submitit(tmp_path, cluster="local"))
    cells = [tmp_path / each for each in (MARGIN, EITHER)]
    scheduler = threading.Thread(target=preempt, args=(cells, tmp_path / "jobs"))
    scheduler.start()
    assert compare("--config", config) == 0
    scheduler.join()
    assert "2 of 2 cells finished, 2 of them now" in capfd.readouterr().out
    logs = [log.read_text() for log in (tmp_path / "jobs").glob("*_log.out")]
    assert [log.count("Requeued job") for log in logs] == [1, 1], logs
    assert result(cells[0])["aulc"] == pytest.approx(cell["aulc"], rel=1e-5)


@pytest.mark.skipif(bool(which("srun")), reason="this machine has SLURM")
def test_without_slurm_there_is_one_line(tmp_path, news_csv, tiny_bert, capsys) -> None:
    config = write(tmp_path, news_csv, tiny_bert, executor=by_submitit(tmp_path))
    others = logging.FileHandler(tmp_path / "log")
    assert compare("--config", config) == 2
    assert not others.stream.closed, "by submitit, as it is imported"
    assert "error: executor: submitit: Could not detect" in (line := capsys.readouterr().err.splitlines()[-1])
    assert "slurm" in line


def test_a_parameter_that_submitit_does_not_know_is_one_line(tmp_path, news_csv, tiny_bert, capsys) -> None:
    unknown = by_submitit(tmp_path, cluster="local", parameters={"partitoin": "gpu"})
    assert compare("--config", write(tmp_path, news_csv, tiny_bert, executor=unknown)) == 2
    assert "error: executor: submitit: " in (line := capsys.readouterr().err.splitlines()[-1])
    assert "partitoin" in line


# ---- Ray -----------------------------------------------------------------------------------------------------


@pytest.fixture
def nodes(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[str, subprocess.Popen]]:
    """The address of a cluster of two nodes of one core, and the node that is not its head."""
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")  # else each machine has the same token in ~/.ray/auth_token
    ray = pytest.importorskip("ray", reason="the extra `ray` is not installed")
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
    begin = [str(Path(sys.executable).with_name("ray")), "start", "--block", "--num-cpus=1", "--disable-usage-stats"]
    log = (tmp_path_factory.mktemp("ray") / "log").open("w")
    started = list[subprocess.Popen]()
    try:
        for options in (
            ["--head", f"--port={address.split(':')[1]}", "--include-dashboard=false"],
            ["--address", address],
        ):
            started.append(
                subprocess.Popen([*begin, *options], start_new_session=True, stdout=log, stderr=subprocess.STDOUT)
            )
            while alive(ray, address) < len(started):
                assert started[-1].poll() is None, Path(log.name).read_text()
                time.sleep(0.2)
        yield address, started[1]
    finally:
        ray.shutdown()
        for process in started:
            kill(process)


def alive(ray: Any, address: str) -> int:
    """Nodes of a cluster."""
    try:
        ray.init(address, log_to_driver=False, logging_level="ERROR")
        return sum(node["Alive"] for node in ray.nodes())
    except ConnectionError:
        return 0
    finally:
        ray.shutdown()


def kill(node: subprocess.Popen) -> None:
    if node.poll() is None:
        os.killpg(node.pid, signal.SIGKILL)
        node.wait()


@pytest.mark.slow
def test_a_cell_that_is_lost_with_its_node_goes_on_elsewhere(nodes, cell, tmp_path, news_csv, tiny_bert, capfd) -> None:
    address, worker = nodes
    ray = {"class_path": "RayExecutor", "init_args": {"address": address}}
    config = write(tmp_path, news_csv, tiny_bert, executor=ray)
    cells = [tmp_path / each for each in (MARGIN, EITHER)]

    def lose() -> None:
        while not all((each / "ledger.sqlite").exists() for each in cells):
            time.sleep(0.02)
        kill(worker)

    loss = threading.Thread(target=lose)
    loss.start()
    assert compare("--config", config) == 0
    loss.join()
    assert "2 of 2 cells finished, 2 of them now" in capfd.readouterr().out
    assert result(cells[0])["aulc"] == pytest.approx(cell["aulc"], rel=1e-5)


@pytest.mark.slow
def test_ray_train_runs_one_run_and_an_error_ends_all_processes(tmp_path, news_csv, tiny_bert) -> None:
    pytest.importorskip("ray", reason="the extra `ray` is not installed")
    script = Path(__file__).parents[2] / "scripts" / "ray_train.py"
    words = command(news_csv, tiny_bert, tmp_path / "run")
    environment = os.environ | {"PYTHONPATH": str(script.parents[1])}

    def launched(*given: str) -> subprocess.CompletedProcess:
        line = [sys.executable, str(script), "--workers", "2", *given]
        return subprocess.run(line, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)

    done = launched(*words)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "budget" in result(tmp_path / "run")["stopped"]
    wrong = launched(*words, "--rounds.budget", "1", "--rounds.folder", str(tmp_path / "other"))
    assert wrong.returncode == 1
    assert "does not pay for the first labels" in wrong.stdout + wrong.stderr
