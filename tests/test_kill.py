"""kill -9 at any moment, then the same command again: the ledger of an unbroken run."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from test_fit import bought, purchases, rounds
from tiny import command


def start(arguments: list[str]) -> subprocess.Popen:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    out = subprocess.DEVNULL
    return subprocess.Popen([sys.executable, "-m", "lit_react", *arguments], env=environment, stdout=out, stderr=out)


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory, news_csv: Path, tiny_bert: str) -> tuple[Path, float]:
    """An unbroken run, and how many seconds it took after it had created its ledger."""
    folder = tmp_path_factory.mktemp("unbroken") / "run"
    process = start(command(news_csv, tiny_bert, folder))
    while not (folder / "ledger.sqlite").exists():
        time.sleep(0.01)
    begun = time.monotonic()
    assert process.wait() == 0
    return folder, time.monotonic() - begun


def kill_and_resume(moment: float, unbroken: tuple[Path, float], folder: Path, arguments: list[str]) -> None:
    whole, seconds = unbroken
    process = start(arguments)
    while not (folder / "ledger.sqlite").exists():
        time.sleep(0.01)
    time.sleep(moment * seconds)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = bought(folder) if (folder / "ledger.sqlite").stat().st_size else []
    assert start(arguments).wait() == 0
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
