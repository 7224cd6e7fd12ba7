"""Processes that torchrun, srun or a user on each machine starts are one run: the first one alone buys and writes.

Most of them are told what such a launcher tells them, and begin at once.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from shutil import which
from subprocess import PIPE, Popen

import pytest
from processes import Told, by_torchrun, codes, ended, own_files, start, started, told, wait_for
from run_folders import bought, rounds
from tiny import ACCELERATOR, FROZEN, command

from lit_react.cli import main

pytestmark = pytest.mark.skipif(ACCELERATOR != "cpu", reason="processes of one machine, each with a CPU")


def by_srun(rank: int, port: int) -> Told:
    """What srun tells one of two tasks on two machines."""
    job = {"SLURM_JOB_ID": 4711, "SLURM_JOB_NAME": "train", "SLURM_NNODES": 2, "SLURM_NODELIST": "node[1-2]"}
    task = {"SLURM_NTASKS": 2, "SLURM_NTASKS_PER_NODE": 1, "SLURM_PROCID": rank, "SLURM_LOCALID": 0}
    return {**job, **task, "SLURM_NODEID": rank, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}


def by_a_user(rank: int, port: int) -> Told:
    """What a user tells the process that is started on each of two machines."""
    return {"NODE_RANK": rank, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}


@pytest.fixture(scope="module")
def frozen(news_csv: Path, tiny_bert: str) -> list[str]:
    """The command of a run of three rounds, into `run` of the working folder."""
    own = ["--model.pretrained", tiny_bert, "--model.max_length", "16", "--rounds.budget", "40"]
    return command(news_csv, tiny_bert, Path("run"), *FROZEN, *own)


@pytest.fixture(scope="module")
def by_one(tmp_path_factory: pytest.TempPathFactory, frozen: list[str]) -> Path:
    """Folder of that run by one process."""
    folder = tmp_path_factory.mktemp("by_one")
    assert ended(start(frozen, inside=folder)) == 0
    return folder / "run"


def same(one: Path, two: Path) -> None:
    """Both runs bought and measured the same."""
    assert bought(two) == bought(one)
    assert len(bought(two)) == 40
    for first, second in zip(rounds(one), rounds(two), strict=True):
        assert second["metrics"] == pytest.approx(first["metrics"], abs=1e-4)


def torchrun(words: list[str], *options: str, inside: Path, by: Sequence[str] = (), **told: str) -> Popen[str]:
    """A torchrun that has begun in a folder; `by` is a command that runs it."""
    paths = os.pathsep.join([str(Path.cwd()), os.environ.get("PYTHONPATH", "")])
    launch = [sys.executable, "-m", "torch.distributed.run", *options, "-m", "lit_react"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": paths, **told}
    return Popen([*by, *launch, *words], cwd=inside, env=environment, stdout=PIPE, stderr=PIPE, text=True)


def test_torchrun_buys_what_one_process_buys(frozen, by_one, tmp_path) -> None:
    process = torchrun(frozen, "--standalone", "--nproc_per_node=2", inside=tmp_path)
    said, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors[-3000:]
    assert said.count("round 2: ") == 1, "one process speaks"
    same(by_one, tmp_path / "run")


@pytest.fixture
def namespaces() -> Iterator[list[str]]:
    """Two network namespaces, joined by a cable from `cable_0` (10.77.0.1) to `cable_1` (10.77.0.2)."""
    names = [f"lit-react-{os.getpid()}-{number}" for number in range(2)]
    steps = [f"netns add {name}" for name in names]
    steps += [f"link add cable_0 netns {names[0]} type veth peer name cable_1 netns {names[1]}"]
    for number, name in enumerate(names):
        steps += [f"-n {name} addr add 10.77.0.{number + 1}/24 dev cable_{number}", f"-n {name} link set lo up"]
        steps += [f"-n {name} link set cable_{number} up"]
    try:
        for step in steps:
            done = subprocess.run(["ip", *step.split()], capture_output=True, text=True) if which("ip") else None
            if done is None or done.returncode:
                pytest.skip(f"no network namespaces here: {done.stderr.strip() if done else 'ip is not installed'}")
        yield names
    finally:
        for name in names if which("ip") else []:
            subprocess.run(["ip", "netns", "delete", name], capture_output=True)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_four_processes_on_two_machines_with_networks_of_their_own(namespaces, frozen, by_one, tmp_path) -> None:
    agents = []
    for rank, name in enumerate(namespaces):
        (folder := tmp_path / f"machine_{rank}").mkdir()
        meet = ["--nnodes=2", f"--node_rank={rank}", "--master_addr=10.77.0.1", "--master_port=29500"]
        place = {"inside": folder, "by": ["ip", "netns", "exec", name], "GLOO_SOCKET_IFNAME": f"cable_{rank}"}
        agents.append(torchrun(frozen, *meet, "--nproc_per_node=2", **place))
    for agent in agents:
        agent.wait(timeout=800)
        assert agent.returncode == 0
    same(by_one, tmp_path / "machine_0" / "run")
    assert not own_files(tmp_path, 1)


def test_two_machines_share_no_file(frozen, by_one, tmp_path) -> None:
    words = [*frozen, "--trainer.num_nodes=2", "--trainer.devices=1"]
    assert codes(started(words, tmp_path, by_a_user)) == [0, 0], told(tmp_path, 1)
    same(by_one, tmp_path / "machine_0" / "run")
    assert not own_files(tmp_path, 1)


def test_models_that_only_the_first_machine_has_are_used_on_all(news_csv, tiny_bert, tmp_path) -> None:
    pretraining = ["--pretraining.training.steps=2", "--pretraining.objective.max_length=32"]
    words = command(news_csv, tiny_bert, Path("run"), "--rounds.start=warm", "--trainer.max_epochs=1", *pretraining)
    words += ["--rounds.budget=34"]
    machine = tmp_path / "machine_0"
    (tmp_path / "one.csv").write_text("text\ngood news\n")
    exported = ["--model.pretrained=run/model", f"--data.predict={tmp_path}/one.csv", "--predictions.path=one.jsonl"]
    for task, *own in (["fit"], ["validate"], ["predict"], ["predict", *exported]):
        assert codes(started([task, *words[1:], *own], tmp_path, machines=2)) == [0, 0], told(tmp_path, 0)
    assert len(rounds(machine / "run")) == 2
    assert len((machine / "predictions.jsonl").read_text().splitlines()) == 110
    assert len((machine / "one.jsonl").read_text().splitlines()) == 1, "fewer rows than processes"
    assert not own_files(tmp_path, 1)


def test_machines_with_other_rows_are_refused_before_anything_is_bought(frozen, tmp_path) -> None:
    for rank in range(2):
        (place := tmp_path / f"machine_{rank}").mkdir()
        (place / "own.csv").write_text("text,label\n" + "good news,sports\nbad news,politics\n" * (80 + rank))
    assert codes(started([*frozen, "--data.test=own.csv"], tmp_path)) == [2, 2]
    lines = [line for rank in range(2) for line in told(tmp_path, rank).splitlines() if line.startswith("error: ")]
    assert lines == ["error: data: the rows on one machine are others than on the first one: expected the same files"]
    assert own_files(tmp_path, 0) == ["own.csv"]


def test_what_only_one_process_of_a_machine_meets_is_said_by_that_one(frozen, tmp_path) -> None:
    (tmp_path / "machine_0").mkdir()
    (tmp_path / "machine_0" / "own.csv").write_text("text,label\n" + "good news,sports\nbad news,politics\n" * 80)
    assert codes(started([*frozen, "--data.source=own.csv"], tmp_path)) == [2, 2]
    assert told(tmp_path, 1) == "error: own.csv: no such file\n"
    assert "another process of this run has ended, see what it said" in told(tmp_path, 0)


@pytest.mark.parametrize("killed", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_a_process_that_dies_ends_the_run_and_the_same_command_goes_on(killed, frozen, by_one, tmp_path) -> None:
    processes = started(frozen, tmp_path, machines=2)
    wait_for("round 1: ", tmp_path, processes)
    processes[killed].kill()
    other = processes[1 - killed]
    assert ended(other, within=60) == 2
    last = told(tmp_path, 1 - killed).splitlines()[-1]
    assert last == "error: another process of this run has ended, see what it said: the same command goes on"
    assert "Traceback" not in told(tmp_path, 1 - killed)
    assert codes(started(frozen, tmp_path, machines=2)) == [0, 0]
    same(by_one, tmp_path / "machine_0" / "run")
    assert not own_files(tmp_path, 1)


def test_a_job_that_is_preempted_is_queued_again_and_goes_on(frozen, by_one, tmp_path, monkeypatch) -> None:
    slurm = tmp_path / "bin" / "scontrol"
    slurm.parent.mkdir()
    slurm.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/asked.txt\n')
    slurm.chmod(0o755)
    monkeypatch.setenv("PATH", str(slurm.parent), prepend=os.pathsep)
    processes = started(frozen, tmp_path, by_srun)
    wait_for("round 1: ", tmp_path, processes)
    for number, line in ((signal.SIGUSR1, "job 4711 is queued again"), (signal.SIGTERM, "")):
        for process in processes:
            os.kill(process.pid, number)
        wait_for(line, tmp_path, processes if line else [])
    assert codes(processes) == [128 + signal.SIGTERM] * 2
    assert (tmp_path / "asked.txt").read_text() == "requeue 4711\n"
    assert told(tmp_path, 0).splitlines()[-1] == "stopped, the same command goes on"
    assert codes(started(frozen, tmp_path, by_srun)) == [0, 0]
    same(by_one, tmp_path / "machine_0" / "run")


@pytest.fixture(scope="module")
def unlabeled(tmp_path_factory: pytest.TempPathFactory, frozen: list[str]) -> list[str]:
    """The command of a run whose texts have no labels."""
    texts = tmp_path_factory.mktemp("texts") / "texts.csv"
    texts.write_text("text\n" + "".join(f"{word} news\n" for word in ("good", "bad", "no", "late", "more", "sad")))
    own = ["--data.validation_size=0", "--data.test_size=0", "--data.initial_size=2", "--data.label_names=[one,two]"]
    return [*frozen, f"--data.source={texts}", *own]


def test_processes_wait_for_people_and_end_when_they_are_told_to(unlabeled, tmp_path) -> None:
    processes = started([*unlabeled, "--rounds.oracle=Page", "--rounds.oracle.port=0"], tmp_path, machines=2)
    wait_for("", tmp_path, processes, "run/page_tokens.json")
    time.sleep(1)
    for process in reversed(processes):
        os.kill(process.pid, signal.SIGTERM)
        assert ended(process, within=20) == 128 + signal.SIGTERM
    assert "rror" not in told(tmp_path, 0) + told(tmp_path, 1)


def test_labels_that_are_awaited_end_all_processes_in_peace(unlabeled, tmp_path) -> None:
    words = [*unlabeled, "--rounds.oracle=file"]
    assert codes(started(words, tmp_path, machines=2)) == [0, 0], told(tmp_path, 1)
    assert (tmp_path / "machine_0/run/round_00/to_label.jsonl").exists()
    assert codes(started([*words, "--seed_everything=1"], tmp_path, machines=2)) == [2, 2]
    assert "this run was begun with seed_everything = 0" in told(tmp_path, 0)
    assert not told(tmp_path, 1), "the first one has said it"


@pytest.mark.parametrize(
    ("launched", "words", "expected"),
    [
        (by_torchrun(0, 1), ["--trainer.devices=1"], "trainer: 2 processes were started from outside (TorchElasticEnv"),
        (by_srun(0, 1), ["--trainer.devices=2"], "trainer: You set `devices=2` in Lightning, but the number of tasks"),
        (by_srun(0, 1) | {"SLURM_NTASKS": 1}, ["--trainer.devices=2"], "trainer: 1 process was started from outside"),
        (by_srun(0, 1) | {"SLURM_NNODES": 1}, [], "HINT: Set `num_nodes=1`"),
        (by_torchrun(0, 1), ["--trainer.strategy=ddp_spawn"], "trainer.strategy: spawned or forked processes cannot"),
    ],
)
def test_what_contradicts_the_launcher_is_told_before_anything_is_written(
    launched, words, expected, frozen, tmp_path, monkeypatch, capsys
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in launched.items():
        monkeypatch.setenv(name, str(value))
    with pytest.raises(SystemExit) as stopped:
        main([*frozen, *words])
    assert stopped.value.code == 2
    assert expected in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_commands_of_one_process_are_refused_in_two(tmp_path, monkeypatch, capsys) -> None:
    for name, value in by_torchrun(1, 1, machines=2).items():
        monkeypatch.setenv(name, str(value))
    with pytest.raises(SystemExit):
        main(["report", str(tmp_path)])
    assert "error: report: 2 processes were started from outside, and it is of one" in capsys.readouterr().err
