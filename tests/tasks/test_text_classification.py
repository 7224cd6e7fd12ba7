import datasets
import lightning as L
import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from tiny import QUIET, buy, named
from torch import nn
from torch.nn import functional as F
from transformers import AutoTokenizer, LlamaConfig, LlamaModel, pipeline

from lit_react.acquisition.callback import load_best_weights
from lit_react.core.errors import UserError
from lit_react.data.datamodule import PoolDataModule
from lit_react.tasks import TextClassification

NAMES = ["business", "entertainment", "politics", "sports"]


def adamw(lr=2e-3, **options):
    return lambda parameters: torch.optim.AdamW(parameters, lr=lr, **options)


@pytest.fixture
def make(tiny_bert):
    def make(pretrained=tiny_bert, label_names=NAMES, **options):
        return named(TextClassification(pretrained, **{"max_length": 16, "optimizer": adamw()} | options), label_names)

    return make


@pytest.fixture
def data(news_csv, make):
    data = PoolDataModule(str(news_csv), validation_size=30, test_size=20, batch_size=8)
    data.connect(make().task)
    labeled(data, range(24))
    return data


def labeled(data, rows):
    """Buy the labels of all validation rows, and of some rows of the pool."""
    buy(data, "pool", rows)
    buy(data, "validation", range(30))


def fit(module, data, *callbacks, epochs=1, **options):
    trainer = L.Trainer(
        max_epochs=epochs, callbacks=list(callbacks), **QUIET | {"enable_checkpointing": False} | options
    )
    trainer.fit(module, datamodule=data)
    return trainer


def ready(module, seed=0):
    torch.manual_seed(seed)
    module.configure_model()
    return module


@pytest.fixture
def batch(data):
    return data.pool.table.batch([0, 5, 9, 40])


# ---- modes and precision


def test_dropout_is_active_in_training_and_in_nothing_else(make, data, batch):
    module = ready(make())
    module.log = lambda *args, **kwargs: None
    train = {**batch, "labels": torch.tensor([0, 1, 2, 3])}
    assert module.training_step(train, 0) != module.training_step(train, 0)
    module.eval()
    with torch.no_grad():
        assert module.training_step(train, 0) == module.training_step(train, 0)
        first, second = (module.signals(batch, frozenset())["probabilities"] for _ in range(2))
    assert torch.equal(first, second)


def test_a_fit_trains_with_dropout_and_validates_without(make, data):
    modes = []

    class Watch(L.Callback):
        def on_train_batch_start(self, trainer, module, *args):
            modes.append(("train", {part.training for part in module.model.modules()}))

        def on_validation_batch_start(self, trainer, module, *args):
            modes.append(("val", {part.training for part in module.model.modules()}))

    fit(make(), data, Watch(), epochs=2)
    assert all(training == {kind == "train"} for kind, training in modes)
    assert {kind for kind, _ in modes} == {"train", "val"}


def test_probabilities_are_float32_under_bf16(make, batch):
    module = ready(make()).eval()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert module.logits(batch).dtype == torch.bfloat16
        found = module.signals(batch, frozenset({"head_inputs"}))
        predicted = module.predict_step(batch, 0)["probabilities"]
    for probabilities in (found["probabilities"], predicted):
        assert probabilities.dtype == torch.float32
        assert torch.allclose(probabilities.sum(1), torch.ones(4), atol=1e-6)
    assert found["embeddings"].dtype == torch.float16


# ---- rounds


def test_the_recipe_holds_no_weights_and_rounds_share_none(make):
    recipe = make()
    first, second = ready(recipe.fresh()), ready(recipe.fresh())
    assert list(recipe.parameters()) == []
    own = {p.data_ptr() for p in first.parameters()}
    assert own
    assert own.isdisjoint(p.data_ptr() for p in second.parameters())
    assert all(torch.equal(p, q) for p, q in zip(first.parameters(), second.parameters(), strict=True))
    first.model.classifier.weight.data.zero_()
    assert not torch.equal(first.model.classifier.weight, second.model.classifier.weight)
    assert first.optimizer is recipe.optimizer


def test_configuring_again_keeps_the_weights(make):
    module = ready(make())
    weight = module.model.classifier.weight.data.fill_(3.0)
    module.configure_model()
    assert torch.equal(module.model.classifier.weight, weight)


def test_each_round_trains_and_uses_its_own_best_checkpoint(make, data, tmp_path):
    recipe, best = make(), []
    for number in range(2):
        labeled(data, range(24 + 8 * number))
        module = recipe.fresh()
        folder = tmp_path / str(number)
        checkpoint = ModelCheckpoint(folder, "best", monitor="val/accuracy", mode="max", save_weights_only=True)
        trainer = fit(module, data, checkpoint, epochs=3, enable_checkpointing=True)
        assert trainer.global_step == 3 * (3 + number)
        assert trainer.checkpoint_callback.best_model_path.startswith(str(folder))
        nn.init.zeros_(module.model.classifier.weight)
        load_best_weights(trainer, module)
        (tested,) = trainer.validate(module, datamodule=data, verbose=False)
        assert tested["val/accuracy"] == pytest.approx(float(checkpoint.best_model_score))
        best.append(module.model.classifier.weight.detach().clone())
    assert not torch.equal(*best)


def test_a_checkpoint_callback_of_the_user_does_not_decide_which_weights_are_kept(make, tmp_path):
    module = ready(make())
    own, rounds_own = (ModelCheckpoint(tmp_path, monitor=monitor) for monitor in ("val/loss", "val/accuracy"))
    for checkpoint, value in ((own, 1.0), (rounds_own, 2.0)):
        nn.init.constant_(module.model.classifier.weight, value)
        checkpoint.best_model_path = str(tmp_path / f"{value}.ckpt")
        torch.save({"state_dict": module.state_dict()}, checkpoint.best_model_path)
    trainer = L.Trainer(callbacks=[own, rounds_own], **QUIET)
    assert trainer.checkpoint_callback is own
    load_best_weights(trainer, module)
    assert module.model.classifier.weight.mean() == 2


def test_a_fit_learns_its_labels(make, data, tiny_bert_without_dropout):
    module = make(tiny_bert_without_dropout, optimizer=adamw(3e-3), lr_scheduler="constant_with_warmup")
    fit(module, data, epochs=25, limit_val_batches=0)
    module.eval()
    rows = data.pool.labeled_rows
    with torch.no_grad():
        predicted = module.signals(data.pool.table.batch(rows), frozenset())["probabilities"].argmax(1)
    assert (predicted.numpy() == [data.pool.labels[row] for row in rows]).mean() > 0.9


# ---- loss, optimiser, schedule


def test_balanced_class_weights_by_hand(make, data):
    data = PoolDataModule(data.source, validation_size=30, batch_size=8)
    data.connect(make().task)
    known = np.asarray(data.fixed.known_labels()["pool"])
    buy(data, "pool", np.concatenate([np.flatnonzero(known == 0)[:6], np.flatnonzero(known == 2)[:2]]))
    module = make(class_weights="balanced", optimizer=adamw(0.0))
    losses = []

    class Watch(L.Callback):
        def on_train_batch_end(self, trainer, module, outputs, batch, index):
            with torch.no_grad():
                module.eval()
                logits, labels = module.logits(batch).cpu(), batch["labels"].cpu()
                module.train()
            weight = torch.tensor([8 / (2 * 6), 0.0, 8 / (2 * 2), 0.0])
            nll = -logits.log_softmax(1)[torch.arange(8), labels]
            losses.append(float((nll * weight[labels]).sum() / weight[labels].sum()))
            assert torch.allclose(module._weight.cpu(), weight)

    for dropout in (m for m in ready(module).modules() if isinstance(m, nn.Dropout)):
        dropout.p = 0.0
    for name in ("attention_probs_dropout_prob", "hidden_dropout_prob"):
        setattr(module.model.config, name, 0.0)
    trainer = fit(module, data, Watch())
    assert float(trainer.callback_metrics["train/loss"]) == pytest.approx(losses[0], rel=1e-4)


def test_biases_and_norms_do_not_decay(make):
    module = ready(make(optimizer=adamw(weight_decay=0.3)))
    optimizer = module.built_optimizer()
    decay = {id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    assert len(decay) == len(list(module.parameters()))
    for name, parameter in module.named_parameters():
        assert decay[id(parameter)] == (0.0 if name.endswith("bias") or "LayerNorm" in name else 0.3), name


def test_a_loss_that_is_no_number_is_told(make, data):
    module = ready(make())
    module.model.classifier.bias.data.fill_(float("nan"))
    with pytest.raises(UserError, match=r"the loss became nan at step 0: lower the learning rate"):
        fit(module, data)


def test_weights_that_diverge_in_the_last_step_are_told_before_anything_is_bought_by_them(make, data):
    data.batch_size = 24  # one step, and its loss is that of the pretrained weights
    with pytest.raises(UserError, match=r"the loss became nan at step 1"):
        fit(ready(make(optimizer=adamw(float("inf")))), data)


@pytest.mark.parametrize(("option", "value"), [("warmup", 1.0), ("warmup", -0.1), ("max_length", 2)])
def test_options_out_of_range_are_refused(make, option, value):
    with pytest.raises(UserError, match=f"model.{option}: {value}"):
        make(**{option: value})


# ---- signals


def test_mutual_information_is_that_of_dropout(make, batch, tiny_bert_without_dropout):
    needs = frozenset({"mutual_information"})
    module = ready(make(mc_samples=5)).eval()
    with torch.no_grad():
        uncertain = module.signals(batch, needs)["mutual_information"]
        certain = ready(make(tiny_bert_without_dropout, mc_samples=5)).eval().signals(batch, needs)
    assert uncertain.shape == (4,)
    assert torch.all(uncertain > 0)
    assert torch.all(uncertain <= np.log(4))
    assert torch.all(certain["mutual_information"] >= 0)
    assert torch.allclose(certain["mutual_information"], torch.zeros(4), atol=1e-6)
    assert not any(part.training for part in module.modules())


def test_head_inputs_times_the_last_layer_are_the_logits(make, batch):
    module = ready(make()).eval()
    with torch.no_grad():
        found = module.signals(batch, frozenset({"head_inputs"}))
        head = module.model.classifier
        logits = found["head_inputs"].float() @ head.weight.T + head.bias
        assert torch.allclose(logits, module.logits(batch), atol=2e-3)
    assert not module.model.base_model._forward_hooks
    assert not head._forward_pre_hooks


@pytest.mark.parametrize("side", ["right", "left"])
def test_head_inputs_of_a_decoder_are_those_of_the_last_token(make, tiny_bert, tmp_path, side):
    tokenizer = AutoTokenizer.from_pretrained(tiny_bert, padding_side=side)
    tokenizer.save_pretrained(tmp_path)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
        pad_token_id=tokenizer.pad_token_id,
    )
    LlamaModel(config).save_pretrained(tmp_path)
    module = ready(make(str(tmp_path))).eval()
    table = module.task.encode(
        datasets.Dataset.from_dict({"text": ["the market", "a goal in the last minute", "news"]})
    )
    batch = table.batch([0, 1, 2])
    with torch.no_grad():
        found = module.signals(batch, frozenset({"head_inputs"}))
        logits = found["head_inputs"].float() @ module.model.score.weight.T
        assert torch.allclose(logits, module.logits(batch), atol=2e-3)


def test_embedding_of_a_text_does_not_depend_on_its_padding(make):
    module = ready(make(max_length=40)).eval()
    texts = ["the market rose", "a goal in the last minute of the match won the cup " * 2, "new phone"]
    table = module.task.encode(datasets.Dataset.from_dict({"text": texts}))
    with torch.no_grad():
        alone = module.signals(table.batch([0]), frozenset())
        padded = module.signals(table.batch([0, 1, 2]), frozenset())
    assert torch.allclose(alone["embeddings"][0].float(), padded["embeddings"][0].float(), atol=2e-3)
    assert torch.allclose(alone["probabilities"][0], padded["probabilities"][0], atol=1e-5)
    assert float(padded["embeddings"].float().norm(dim=1).sub(1).abs().max()) < 2e-3


# ---- test report, export, restore


def test_the_test_report_has_the_tables_of_the_last_test(make, data):
    module = make()
    trainer = fit(module, data)
    (scalars,) = trainer.test(module, datamodule=data, verbose=False)
    report = module.test_report()
    matrix = np.array(report["confusion_matrix"])
    assert set(scalars) == {"test/loss", "test/accuracy", "test/macro_f1", "test/ece"}
    assert report["labels"] == NAMES == list(report["per_class_f1"])
    assert matrix.sum() == 20
    assert matrix.trace() / 20 == pytest.approx(scalars["test/accuracy"])
    assert matrix.sum(1).tolist() == np.bincount(data.fixed.splits.test["label"][:], minlength=4).tolist()


def test_the_logged_loss_is_the_mean_over_the_rows(make, data):
    module = ready(make())
    data.eval_batch_size = 7
    trainer = L.Trainer(enable_checkpointing=False, **QUIET)
    (scalars,) = trainer.test(module, datamodule=data, verbose=False)
    module.eval()
    with torch.no_grad():
        table = data.task.encode(data.fixed.splits.test)
        logits = module.logits(table.batch(range(20)))
    expected = F.cross_entropy(logits, torch.tensor(data.fixed.splits.test["label"][:]))
    assert scalars["test/loss"] == pytest.approx(float(expected), rel=1e-4)


def test_an_exported_model_predicts_the_same_in_a_pipeline(make, data, tmp_path):
    module = ready(make()).eval()
    module.export(tmp_path)
    texts = data.fixed.splits.pool["text"][:5]
    with torch.no_grad():
        probabilities = module.predict_step(data.pool.table.batch(range(5)), 0)["probabilities"]
    classify = pipeline("text-classification", model=str(tmp_path), device="cpu")
    for text, expected in zip(texts, probabilities, strict=True):
        (answer,) = classify([text], truncation=True, max_length=16)
        assert answer["label"] == NAMES[int(expected.argmax())]
        assert answer["score"] == pytest.approx(float(expected.max()), abs=1e-4)


def test_a_restored_module_has_the_exported_weights_and_names(make, batch, tmp_path):
    module = ready(make()).eval()
    module.export(tmp_path)
    restored = make(label_names=None)
    restored.restore(tmp_path)
    restored = ready(restored, seed=1).eval()
    assert restored.names == NAMES
    with torch.no_grad():
        assert torch.equal(restored.logits(batch), module.logits(batch))


def test_a_restored_module_reads_the_same_encoded_tables(make, data, tmp_path, monkeypatch):
    data.pool  # noqa: B018  encodes
    ready(make()).export(tmp_path)
    restored = make(label_names=None)
    restored.restore(tmp_path)
    monkeypatch.setattr(type(restored.task.tokenizer), "__call__", None)
    assert np.array_equal(restored.task.encode(data.fixed.splits.pool).lengths, data.pool.table.lengths)


def test_a_checkpoint_with_another_head_gets_a_new_one(make, data, tmp_path):
    ready(make(label_names=["no", "yes"])).export(tmp_path)
    module = ready(make(str(tmp_path)))
    assert module.model.classifier.out_features == 4
    assert module.model.config.id2label == dict(enumerate(NAMES))
