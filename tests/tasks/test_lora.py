"""A 2-layer Llama with adapters: what is trained, what is kept, and that all else works as without them."""

import json
import sys
from pathlib import Path

import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from peft import PeftModel
from task_cases.lora import build_llama, options
from tiny import ACCELERATOR, QUIET, named
from torch import nn
from transformers import (
    AutoModelForQuestionAnswering,
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
    DebertaV2Config,
    LlamaConfig,
    RobertaConfig,
    T5Config,
    pipeline,
)

from lit_react.acquisition.callback import load_best_weights
from lit_react.cli import main
from lit_react.core.errors import UserError
from lit_react.data.datamodule import PoolDataModule
from lit_react.tasks import TextClassification
from lit_react.tasks import lora as module_of_lora
from lit_react.tasks.lora import ADAPTERS, LoRA, head_parts

NEEDS = frozenset({"head_inputs", "mutual_information"})


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    folder = tmp_path_factory.mktemp("lora")
    return folder, options(folder)


@pytest.fixture
def make(case):
    def make(lora: LoRA | None = None, label_names=("clothes", "food", "tools"), **settings) -> TextClassification:
        settings = {
            "pretrained": str(case[0] / "llama"),
            "max_length": 12,
            "optimizer": lambda p: torch.optim.AdamW(p, lr=1e-2),
        } | settings
        return named(TextClassification(lora=lora, **settings), label_names and list(label_names))

    return make


@pytest.fixture
def data(case, make) -> PoolDataModule:
    data = PoolDataModule(str(case[0] / "orders.csv"), validation_size=24, test_size=24, batch_size=6)
    data.connect(make().task)
    known = data.fixed.known_labels()
    for split in ("pool", "validation"):
        data.reveal(split, dict(enumerate(known[split][:24])))
    return data


def ready(module: TextClassification, moved: bool = False) -> TextClassification:
    """With weights, in eval mode; `moved`: adapters are as after a fit, not zero."""
    torch.manual_seed(0)
    module.configure_model()
    for name, parameter in module.named_parameters():
        if moved and "lora_" in name:
            parameter.data.add_(torch.randn_like(parameter), alpha=0.3)
    return module.eval()


def test_only_adapters_and_head_are_trained_and_kept_in_a_round_s_checkpoint(make, data, tmp_path) -> None:
    module = make(LoRA(rank=2))
    before = {name: w.clone() for name, w in ready(module).state_dict().items()}
    checkpoint = ModelCheckpoint(tmp_path, "best", monitor="val/accuracy", mode="max", save_weights_only=True)
    trainer = L.Trainer(max_epochs=3, callbacks=[checkpoint], **QUIET)
    trainer.fit(module.train(), datamodule=data)
    changed = {name for name, w in module.state_dict().items() if not torch.equal(w.cpu(), before[name])}
    assert changed
    assert all("lora_" in name or name == "model.score.modules_to_save.default.weight" for name in changed)
    trained = {id(p) for group in trainer.optimizers[0].param_groups for p in group["params"]}
    assert trained == {id(p) for name, p in module.named_parameters() if name in changed}
    kept = torch.load(checkpoint.best_model_path, weights_only=True)["state_dict"]
    assert kept.keys() == changed
    for name in changed:
        module.state_dict()[name].zero_()
    load_best_weights(trainer, module)
    assert all(torch.equal(module.state_dict()[name].cpu(), w.cpu()) for name, w in kept.items())
    (again,) = trainer.validate(module, datamodule=data, verbose=False)
    assert again["val/accuracy"] == pytest.approx(float(checkpoint.best_model_score))


@pytest.mark.parametrize("lora", [None, LoRA(rank=2)])
def test_a_checkpoint_that_lacks_what_was_trained_is_refused(make, lora) -> None:
    module = ready(make(lora))
    checkpoint = {"state_dict": dict(module.state_dict())}
    whole = len(checkpoint["state_dict"])
    module.on_save_checkpoint(checkpoint)
    weights = checkpoint["state_dict"]
    assert (len(weights) == whole) == (lora is None)
    module.load_state_dict(weights)
    with pytest.raises(RuntimeError, match="unexpected"):
        module.load_state_dict(weights | {"model.other": torch.zeros(1)})
    weights.pop(next(name for name in weights if "score" in name))
    with pytest.raises(RuntimeError, match="missing"):
        module.load_state_dict(weights)


def test_new_adapters_change_no_signal(make, data) -> None:
    batch = data.pool.table.batch([0, 5, 9, 40])
    plain, adapted = ready(make()), ready(make(LoRA(dropout=0.2)))
    adapted.model.score.modules_to_save["default"].weight.data.copy_(plain.model.score.weight)
    with torch.no_grad():
        expected, found = plain.signals(batch, NEEDS), adapted.signals(batch, NEEDS)
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        assert found[name].dtype == values.dtype
        assert torch.allclose(found[name].float(), values.float(), atol=1e-6), name
    assert not adapted.model.base_model._forward_hooks


def test_dropout_of_the_adapters_gives_a_decoder_mutual_information(make, data) -> None:
    batch = data.pool.table.batch([0, 5, 9, 40])
    for dropout, uncertain in ((0.3, True), (0.0, False)):
        with torch.no_grad():
            found = ready(make(LoRA(dropout=dropout)), moved=True).signals(batch, NEEDS)["mutual_information"]
        assert bool((found > 1e-4).all()) is uncertain


def test_head_inputs_are_those_of_the_last_token(make, data) -> None:
    module = ready(make(LoRA()), moved=True)
    batch = data.pool.table.batch(range(6))
    with torch.no_grad():
        found = module.signals(batch, NEEDS)["head_inputs"].float()
        logits = found @ module.model.score.modules_to_save["default"].weight.T
        assert torch.allclose(logits, module.logits(batch), atol=1e-2)


def test_an_export_is_a_model_like_any_other(make, data, tmp_path) -> None:
    module = ready(make(LoRA(rank=2)), moved=True)
    batch, texts = data.pool.table.batch(range(5)), data.fixed.splits.pool["text"][:5]
    with torch.no_grad():
        expected = module.predict_step(batch, 0)["probabilities"]
        module.export(tmp_path)
        assert torch.equal(module.predict_step(batch, 0)["probabilities"], expected), "the module is as it was"
    assert not (tmp_path / ADAPTERS).exists()
    classify = pipeline("text-classification", model=str(tmp_path), device="cpu")
    for text, probabilities in zip(texts, expected, strict=True):
        (answer,) = classify([text])
        assert answer["label"] == module.names[int(probabilities.argmax())]
        assert answer["score"] == pytest.approx(float(probabilities.max()), abs=1e-5)
    restored = make(LoRA(rank=3), label_names=None)
    restored.restore(tmp_path)
    with torch.no_grad():
        assert torch.allclose(ready(restored).predict_step(batch, 0)["probabilities"], expected, atol=1e-5)


def test_frozen_weights_keep_their_dtype_and_trained_ones_are_float32(make, data, tmp_path) -> None:
    build_llama(tmp_path / "half", torch.bfloat16)
    module = ready(make(LoRA(), pretrained=str(tmp_path / "half")))
    assert {p.dtype for p in module.parameters() if p.requires_grad} == {torch.float32}
    assert {p.dtype for p in module.parameters() if not p.requires_grad} == {torch.bfloat16}
    batch = data.pool.table.batch(range(5), [0, 1, 2, 0, 1])
    module.loss(batch).backward()
    with torch.autocast("cpu", torch.bfloat16):
        module.loss(batch).backward()
    module.export(tmp_path / "model")
    assert AutoModelForSequenceClassification.from_pretrained(tmp_path / "model").dtype == torch.bfloat16


def test_recomputed_activations_give_the_same_gradients(make, data) -> None:
    batch, gradients = data.pool.table.batch(range(5), [0, 1, 2, 0, 1]), []
    for again in (False, True):
        module = ready(make(LoRA(dropout=0.0, gradient_checkpointing=again)), moved=True).train()
        module.loss(batch).backward()
        gradients.append([p.grad for p in module.parameters() if p.requires_grad])
    assert all(torch.allclose(p, q, atol=1e-6) for p, q in zip(*gradients, strict=True))


# ---- 4 bits


@pytest.fixture
def four_bits(monkeypatch) -> LoRA:
    """Options as on a GPU with bitsandbytes; the weights are read as they are, for neither is here."""
    lora = LoRA(rank=2)
    lora.quantize = "4bit"
    load = module_of_lora.load_model

    def read(auto_class, pretrained, quantization_config, device_map, **config):
        return load(auto_class, pretrained, **config)

    monkeypatch.setattr(module_of_lora, "load_model", read)
    monkeypatch.setattr(module_of_lora, "BitsAndBytesConfig", lambda **options: options)
    return lora


def test_a_4bit_model_leaves_adapters_and_head_and_takes_them_again(make, data, tmp_path, four_bits) -> None:
    module = ready(make(four_bits), moved=True)
    module.export(tmp_path)
    assert not (tmp_path / "model.safetensors").exists()
    card = json.loads((tmp_path / "lit_react.json").read_text())
    assert card["checkpoint"] == module.task.pretrained
    assert "adapters" in card["weights"]
    restored = make(four_bits, label_names=None, pretrained=str(tmp_path))
    restored.restore(tmp_path)
    batch = data.pool.table.batch(range(5))
    with torch.no_grad():
        assert torch.equal(ready(restored).logits(batch), module.logits(batch))
    plain = AutoModelForSequenceClassification.from_pretrained(
        module.task.pretrained, num_labels=3, dtype=torch.bfloat16
    )
    of_peft = PeftModel.from_pretrained(plain, str(tmp_path)).merge_and_unload()
    merged = LoRA(rank=2).exported(module.model)
    assert all(torch.allclose(p, q, atol=1e-2) for p, q in zip(of_peft.parameters(), merged.parameters(), strict=True))
    other = make(LoRA(rank=3), label_names=None)
    with pytest.raises(UserError, match=r"adapters of a 4-bit model"):
        other.restore(tmp_path)
    other.lora.quantize = "4bit"
    other.restore(tmp_path)
    with pytest.raises(UserError, match="fitted with another model"):
        other.configure_model()


def test_4bit_without_a_gpu_or_without_its_package_is_told(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    with pytest.raises(UserError, match=r"model.lora.quantize: bitsandbytes is not installed"):
        LoRA(quantize="4bit")
    monkeypatch.setitem(sys.modules, "bitsandbytes", nn)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match=r"4bit needs a CUDA GPU"):
        LoRA(quantize="4bit")


# ---- which parts are the head


@pytest.mark.parametrize(
    ("auto_class", "config", "expected"),
    [
        (AutoModelForSequenceClassification, LlamaConfig, ["score"]),
        (AutoModelForSequenceClassification, RobertaConfig, ["classifier"]),
        (AutoModelForSequenceClassification, DebertaV2Config, ["pooler", "classifier"]),
        (AutoModelForQuestionAnswering, T5Config, ["qa_outputs"]),
        (AutoModelForSeq2SeqLM, T5Config, []),
    ],
)
def test_the_head_is_what_belongs_to_the_task(auto_class, config, expected) -> None:
    with torch.device("meta"):
        model = auto_class.from_config(config(num_hidden_layers=1))
    assert head_parts(model) == expected
    adapted = LoRA().apply(model)
    for name, parameter in adapted.named_parameters():
        whole = name.split(".")[0] in expected and "modules_to_save" in name
        assert parameter.requires_grad == (whole or "lora_" in name), name


# ---- the command line


def told(arguments: list[str], capsys) -> str:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    return line


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        (["--model.lora.target_modules", "[q_prj]"], "has no linear layer 'q_prj', expected down_proj, gate_proj"),
        (["--model.lora.target_modules", "[score]"], "has no linear layer 'score'"),
        (["--model.lora.rank", "0"], "model.lora.rank: 0"),
        (["--model.lora.dropout", "1"], "model.lora.dropout: 1"),
    ],
)
def test_wrong_options_are_one_line_before_anything_is_bought(case, extra, expected, tmp_path, capsys) -> None:
    own = ["--rounds.folder", str(tmp_path / "run"), "--trainer.accelerator", ACCELERATOR]
    arguments = ["fit", *case[1], *own, *extra]
    assert expected in told(arguments, capsys)
    assert not (tmp_path / "run").exists()


def test_a_missing_peft_is_one_line(case, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    line = told(["fit", *case[1], "--rounds.folder", str(tmp_path / "run")], capsys)
    assert "model.lora: peft is not installed (pip install -e '.[lora]')" in line


@pytest.mark.slow
def test_a_resumed_run_that_goes_on_from_its_weights_equals_an_unbroken_one(case, tmp_path) -> None:
    """One whose rounds start cold: test_every_task.py."""
    for folder, budgets in (("whole", ["52"]), ("resumed", ["44", "52"])):
        for budget in budgets:
            run = ["--rounds.folder", str(tmp_path / folder), "--rounds.start", "warm", "--wandb.mode", "disabled"]
            main(["fit", *case[1], *run, "--rounds.budget", budget, "--trainer.accelerator", ACCELERATOR])
    whole, resumed = (json.loads((tmp_path / n / "result.json").read_text())["rounds"] for n in ("whole", "resumed"))
    assert [entry["labeled"] for entry in whole] == [12, 20, 28]
    assert [entry["metrics"] for entry in whole] == [entry["metrics"] for entry in resumed]
    assert whole[-1]["metrics"]["test/accuracy"] > 0.5
