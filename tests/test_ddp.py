"""Two processes over gloo train the same model and buy the same rows as one."""

import os
import subprocess
import sys

import pytest
import torch
from run_folders import bought, rounds
from tiny import ACCELERATOR, FROZEN, command

pytestmark = pytest.mark.skipif(
    ACCELERATOR != "cpu" and torch.cuda.device_count() < 2, reason="two processes on GPUs need two of them"
)


def run(arguments: list[str]) -> None:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "lit_react", *arguments], env=environment, capture_output=True, text=True, timeout=500
    )
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.parametrize("task", ["fit", "predict"])
def test_processes_started_from_outside_are_refused(task, tmp_path, news_csv, tiny_bert) -> None:
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", "-m", "lit_react"]
    options = ["--trainer.devices=2", "--trainer.strategy=ddp"]
    arguments = [task, *command(news_csv, tiny_bert, tmp_path / "run", *options)[1:]]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run([*launch, *arguments], env=environment, capture_output=True, text=True, timeout=500)
    assert done.returncode != 0
    assert "error: trainer: 2 processes were started from outside (TorchElasticEnvironment)" in done.stderr
    assert "lit_react/" not in done.stderr.partition("error: trainer")[0], "no traceback of ours"
    assert not (tmp_path / "run").exists()


FINE_TUNING: list[str] = []


STRETCHED = [
    "--augmentation.labels=SelfTraining",
    "--augmentation.trust.mode=always",
    "--augmentation.trust.start=0.2",
    "--data.batch_size=4",
]


CONTRASTIVE = ["--augmentation.contrastive.weight=1", "--data.batch_size=4"]


@pytest.mark.parametrize(
    "task",
    [FINE_TUNING, FROZEN, STRETCHED, CONTRASTIVE],
    ids=["fine-tuning", "frozen", "generated labels", "contrastive"],
)
def test_two_processes_buy_the_same_rows_as_one(task, tmp_path, news_csv, tiny_bert_without_dropout) -> None:
    even = ["--data.initial_size", "8", "--acquisition.query_size", "8", "--rounds.budget", "52"]
    encoder = ["--model.pretrained", tiny_bert_without_dropout, "--model.max_length", "16"] if task else []
    for name, devices in (("one", ["--trainer.devices", "1"]), ("two", ["--trainer.devices", "2"])):
        strategy = ["--trainer.strategy", "ddp"] if name == "two" else []
        options = [*task, *encoder, *even, *devices, *strategy]
        run(command(news_csv, tiny_bert_without_dropout, tmp_path / name, *options))
    assert bought(tmp_path / "two") == bought(tmp_path / "one")
    assert len(bought(tmp_path / "two")) == 52
    for one, two in zip(rounds(tmp_path / "one"), rounds(tmp_path / "two"), strict=True):
        assert two["labeled"] == one["labeled"]
        assert two["metrics"]["test/accuracy"] == one["metrics"]["test/accuracy"]
        assert abs(two["metrics"]["test/loss"] - one["metrics"]["test/loss"]) < 1e-4
