"""kill -9 at any moment, then the same command again: the ledger of an unbroken run."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from processes import ended, start
from run_folders import bought, purchases, rounds
from tiny import FROZEN, command

from lit_react.cli import main


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory, news_csv: Path, tiny_bert: str) -> tuple[Path, float]:
    """An unbroken run, and how many seconds it took after it had created its ledger."""
    folder = tmp_path_factory.mktemp("unbroken") / "run"
    process = start(command(news_csv, tiny_bert, folder))
    while not (folder / "ledger.sqlite").exists():
        time.sleep(0.01)
    begun = time.monotonic()
    assert ended(process) == 0
    return folder, time.monotonic() - begun


def kill_and_resume(moment: float, unbroken: tuple[Path, float], folder: Path, arguments: list[str]) -> None:
    whole, seconds = unbroken
    process = start(arguments)
    while not (folder / "ledger.sqlite").exists():
        time.sleep(0.01)
    time.sleep(moment * seconds)
    process.kill()
    process.join()
    before = bought(folder) if (folder / "ledger.sqlite").stat().st_size else []
    assert ended(start(arguments)) == 0
    after = bought(folder)
    assert [entry[:2] for entry in after[: len(before)]] == [entry[:2] for entry in before], "nothing bought was lost"
    assert after == bought(whole)
    assert len({entry[:2] for entry in after}) == len(after), "nothing was bought twice"
    assert [e["metrics"] for e in rounds(folder)] == [e["metrics"] for e in rounds(whole)]
    assert [e["reward"] for e in rounds(folder)] == [e["reward"] for e in rounds(whole)]
    assert sum(entry["cost"] for entry in purchases(folder)) == 46


@pytest.mark.parametrize("moment", [0.1, 0.45, 0.8])
def test_resume_after_kill_equals_the_unbroken_run(moment, unbroken, tmp_path, news_csv, tiny_bert) -> None:
    folder = tmp_path / "run"
    kill_and_resume(moment, unbroken, folder, command(news_csv, tiny_bert, folder))


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", range(20))
def test_resume_after_kill_at_a_random_moment_equals_the_unbroken_run(
    seed, unbroken, tmp_path, news_csv, tiny_bert
) -> None:
    folder = tmp_path / "run"
    kill_and_resume(random.Random(seed).random(), unbroken, folder, command(news_csv, tiny_bert, folder))


@pytest.mark.parametrize(
    ("number", "task"),
    [(signal.SIGINT, []), (signal.SIGTERM, []), (signal.SIGTERM, FROZEN)],
    ids=["^C", "kill", "frozen"],
)
def test_a_run_that_is_stopped_ends_at_once_and_says_how_to_go_on(number, task, tmp_path, news_csv, tiny_bert) -> None:
    encoder = ["--model.pretrained", tiny_bert, "--model.max_length", "16"] if task else []
    arguments = command(news_csv, tiny_bert, tmp_path / "run", *task, *encoder)
    told = tmp_path / "told.txt"
    process = start(arguments, told)
    while not (told.exists() and "\nround 1: " in told.read_text()):
        assert process.is_alive()
        time.sleep(0.01)
    os.kill(process.pid, number)
    assert ended(process, within=60) == 128 + number
    lines = told.read_text().splitlines()
    assert lines[-1] == "stopped, the same command goes on"
    assert "Traceback" not in told.read_text()
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["stopped"] is None, "it was stopped before its end"
    main(arguments)
    assert len({(row[0], row[1]) for row in bought(tmp_path / "run")}) == len(bought(tmp_path / "run")) == 46


WAITS = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job of a script ignores it
import lit_react.cli.stops as stops
from torch.distributed import TCPStore

stops.PATIENCE = 0.2
stops.tell_stops("fit")
print("waits", flush=True)
TCPStore("127.0.0.1", 0, world_size=2, is_master=True)
"""
"""Waits for a second process in a call that lets no signal through."""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_process_that_waits_for_others_in_vain(number) -> None:
    process = subprocess.Popen([sys.executable, "-c", WAITS], stdout=-1, stderr=-1, text=True)
    assert process.stdout.readline() == "waits\n"
    time.sleep(0.5)
    process.send_signal(number)
    assert process.communicate(timeout=20)[1].endswith("stopped, the same command goes on\n")
    assert process.returncode == 128 + number


DROPS = """
import signal
import lit_react.cli.stops as stops


class Freed:
    def __del__(self):
        signal.raise_signal(signal.SIGTERM)


stops.tell_stops("fit")
Freed()
while True:
    pass
"""
"""Is told to end while an object is freed."""


def test_a_signal_ends_a_process_whatever_it_does() -> None:
    done = subprocess.run([sys.executable, "-c", DROPS], capture_output=True, text=True, timeout=20)
    assert (done.returncode, done.stderr) == (128 + signal.SIGTERM, "stopped, the same command goes on\n")
