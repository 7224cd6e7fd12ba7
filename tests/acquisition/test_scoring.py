from dataclasses import replace

import lightning as L
import numpy as np
import pytest
import torch
from tiny import QUIET, connect

from lit_react.acquisition.callback import AcquisitionCallback
from lit_react.acquisition.scoring import collect_signals, rows_to_score, score_pool
from lit_react.core.errors import UserError
from lit_react.data.datamodule import PoolDataModule
from lit_react.data.pool import in_order
from lit_react.tasks import LinearProbe, TextClassification

HEAD = frozenset({"head_inputs"})
ALL = frozenset({"head_inputs", "mutual_information"})


def everything(data, batch_size):
    return in_order(data.pool.table, np.arange(len(data.pool)), None, batch_size)


@pytest.fixture(scope="module")
def data(news_csv, tiny_bert_without_dropout):
    data = PoolDataModule(str(news_csv), pool_size=23, validation_size=10, test_size=0)
    connect(data, TextClassification(tiny_bert_without_dropout, max_length=24))
    data.reveal("pool", {17: 1, 2: 0, 11: 3})
    return data


@pytest.fixture
def module(data, tiny_bert_without_dropout):
    torch.manual_seed(0)
    module = TextClassification(tiny_bert_without_dropout).fresh(data.task)
    module.configure_model()
    return module.train()


@pytest.fixture
def trainer():
    return L.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False)


@torch.no_grad()
def one_by_one(module, data):
    """Probabilities and embeddings, text by text, with nothing but the tokenizer and the model."""
    probabilities, embeddings = [], []
    for text in data.fixed.splits.pool["text"][:]:
        tokens = module.task.tokenizer(text, truncation=True, max_length=24, return_tensors="pt")
        outputs = module.model.eval()(**tokens, output_hidden_states=True)
        probabilities.append(outputs.logits[0].softmax(-1))
        mean = outputs.hidden_states[-1][0].mean(0)
        embeddings.append(mean / mean.norm())
    return torch.stack(probabilities).numpy(), torch.stack(embeddings).numpy()


@pytest.mark.parametrize("batch_size", [1, 4, 100])
def test_one_pass_equals_text_by_text(data, module, trainer, batch_size):
    found = collect_signals(
        trainer,
        module,
        everything(data, batch_size),
        np.arange(len(data.pool)),
        frozenset(),
    )
    assert module.training, "the module goes back to training"
    probabilities, embeddings = one_by_one(module, data)
    assert set(found) == {"probabilities", "embeddings"}
    assert len(found["probabilities"]) == 23
    assert found["probabilities"].dtype == np.float32
    assert np.allclose(found["probabilities"], probabilities, atol=1e-5)
    assert np.allclose(found["embeddings"], embeddings, atol=2e-3)


def test_some_rows_in_any_order_have_their_own_signals_in_this_order(data, module, trainer):
    rows = np.array([9, 2, 20, 0])
    found = collect_signals(trainer, module, data.scoring_loader("pool", rows), rows, frozenset())
    probabilities, embeddings = one_by_one(module, data)
    assert np.allclose(found["probabilities"], probabilities[rows], atol=1e-5)
    assert np.allclose(found["embeddings"], embeddings[rows], atol=2e-3)


def test_a_module_in_eval_mode_stays_there_and_gradients_are_off(data, module, trainer):
    module.eval()
    collect_signals(trainer, module, everything(data, 8), np.arange(len(data.pool)), ALL)
    assert not any(part.training for part in module.modules())
    assert all(parameter.grad is None for parameter in module.parameters())
    assert torch.is_grad_enabled()
    assert not torch.is_inference_mode_enabled()


def test_pool_signals_are_split_into_labeled_and_unlabeled_rows(data, module, trainer):
    signals = score_pool(trainer, module, data.pool, data.pool.askable_rows, 5, ALL)
    probabilities, embeddings = one_by_one(module, data)
    assert signals.labeled_rows.tolist() == [2, 11, 17]
    assert signals.labels.tolist() == [0, 3, 1]
    assert sorted([*signals.rows, *signals.labeled_rows]) == list(range(23))
    assert np.allclose(signals.probabilities, probabilities[signals.rows], atol=1e-5)
    assert np.allclose(signals.labeled_probabilities, probabilities[[2, 11, 17]], atol=1e-5)
    assert np.allclose(signals.embeddings, embeddings[signals.rows], atol=2e-3)
    assert np.allclose(signals.labeled_embeddings, embeddings[[2, 11, 17]], atol=2e-3)
    assert signals.head_inputs.shape == (20, 32)
    assert signals.scores["mutual_information"].shape == (20,)
    assert len(signals) == 20
    assert signals.num_classes == 4


def test_a_drawn_part_of_the_pool_is_scored_as_in_the_whole(data, module, trainer):
    rows = rows_to_score(data.pool, 6, np.random.default_rng(0))
    part = score_pool(trainer, module, data.pool, rows, 5, HEAD)
    whole = score_pool(trainer, module, data.pool, data.pool.askable_rows, 5, HEAD)
    places = np.searchsorted(whole.rows, rows)
    assert part.rows.tolist() == rows.tolist()
    assert part.labeled_rows.tolist() == whole.labeled_rows.tolist() == [2, 11, 17]
    for name in ("probabilities", "embeddings", "head_inputs"):
        assert np.allclose(getattr(part, name), getattr(whole, name)[places], atol=2e-3)
    assert np.allclose(part.labeled_probabilities, whole.labeled_probabilities, atol=1e-5)


def test_the_part_is_drawn_from_what_may_be_asked_with_the_cheapest_row_in_it(data):
    pool = replace(data.pool, costs=np.where(np.arange(23) == 5, 1.0, 2.0))
    drawn = [rows_to_score(pool, 6, np.random.default_rng(seed)) for seed in range(200)]
    assert all(len(rows) == 6 and (np.diff(rows) > 0).all() and 5 in rows for rows in drawn)
    counts = np.bincount(np.concatenate(drawn), minlength=23)
    assert counts[[2, 11, 17]].tolist() == [0, 0, 0], "they have labels"
    others = counts[np.setdiff1d(pool.askable_rows, [5])] / 200
    assert np.abs(others - 5 / 19).max() < 0.15
    for most in (None, 20, 100):
        assert rows_to_score(pool, most, np.random.default_rng(0)).tolist() == pool.askable_rows.tolist()


def test_a_round_buys_from_the_part_that_its_seed_draws(tiny_bert_without_dropout, news_csv):
    def purchases(seed):
        data = PoolDataModule(str(news_csv), pool_size=60, validation_size=10, test_size=0, initial_size=4)
        acquisition = AcquisitionCallback(query_size=3, pool_sample=5)
        acquisition.begin(seed=seed)
        bought = []
        for round in range(2):
            module, labels = (
                LinearProbe(tiny_bert_without_dropout, max_length=24),
                dict(data.pool.labels) if round else None,
            )
            L.Trainer(**QUIET, callbacks=[acquisition], max_epochs=1, enable_checkpointing=False).fit(module, data)
            rows = acquisition.learner.purchase.rows.tolist()
            before = data.pool.with_labels(labels or {row: 0 for row in data.pool.labels if row not in rows})
            assert set(rows) <= {*rows_to_score(before, 5, np.random.default_rng([seed, round, 1]))}
            bought.append(rows)
        return bought

    assert purchases(0) == purchases(0) != purchases(1)


def test_a_part_smaller_than_a_query_is_refused():
    with pytest.raises(UserError, match=r"acquisition\.pool_sample: .*30"):
        AcquisitionCallback(query_size=[10, 30], pool_sample=29)


def test_signals_nobody_needs_are_not_there(data, module, trainer):
    signals = score_pool(trainer, module, data.pool, data.pool.askable_rows, 5, frozenset({"head_inputs"}))
    assert "mutual_information" not in signals.scores
    assert signals.head_inputs is not None


class Tagging(TextClassification):
    """Gives a score of its own where it is asked for, and its own margin always."""

    offers = TextClassification.offers | {"token_entropy"}

    def signals(self, batch, needs):
        found = super().signals(batch, needs - {"token_entropy"})
        if "token_entropy" in needs:
            found["token_entropy"] = batch["row"].float() / 100
        return found | {"margin": batch["row"].float() / 1000}


def test_signals_that_are_no_field_are_scores_of_the_unlabeled_rows(data, trainer, tiny_bert):
    module = Tagging(tiny_bert).fresh(data.task)
    module.configure_model()
    signals = score_pool(
        trainer, module, data.pool, data.pool.askable_rows, 5, frozenset({"token_entropy", "head_inputs"})
    )
    assert set(signals.scores) == {"token_entropy", "margin"}
    assert signals.scores["token_entropy"] == pytest.approx(signals.rows / 100)
    assert signals.margin == pytest.approx(signals.rows / 1000)
    assert signals.head_inputs.shape == (20, 32)
    assert set(score_pool(trainer, module, data.pool, data.pool.askable_rows, 5, frozenset()).scores) == {"margin"}


def test_bf16_passes_give_float32_probabilities_without_ties(data, module):
    trainer = L.Trainer(
        accelerator="cpu", precision="bf16-mixed", logger=False, enable_checkpointing=False, enable_progress_bar=False
    )
    found = collect_signals(trainer, module, everything(data, 8), np.arange(len(data.pool)), ALL)
    exact, _ = one_by_one(module, data)
    p = found["probabilities"]
    assert p.dtype == np.float32
    assert np.allclose(p.sum(1), 1, atol=1e-6), "the softmax was taken in float32"
    assert np.allclose(p, exact, atol=0.03)
    assert not np.array_equal(p, exact), "the pass did run in bf16"
    assert len(np.unique(p)) > 0.9 * p.size
    assert found["head_inputs"].dtype == np.float16


def test_a_probe_is_scored_from_its_features(data, trainer, tiny_bert):
    probe_data = PoolDataModule(data.source, pool_size=23, validation_size=10, test_size=0)
    probe = LinearProbe(tiny_bert, max_length=24)
    probe = probe.fresh(connect(probe_data, probe).task)
    probe.configure_model()
    torch.nn.init.normal_(probe.head.weight)
    found = collect_signals(
        trainer,
        probe,
        everything(probe_data, 4),
        np.arange(len(probe_data.pool)),
        HEAD,
    )
    features = np.asarray(probe.task.embed(probe_data.fixed.splits.pool))
    logits = features @ probe.head.weight.detach().numpy().T
    expected = torch.from_numpy(logits).softmax(-1).numpy()
    assert np.allclose(found["probabilities"], expected, atol=1e-5)
    assert np.allclose(found["embeddings"], features, atol=1e-3)
