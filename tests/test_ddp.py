"""Two processes over gloo train the same model and buy the same rows as one."""

import json
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
import torch
from processes import ended, start
from run_folders import bought, rounds
from safetensors.torch import load_file
from tiny import ACCELERATOR, FROZEN, as_words, command

from lit_react.cli import main

pytestmark = pytest.mark.skipif(
    ACCELERATOR != "cpu" and torch.cuda.device_count() < 2, reason="two processes on GPUs need two of them"
)


def run(words: list[str]) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run([sys.executable, *words], env=environment, capture_output=True, text=True, timeout=500)


TWO = ["--trainer.devices", "2", "--trainer.strategy", "ddp"]


FINE_TUNING: list[str] = []


STRETCHED = [
    "--augmentation.labels=SelfTraining",
    "--augmentation.trust.mode=always",
    "--augmentation.trust.start=0.2",
    "--data.batch_size=4",
]


CONTRASTIVE = ["--augmentation.contrastive.weight=1", "--data.batch_size=4"]


PRETRAINED = [
    *("--pretraining.training.steps", "5", "--pretraining.training.batch_size", "7"),
    *("--pretraining.training.precision", "32-true", "--pretraining.training.accelerator", ACCELERATOR),
    *("--pretraining.objective.max_length", "32", "--rounds.budget", "44"),
]


NAMES = [
    *("--model", "SentenceClassification"),
    *("--data.validation_size", "0", "--data.initial_size", "null", "--rounds.budget", "16"),
]
"""No label, then 8, then 16; none to validate."""


WAYS = {
    "fine-tuning": FINE_TUNING,
    "frozen": FROZEN,
    "generated labels": STRETCHED,
    "contrastive": CONTRASTIVE,
    "pretraining": PRETRAINED,
    "names": NAMES,
}
TASKS = ["token_classification", "question_answering", "translation"]


def words_of_way(way: str, folder: Path, news_csv: Path, encoder: str) -> list[str]:
    """The command of a run of three or four rounds that one process does as two do."""
    even = ["--data.initial_size", "8", "--acquisition.query_size", "8", "--rounds.budget", "52"]
    own = [*WAYS[way], "--model.pretrained", encoder, "--model.max_length", "16"] if WAYS[way] else []
    return command(news_csv, encoder, folder, *even, *own)


def words_of_task(task: str, folder: Path, given: Path) -> list[str]:
    """The command of one fit of a model without dropout, with plain steps."""
    options = import_module(f"task_cases.{task}").options(given)
    for path in given.glob("*/config.json"):
        rates = ("hidden_dropout_prob", "attention_probs_dropout_prob", "dropout_rate", "dropout", "attention_dropout")
        config = json.loads(path.read_text())
        path.write_text(json.dumps(config | {rate: 0.0 for rate in rates if rate in config}))
    others = {"rounds.folder": folder, "rounds.stopping.max_rounds": 1, "trainer.max_epochs": 2}
    others |= {"trainer.accelerator": ACCELERATOR, "wandb.mode": "disabled"}
    others |= {"model.optimizer": "torch.optim.SGD", "model.optimizer.lr": 0.1}
    return ["fit", *options, *as_words(others)]


@pytest.fixture(scope="module")
def by_two(tmp_path_factory, news_csv, tiny_bert_without_dropout) -> Path:
    """Folder of a run of each way and each task; all by the same two processes, for one launch takes many seconds."""
    folder = tmp_path_factory.mktemp("by_two")
    commands = [words_of_way(way, folder / way, news_csv, tiny_bert_without_dropout) for way in WAYS]
    commands += [words_of_task(task, folder / task, folder / "given" / task) for task in TASKS]
    (folder / "commands.json").write_text(json.dumps([[*words, *TWO] for words in commands]))
    done = run([str(Path(__file__).with_name("ddp_driver.py")), str(folder / "commands.json")])
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


@pytest.mark.parametrize("task", TASKS)
def test_two_processes_train_the_same_model_as_one_where_rows_have_several_targets(
    task, by_two, tmp_path, one_thread
) -> None:
    main([*words_of_task(task, tmp_path / "one", tmp_path / "given"), "--trainer.devices", "1"])
    one, two = (load_file(run / "model" / "model.safetensors") for run in (tmp_path / "one", by_two / task))
    for name, weight in one.items():
        assert torch.allclose(two[name], weight, atol=1e-5), name


def same(one: Path, two: Path, labels: int = 52) -> None:
    """Both runs bought and measured the same."""
    assert bought(two) == bought(one)
    assert len(bought(two)) == labels
    for first, second in zip(rounds(one), rounds(two), strict=True):
        assert second["labeled"] == first["labeled"]
        assert second["metrics"]["test/accuracy"] == first["metrics"]["test/accuracy"]
        assert abs(second["metrics"]["test/loss"] - first["metrics"]["test/loss"]) < 1e-4


@pytest.mark.parametrize("way", WAYS)
def test_two_processes_buy_the_same_rows_as_one(
    way, by_two, tmp_path, news_csv, tiny_bert_without_dropout, one_thread
) -> None:
    words = words_of_way(way, tmp_path / "one", news_csv, tiny_bert_without_dropout)
    main([*words, "--trainer.devices", "1"])
    same(tmp_path / "one", by_two / way, labels={"names": 16, "pretraining": 44}.get(way, 52))


def test_the_command_starts_the_second_process_itself(by_two, tmp_path, news_csv, tiny_bert_without_dropout) -> None:
    words = words_of_way("frozen", tmp_path / "two", news_csv, tiny_bert_without_dropout)
    assert ended(start([*words, *TWO])) == 0
    same(by_two / "frozen", tmp_path / "two")
