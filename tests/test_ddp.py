"""Two processes over gloo train the same model and buy the same rows as one."""

import json
import os
import subprocess
import sys
from importlib import import_module

import pytest
import torch
from run_folders import bought, rounds
from safetensors.torch import load_file
from tiny import ACCELERATOR, FROZEN, as_words, command

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


@pytest.mark.parametrize("task", ["token_classification", "question_answering", "translation"])
def test_two_processes_train_the_same_model_as_one_where_rows_have_several_targets(task, tmp_path) -> None:
    options = import_module(f"task_cases.{task}").options(tmp_path / "given")
    for path in (tmp_path / "given").glob("*/config.json"):
        rates = ("hidden_dropout_prob", "attention_probs_dropout_prob", "dropout_rate", "dropout", "attention_dropout")
        config = json.loads(path.read_text())
        path.write_text(json.dumps(config | {rate: 0.0 for rate in rates if rate in config}))
    weights = []
    for devices in ("1", "2"):
        others = {"rounds.folder": tmp_path / devices, "rounds.stopping.max_rounds": 1, "trainer.devices": devices}
        others |= {"trainer.accelerator": ACCELERATOR, "wandb.mode": "disabled", "trainer.max_epochs": 2}
        others |= {"model.optimizer": "torch.optim.SGD", "model.optimizer.lr": 0.1}
        strategy = ["--trainer.strategy", "ddp"] if devices == "2" else []
        run(["fit", *options, *as_words(others), *strategy])
        weights.append(load_file(tmp_path / devices / "model" / "model.safetensors"))
    for name, weight in weights[0].items():
        assert torch.allclose(weights[1][name], weight, atol=1e-5), name


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
