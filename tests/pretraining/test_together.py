"""Processes that torchrun has started pretrain one encoder; the first one alone writes."""

import json
import time
from pathlib import Path

import pytest
import torch
from processes import by_torchrun, codes, ended, own_files, started, told
from safetensors.torch import load_file
from tiny import ACCELERATOR, as_words, bbc

from lit_react.cli import main
from lit_react.pretraining.module import Pretraining
from lit_react.pretraining.pretrain import CARD

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.skipif(ACCELERATOR != "cpu", reason="processes of one machine, each with a CPU"),
]


@pytest.fixture(scope="module")
def words(tmp_path_factory, tiny_bert_without_dropout) -> list[str]:
    """The command of a pretraining into `run` of the working folder; a batch cannot be shared evenly."""
    texts = tmp_path_factory.mktemp("articles") / "articles.jsonl"
    texts.write_text("".join(json.dumps({"text": text[:400]}) + "\n" for text in bbc().pool["text"][:50]))
    settings = {
        "folder": "run",
        "texts.source": texts,
        "texts.held_out": 9,
        "pretrained": tiny_bert_without_dropout,
        "objective.max_length": 48,
        "training.steps": 24,
        "training.batch_size": 5,
        "training.learning_rate": 2e-3,
        "training.validations": 8,
        "training.precision": "32-true",
        "training.accelerator": "cpu",
        "wandb.mode": "disabled",
    }
    return ["pretrain", *as_words(settings)]


@pytest.fixture(scope="module")
def by_one(tmp_path_factory, words) -> Path:
    """Folder of that pretraining by one process."""
    folder = tmp_path_factory.mktemp("by_one") / "run"
    main([*words, f"--folder={folder}"])
    return folder


def test_two_machines_learn_what_one_process_learns_also_where_it_is_broken_off(
    words, by_one, tmp_path, monkeypatch
) -> None:
    """Two processes begin, one goes on, two end it; each time the last checkpoint is in the middle."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "machine_0" / "run"
    begun = started(words, tmp_path, machines=2)
    while not (folder / "checkpoint.ckpt").exists():
        assert all(process.is_alive() for process in begun), told(tmp_path, 0)
        time.sleep(0.005)
    begun[1].kill()
    assert ended(begun[0], within=60) == 2
    assert told(tmp_path, 0).splitlines()[-1].startswith("error: another process of this run has ended")

    step = Pretraining.training_step

    def breaks(module: Pretraining, batch, index: int):
        if module.global_step == 16:
            raise OSError("power cut")
        return step(module, batch, index)

    with monkeypatch.context() as patch:
        patch.setattr(Pretraining, "training_step", breaks)
        with pytest.raises(OSError, match="power cut"):
            main([*words, f"--folder={folder}"])

    assert codes(started(words, tmp_path, machines=2)) == [0, 0], told(tmp_path, 1)
    assert not own_files(tmp_path, 1)
    one, two = (load_file(run / "model" / "model.safetensors") for run in (by_one, folder))
    for name, weight in one.items():  # a bias of keys has no effect, and AdamW makes steps of what is rounded off
        assert name.endswith("key.bias") or torch.allclose(two[name], weight, atol=1e-5), name
    first, second = (json.loads((run / "model" / CARD).read_text())["validations"] for run in (by_one, folder))
    assert all(after == pytest.approx(before, abs=1e-5) for before, after in zip(first, second, strict=True))


def test_a_new_tokenizer_reaches_a_machine_that_does_not_have_it(words, tmp_path) -> None:
    shape = {"vocab_size": 200, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    new = ["--pretrained=null", f"--architecture={json.dumps(shape)}", "--training.steps=2", "--wandb.mode=offline"]
    assert codes(started([*words, *new], tmp_path, machines=2)) == [0, 0], told(tmp_path, 1)
    assert not own_files(tmp_path, 1)
    assert not told(tmp_path, 1)
    written = {path.name for path in (tmp_path / "machine_0" / "run").iterdir()}
    assert written == {"loss.png", "model", "tokenizer", "wandb", CARD}


def test_a_batch_has_a_row_for_each_process(words, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in by_torchrun(0, 1).items():
        monkeypatch.setenv(name, str(value))
    with pytest.raises(SystemExit):
        main([*words, "--training.batch_size=1"])
    expected = "error: training.batch_size: 1, but 2 processes share the rows of a batch, expected 2 or more"
    assert expected in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
