import json
import shutil
from dataclasses import replace

import lightning as L
import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from tiny import buy, documented_code, named
from transformers import AutoModel

from lit_react.data.datamodule import PoolDataModule
from lit_react.data.encoding import cache_folder
from lit_react.data.fit_data import FitLoaders
from lit_react.tasks import LinearProbe

NAMES = ["business", "entertainment", "politics", "sports"]


@pytest.fixture
def recipe(tiny_bert):
    return named(LinearProbe(tiny_bert, max_length=16), NAMES)


@pytest.fixture
def data(news_csv, recipe):
    data = PoolDataModule(str(news_csv), validation_size=20, test_size=20, batch_size=8)
    data.connect(recipe.task)
    buy(data, "pool", range(60))
    buy(data, "validation", range(20))
    return data


def fit(module, data):
    trainer = L.Trainer(
        max_epochs=1,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, datamodule=data)
    return trainer


def probabilities(module, data):
    with torch.no_grad():
        batch = data.pool.table.batch(range(len(data.pool)))
        return module.eval().signals(batch, frozenset())["probabilities"].numpy()


@pytest.mark.parametrize("class_weights", ["none", "balanced"])
@pytest.mark.parametrize("l2", [0.05, 1.0])
def test_a_fit_is_scikit_learns_logistic_regression_whatever_the_batch_size(data, tiny_bert, class_weights, l2):
    module = LinearProbe(tiny_bert, max_length=16, l2=l2, class_weights=class_weights)
    trainer = fit(module, data)
    assert trainer.global_step == 1
    features, rows = np.asarray(data.pool.table.features), data.pool.labeled_rows
    weight = "balanced" if class_weights == "balanced" else None
    reference = LogisticRegression(C=1 / l2, class_weight=weight, tol=1e-8, max_iter=5000)
    reference.fit(features[rows], [data.pool.labels[row] for row in rows])
    assert np.abs(probabilities(module, data) - reference.predict_proba(features)).max() < 2e-3


def test_a_class_without_labels_gets_no_weight_and_breaks_nothing(data, tiny_bert):
    labels = {row: label for row, label in data.pool.labels.items() if label != 3}
    module = LinearProbe(tiny_bert, max_length=16, class_weights="balanced").fresh(data.task)
    fit(module, FitLoaders(replace(data.fit_data, pool=data.pool.with_labels(labels))))
    assert module._weight[3] == 0
    assert np.isfinite(probabilities(module, data)).all()


def test_rounds_begin_at_zero_and_the_recipe_stays_empty(data, recipe):
    first = recipe.fresh()
    fit(first, data)
    second = recipe.fresh()
    second.configure_model()
    assert first.head.weight.abs().sum() > 0
    assert second.head.weight.abs().sum() == 0
    assert not hasattr(recipe, "head")


def test_an_exported_probe_is_restored_and_finds_its_embeddings(data, recipe, tiny_bert, tmp_path):
    module = recipe.fresh()
    fit(module, data)
    module.export(tmp_path)
    files = set(cache_folder().glob("embeddings-*"))
    restored = LinearProbe(tiny_bert, max_length=16)
    restored.restore(tmp_path)
    assert restored.names == NAMES
    table = restored.task.encode(data.fixed.splits.pool)
    assert set(cache_folder().glob("embeddings-*")) == files, "the same encoder and texts"
    assert np.array_equal(table.features, data.pool.table.features)
    assert np.array_equal(probabilities(restored, data), probabilities(module, data))


def test_an_exported_probe_can_be_used_without_this_package(data, recipe, tmp_path):
    module = recipe.fresh()
    fit(module, data)
    module.export(tmp_path)
    own = documented_code("Relations, sentence encoders", tmp_path)["probabilities"](
        data.fixed.row("pool", 7)["text"], 16
    )
    assert list(own) == NAMES
    assert np.allclose(list(own.values()), probabilities(module, data)[7], atol=1e-4)
    assert json.loads((tmp_path / "lit_react.json").read_text()) == {"task": "LinearProbe", "labels": NAMES}


@pytest.mark.parametrize("links", [True, False])
def test_exports_share_one_file_of_weights_where_they_can(links, data, recipe, tmp_path, monkeypatch):
    def refuse(*_: object) -> None:
        raise OSError("another file system")

    if not links:
        monkeypatch.setattr("os.link", refuse)
    for name in ("a", "b"):
        module = recipe.fresh()
        module.configure_model()
        module.export(tmp_path / name)
    first, second = (tmp_path / name / "encoder" / "model.safetensors" for name in ("a", "b"))
    assert (first.stat().st_ino == second.stat().st_ino) == links
    for folder in cache_folder().glob("encoder-*"):
        shutil.rmtree(folder)
    AutoModel.from_pretrained(second.parent)  # does without the cache
    recipe.fresh().restore(tmp_path / "a")


def test_the_line_search_evaluates_the_loss_that_is_logged(data, tiny_bert):
    module = LinearProbe(tiny_bert, max_length=16, class_weights="balanced")
    trainer = fit(module, data)
    batch = next(iter(data.train_dataloader()))
    with torch.no_grad():
        loss = torch.nn.functional.cross_entropy(module.logits(batch), batch["labels"], module._weight)
        loss += module.l2 / (2 * len(batch["row"])) * module.head.weight.square().sum()
    assert torch.isclose(trainer.callback_metrics["train/loss"], loss, atol=1e-6)
