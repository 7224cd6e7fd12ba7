"""Pretraining on the pool before the first round: what it reads, that it resumes, that the rounds start from it."""

import shutil
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pandas as pd
import pytest
import torch
from run_folders import bought, rounds
from safetensors.torch import load_file
from tiny import command, connect
from transformers import AutoModel

from lit_react.cli import main
from lit_react.data.datamodule import PoolDataModule
from lit_react.data.tables import Split
from lit_react.pretraining import on_pool
from lit_react.pretraining.corpus import each_once
from lit_react.pretraining.module import Pretraining
from lit_react.pretraining.on_pool import PoolPretraining
from lit_react.pretraining.options import Objective, Training
from lit_react.tasks import LinearProbe, QuestionAnswering, RelationExtraction, TaskModule, TextClassification

pytestmark = pytest.mark.usefixtures("one_thread")
TRAINING = {"steps": 6, "batch_size": 8, "learning_rate": 2e-3, "validations": 3, "precision": "32-true"}


def fit(news_csv: Path, tiny_bert: str, folder: Path, *more: str) -> None:
    """Two rounds, after six steps on the pool."""
    options = [f"--pretraining.training.{name}={value}" for name, value in TRAINING.items()]
    own = ["--pretraining.objective.max_length=32", "--pretraining.held_out=20", "--rounds.budget=34"]
    main([*command(news_csv, tiny_bert, folder), *options, *own, "--pretraining.training.accelerator=cpu", *more])


def encoder(folder: Path) -> dict[str, torch.Tensor]:
    return AutoModel.from_pretrained(folder).state_dict()


@pytest.fixture(scope="module")
def whole(tmp_path_factory, news_csv, tiny_bert) -> tuple[Path, list[dict[str, torch.Tensor]]]:
    """A finished run, and the encoder's weights with which each of its fits began."""
    begun: list[dict[str, torch.Tensor]] = []
    folder = tmp_path_factory.mktemp("on_pool") / "run"

    def on_fit_start(module: TextClassification) -> None:
        begun.append({name: weight.cpu().clone() for name, weight in module.model.base_model.state_dict().items()})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TextClassification, "on_fit_start", on_fit_start)
        fit(news_csv, tiny_bert, folder)
    return folder, begun


def test_every_round_starts_from_what_was_pretrained(whole, tiny_bert) -> None:
    folder, begun = whole
    assert [entry["labeled"] for entry in rounds(folder)] == [8, 14]
    assert len(begun) == 2
    pretrained, before = encoder(folder / "pretrained" / "model"), encoder(tiny_bert)
    for weights in begun:
        assert all(torch.equal(weight, pretrained[name]) for name, weight in weights.items())
    name = "encoder.layer.0.output.dense.weight"
    assert not torch.equal(pretrained[name], before[name])
    assert f"pretrained: {tiny_bert}" in (folder / "config.yaml").read_text(), "the run's own checkpoint is recorded"


def test_a_run_that_was_killed_while_it_pretrained_goes_on_and_equals_an_unbroken_one(
    whole, tmp_path, news_csv, tiny_bert, monkeypatch
) -> None:
    step = Pretraining.training_step

    def breaks(module: Pretraining, batch, index: int):
        if module.global_step == 3:
            raise OSError("power cut")
        return step(module, batch, index)

    with monkeypatch.context() as patch:
        patch.setattr(Pretraining, "training_step", breaks)
        with pytest.raises(OSError, match="power cut"):
            fit(news_csv, tiny_bert, tmp_path / "run")
    assert (tmp_path / "run" / "pretrained" / "checkpoint.ckpt").exists()
    assert not (tmp_path / "run" / "ledger.sqlite").exists(), "nothing was bought"
    fit(news_csv, tiny_bert, tmp_path / "run")
    one, other = (load_file(run / "pretrained/model/model.safetensors") for run in (whole[0], tmp_path / "run"))
    assert all(torch.equal(weight, other[name]) for name, weight in one.items())
    assert bought(tmp_path / "run") == bought(whole[0])
    assert [e["metrics"] for e in rounds(tmp_path / "run")] == [e["metrics"] for e in rounds(whole[0])]


def test_a_resumed_run_takes_what_is_there_and_refuses_other_options(
    whole, tmp_path, news_csv, tiny_bert, monkeypatch, capsys
) -> None:
    folder = Path(shutil.copytree(whole[0], tmp_path / "run", symlinks=True))
    monkeypatch.setattr(on_pool, "learn", lambda *_: pytest.fail("it is finished"))
    fit(news_csv, tiny_bert, folder, "--rounds.budget=40")
    assert [entry["labeled"] for entry in rounds(folder)] == [8, 14, 20]
    for other, name in (
        (["--pretraining.training.steps=7"], "pretraining.training.steps = 6, now it is 7"),
        (["--pretraining=null"], "pretraining = 'options', now it is None"),
    ):
        with pytest.raises(SystemExit):
            fit(news_csv, tiny_bert, folder, *other)
        assert name in capsys.readouterr().err
    for name in ("ledger.sqlite", "state.pt"):
        (folder / name).unlink()
    with pytest.raises(SystemExit):
        fit(news_csv, tiny_bert, folder, "--pretraining.held_out=30")
    assert "this pretraining was begun with other held_out" in capsys.readouterr().err


def options() -> PoolPretraining:
    return PoolPretraining(Objective(next_sentence=False, max_length=32), Training(**TRAINING, accelerator="cpu"), 20)


def data_of(path: Path, task: TextClassification) -> PoolDataModule:
    return connect(PoolDataModule(str(path), validation_size=20, test_size=30), task)


def test_the_pool_is_read_and_validation_and_test_texts_are_not(tmp_path, news_csv, tiny_bert, monkeypatch) -> None:
    """The taint test: other texts in the other splits, the same weights."""
    read, learn = [], on_pool.learn

    def watched(folder, texts, *rest) -> None:
        read.append([*texts[0]["text"], *texts[1]["text"]])
        learn(folder, texts, *rest)

    monkeypatch.setattr(on_pool, "learn", watched)
    table = pd.read_csv(news_csv)
    hidden = np.random.default_rng(0).permutation(len(table))[:50]  # data.split_seed 0 carves test, then validation
    table.loc[hidden, "text"] = table.loc[hidden, "text"].str.upper().str[::-1]
    table.to_csv(tmp_path / "tainted.csv", index=False)
    for name, path in (("gold", news_csv), ("tainted", tmp_path / "tainted.csv")):
        task = TextClassification(tiny_bert, max_length=16)
        data = data_of(path, task)
        task = options().run(tmp_path / name, data.task, data.fixed.splits.pool, seed=0)
        assert sorted(read[-1]) == sorted(data.fixed.splits.pool["text"][:])
        assert not set(read[-1]) & {*data.fixed.splits.test["text"][:], *data.fixed.validation_split["text"][:]}
        assert task.pretrained == str(tmp_path / name / "model")
    gold, tainted = (load_file(tmp_path / name / "model/model.safetensors") for name in ("gold", "tainted"))
    assert all(torch.equal(weight, tainted[name]) for name, weight in gold.items())


def test_a_frozen_encoder_is_the_pretrained_one(whole, tmp_path, news_csv, tiny_bert) -> None:
    frozen = ["--model=LinearProbe", f"--model.pretrained={tiny_bert}", "--model.max_length=16"]
    fit(news_csv, tiny_bert, tmp_path / "run", *frozen, "--data.batch_size=1000", "--trainer.max_epochs=1")
    pretrained, exported = (encoder(tmp_path / "run" / name) for name in ("pretrained/model", "model/encoder"))
    assert all(torch.equal(weight, exported[name]) for name, weight in pretrained.items())
    task = LinearProbe(tiny_bert, max_length=16)
    data = data_of(news_csv, task)
    before = np.array(data.pool.table.features)
    data.connect(task.task.start_from(str(tmp_path / "run" / "pretrained" / "model")))
    assert not np.allclose(data.pool.table.features, before), "texts are embedded again"


def test_what_cannot_be_pretrained_is_told_before_anything_is_written(tmp_path, news_csv, tiny_bert, capsys) -> None:
    for wrong, expected in (
        ("--pretraining.held_out=500", "pretraining.held_out: 500, expected 1 or more, and fewer than the pool's 110"),
        ("--model.pretrained=nowhere/at-all", "cannot load 'nowhere/at-all'"),
    ):
        with pytest.raises(SystemExit):
            fit(news_csv, tiny_bert, tmp_path / "run", wrong)
        assert expected in capsys.readouterr().err
        assert not (tmp_path / "run").exists()


def read_by(module: TaskModule, rows: dict[str, list[Any]]) -> list[str]:
    split = Split(datasets.Dataset.from_dict(rows).data.table, "rows.jsonl")
    return sorted(each_once(module.task.running_text(module.task.read({"pool": split}).pool))["text"])


def test_of_marked_pairs_the_sentence_is_read_and_of_questions_each_context_once(tiny_bert) -> None:
    marked = ["The <e1> child </e1> was in the <e2> cradle </e2> .", "The <e1> child </e1> was <e2> in </e2> it ."]
    pairs = {"tokens": marked, "label": ["a", "b"]}
    assert read_by(RelationExtraction(tiny_bert), pairs) == ["The child was in it .", "The child was in the cradle ."]
    asked = {"question": ["who?", "what?"], "context": ["Ann saw it."] * 2}
    assert read_by(QuestionAnswering(tiny_bert), asked) == ["Ann saw it."]
