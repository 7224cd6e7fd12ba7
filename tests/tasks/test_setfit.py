"""SetFit: the library's own fit, in the place of ours."""

import sys

import datasets
import lightning as L
import numpy as np
import pytest
import torch
from tiny import QUIET, buy, command, named

from lit_react.cli import main
from lit_react.data.datamodule import PoolDataModule
from lit_react.tasks import SetFit

NAMES = ["business", "entertainment", "politics", "sports"]


@pytest.fixture
def setfit():
    return pytest.importorskip("setfit", reason="the extra `setfit` is not installed")


def fitted(news_csv, tiny_bert, chosen) -> tuple[SetFit, PoolDataModule, np.ndarray]:
    """A module that has learned the first 20 rows whose classes are chosen, and what it makes of the pool."""
    recipe = named(SetFit(tiny_bert, max_length=16), NAMES)
    data = PoolDataModule(str(news_csv), validation_size=0, test_size=20)
    data.connect(recipe.task)
    known = data.fixed.known_labels()["pool"]
    buy(data, "pool", [row for row, label in enumerate(known) if label in chosen][:20])
    module = recipe.fresh(data.task)
    options = {**QUIET, **SetFit.trainer_defaults, "accelerator": "cpu", "limit_val_batches": 0}
    L.Trainer(**options, enable_checkpointing=False).fit(module, datamodule=data)
    with torch.no_grad():
        batch = data.pool.table.batch(range(len(data.pool)))
        return module, data, module.eval().signals(batch, frozenset())["probabilities"].numpy()


@pytest.mark.parametrize("chosen", [[0, 1, 3], pytest.param([0, 2], marks=pytest.mark.slow)])
def test_its_probabilities_are_those_of_the_library_fitted_alone(setfit, news_csv, tiny_bert, chosen, tmp_path):
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize
    from sklearn.linear_model import LogisticRegression

    module, data, found = fitted(news_csv, tiny_bert, chosen)
    body = SentenceTransformer(tiny_bert, device="cpu")
    body.append(Normalize())
    body.max_seq_length = 16
    alone = setfit.SetFitModel(model_body=body, model_head=LogisticRegression())
    texts, rows = data.fixed.splits.pool["text"][:], data.pool.labeled_rows.tolist()
    table = {"text": [texts[row] for row in rows], "label": [data.pool.labels[row] for row in rows]}
    options = setfit.TrainingArguments(str(tmp_path), seed=0, report_to="none", save_strategy="no")
    setfit.Trainer(alone, options, datasets.Dataset.from_dict(table)).train()
    np.testing.assert_allclose(found[:, chosen], alone.predict_proba(texts, as_numpy=True), atol=2e-5)
    assert found.sum(1) == pytest.approx(np.ones(len(found)))
    module.export(tmp_path / "model")
    restored = SetFit(tiny_bert, max_length=16)
    restored.restore(tmp_path / "model")
    with torch.no_grad():
        again = restored.eval().outputs(restored.task.encode(data.fixed.splits.pool).batch([0, 1]))["probabilities"]
    np.testing.assert_allclose(again, found[:2], atol=1e-5)


def test_the_only_class_among_the_labels_is_predicted_throughout(setfit, news_csv, tiny_bert):
    _, _, found = fitted(news_csv, tiny_bert, [2])
    assert (found.argmax(1) == 2).all()
    assert np.isfinite(found).all()


def test_without_the_extra_a_fit_is_refused_before_anything_is_bought(
    news_csv, tiny_bert, tmp_path, monkeypatch, capsys
):
    monkeypatch.setitem(sys.modules, "setfit", None)
    with pytest.raises(SystemExit) as stopped:
        main([*command(news_csv, tiny_bert, tmp_path / "run", "--model", "SetFit")])
    assert stopped.value.code == 2
    assert "model: SetFit: setfit is not installed (pip install -e '.[setfit]')" in capsys.readouterr().err
    assert not (tmp_path / "run" / "ledger.sqlite").exists()
