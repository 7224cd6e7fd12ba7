import json
import math
import shutil
from pathlib import Path

import datasets
import lightning as L
import numpy as np
import pytest
import torch
from sacrebleu import corpus_chrf
from task_cases.translation import options as translation_case
from tiny_seq2seq import build_bart, build_t5
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

from lit_react.core.errors import UserError
from lit_react.data.datamodule import PoolDataModule
from lit_react.tasks import Translation
from lit_react.tasks.lora import LoRA

NEEDS = frozenset({"expected_sequence_probability", "bleu_variance"})
TEXTS = ["the old dog sees a green house .", "a cat leaves every tree .", "every small boat seeks the dog ."]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """The tiny case of the translation: `sentences.jsonl`, and its T5 in `t5`."""
    folder = tmp_path_factory.mktemp("translation")
    translation_case(folder)
    return folder


@pytest.fixture(scope="module")
def models(folder, tmp_path_factory) -> dict[str, str]:
    texts = [
        text for line in (folder / "sentences.jsonl").read_text().splitlines() for text in json.loads(line).values()
    ]
    bart = tmp_path_factory.mktemp("bart")
    return {
        "t5": str(folder / "t5"),
        "bart": build_bart(bart / "bart", texts, dropout=0.4),
        "t5 without dropout": build_t5(bart / "t5", texts, dropout=0.0),
        "bart without dropout": build_bart(bart / "still", texts, dropout=0.0),
    }


def make(pretrained: str, task=Translation, **options):
    return task(pretrained, **{"max_length": 16, "max_target_length": 12} | options)


def ready(module, seed=0):
    torch.manual_seed(seed)
    module.configure_model()
    return module.eval()


def table_of(module, texts=TEXTS):
    return module.task.encode(datasets.Dataset.from_dict({"text": texts}))


# ---- rows and labels


def test_people_answer_with_one_text_or_several(tmp_path) -> None:
    module = make("nowhere")
    row = {"text": "a dog"}
    assert module.task.question(row) == row
    assert module.task.parse("ein Hund", row) == "ein Hund"
    assert module.task.parse(["ein Hund", "der Hund"], row) == ["ein Hund", "der Hund"]
    assert module.task.describe(row, ["ein Hund", "der Hund"]) == ("a dog", "ein Hund")
    for wrong in (3, [], ["ein Hund", ""], {"text": "ein Hund"}, " "):
        with pytest.raises(ValueError, match="expected a text, or a list of texts"):
            module.task.parse(wrong, row)


@pytest.mark.parametrize(("option", "value"), [("num_beams", 0), ("max_target_length", 1), ("mc_samples", 1)])
def test_options_out_of_range_are_refused(option, value) -> None:
    with pytest.raises(UserError, match=f"model.{option}: {value} is too small"):
        make("nowhere", **{option: value})


def test_a_batch_has_the_first_target_and_all_references(models) -> None:
    module = make(models["t5"], max_target_length=4)
    table = table_of(module)
    batch = table.batch([2, 0], [["jeder Hund", "ein Hund"], "der alte Hund sieht ein Haus"])
    assert batch["references"] == [["jeder Hund", "ein Hund"], ["der alte Hund sieht ein Haus"]]
    assert batch["labels"].shape == (2, 4)
    assert module.task.tokenizer.decode(batch["labels"][0, :3]) == "jeder Hund </s>"
    assert batch["labels"][0, 3] == -100
    assert batch["labels"][1, 3] == module.task.tokenizer.eos_token_id
    assert "labels" not in table.batch([0])
    assert module.task.sizes(None, table).tolist() == [9, 7, 8]


def test_a_prefix_is_encoded_with_each_source_and_nobody_pays_for_reading_it(models) -> None:
    modules = [make(models["t5"], prefix=prefix) for prefix in ("", "every ")]
    plain, prefixed = map(table_of, modules)
    rows = datasets.Dataset.from_dict({"text": TEXTS})
    assert (
        modules[1].task.sizes(rows, prefixed).tolist()
        == modules[0].task.sizes(rows, plain).tolist()
        == plain.lengths.tolist()
    )
    assert np.array_equal(prefixed.lengths, plain.lengths + 1)
    assert torch.equal(prefixed.batch([0])["input_ids"][:, 1:], plain.batch([0])["input_ids"])


# ---- learning


@pytest.mark.slow
def test_a_fit_learns_to_translate(folder, models) -> None:
    data = PoolDataModule(str(folder / "sentences.jsonl"), validation_size=16, test_size=20, batch_size=8)
    module = make(models["t5"], optimizer=lambda p: torch.optim.AdamW(p, lr=0.01), max_target_length=16)
    data.connect(module.task)
    known = data.fixed.known_labels()
    data.reveal("pool", dict(enumerate(known["pool"])))
    data.reveal("validation", dict(enumerate(known["validation"])))
    losses: list[float] = []

    class Watch(L.Callback):
        def on_train_batch_end(self, trainer, module, outputs, *args) -> None:
            losses.append(float(outputs["loss"]))

    L.seed_everything(0, verbose=False)
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    once = {"check_val_every_n_epoch": 15, "num_sanity_val_steps": 0, "enable_checkpointing": False}
    trainer = L.Trainer(max_epochs=15, accelerator="cpu", gradient_clip_val=1.0, callbacks=[Watch()], **quiet, **once)
    trainer.fit(module, datamodule=data)
    (scores,) = trainer.test(module, datamodule=data, verbose=False)
    test = data.fixed.splits.test
    copied = corpus_chrf(test["text"][:], [test["label"][:]]).score / 100
    assert np.mean(losses[-10:]) < 0.5 * np.mean(losses[:10])
    assert set(scores) == {"test/loss", "test/chrf", "test/bleu"}
    assert scores["test/chrf"] > copied + 0.15
    assert scores["test/bleu"] > 0.05


@pytest.mark.parametrize("name", ["t5", "bart"])
def test_the_loss_is_that_of_transformers(models, name) -> None:
    module = ready(make(models[name]))
    batch = table_of(module).batch([1, 0], ["ein Hund sieht jeder Baum .", ["der Hund", "ein Hund"]])
    inputs = {name: batch[name] for name in ("input_ids", "attention_mask", "labels")}
    expected = module.model(**inputs).loss
    assert torch.allclose(module.loss(batch), expected)
    assert torch.allclose(module.evaluate(batch, module.task.metrics()), expected)


@pytest.mark.parametrize("num_beams", [1, 3])
def test_a_checkpoint_that_searches_in_another_way_is_exported_nevertheless(models, num_beams, tmp_path) -> None:
    shutil.copytree(models["bart"], tmp_path / "bart")
    settings = json.loads((tmp_path / "bart" / "generation_config.json").read_text())
    settings |= {"num_beams": 4, "early_stopping": True, "length_penalty": 2.0, "no_repeat_ngram_size": 3}
    settings |= {"do_sample": True, "temperature": 0.7, "top_p": 0.9, "num_return_sequences": 2}
    (tmp_path / "bart" / "generation_config.json").write_text(json.dumps(settings))
    module = ready(make(str(tmp_path / "bart"), num_beams=num_beams))
    written = module.outputs(table_of(module).batch([0, 1]))["hypothesis"]
    module.export(tmp_path / "exported")
    again = AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "exported").generation_config
    assert len(written) == 2
    assert (again.num_beams, again.no_repeat_ngram_size, again.do_sample) == (num_beams, 3, False)
    assert again.length_penalty == (2.0 if num_beams > 1 else None)


# ---- signals


def by_hand(module, batch) -> list[list[float]]:
    """Log p, entropy share and margin of each token of the greedy hypothesis, without a cache."""
    settings, steps = module.model.generation_config, []
    tokens = torch.tensor([[settings.decoder_start_token_id]])
    if settings.forced_bos_token_id is not None:
        tokens = torch.cat([tokens, torch.tensor([[settings.forced_bos_token_id]])], 1)
    written = tokens.shape[1] - 1
    for _ in range(module.task.max_target_length - written):
        inputs = {name: batch[name] for name in ("input_ids", "attention_mask")}
        p = module.model(**inputs, decoder_input_ids=tokens).logits[0, -1].softmax(-1)
        first, second = p.topk(2).values.tolist()
        entropy = float(-(p * p.log()).sum()) / math.log(len(p))
        steps.append([math.log(first), entropy, first - second])
        tokens = torch.cat([tokens, p.argmax().reshape(1, 1)], 1)
        if tokens[0, -1] == settings.eos_token_id:
            break
    return steps


@pytest.mark.parametrize("name", ["t5", "bart"])
def test_signals_are_those_of_the_greedy_hypothesis(models, name) -> None:
    module = ready(make(models[name], num_beams=3))
    table = table_of(module)
    with torch.no_grad():
        found = module.signals(table.batch([0, 1, 2]), frozenset())
        for row in range(3):
            log_p, entropy, margin = np.mean(by_hand(module, table.batch([row])), axis=0)
            assert float(found["max_probability"][row]) == pytest.approx(math.exp(log_p), rel=1e-4)
            assert float(found["entropy"][row]) == pytest.approx(entropy * math.log(2), rel=1e-4)
            assert float(found["margin"][row]) == pytest.approx(margin, rel=1e-3, abs=1e-6)
    assert torch.equal(found["probabilities"][:, 0], found["max_probability"])
    assert torch.allclose(found["probabilities"].sum(1), torch.ones(3))
    assert [found[signal].dtype for signal in ("probabilities", "embeddings")] == [torch.float32, torch.float16]
    assert torch.allclose(found["embeddings"].float().norm(dim=1), torch.ones(3), atol=2e-3)


@pytest.mark.parametrize("name", ["t5", "bart"])
def test_the_probability_of_a_prediction_is_that_of_its_tokens(models, name) -> None:
    module = ready(make(models[name]))
    batch = table_of(module).batch([0, 1, 2])
    with torch.no_grad():
        predicted = module.predict_step(batch, 0)
        found = module.signals(batch, frozenset())
    assert torch.allclose(predicted["probability"], found["max_probability"], rtol=1e-4)


@pytest.mark.parametrize("name", ["t5", "bart"])
def test_scores_on_demand_come_from_dropout(models, name) -> None:
    moving, still = ready(make(models[name])), ready(make(models[f"{name} without dropout"]))
    batch = table_of(moving).batch([0, 1, 2])
    with torch.no_grad():
        uncertain, certain = moving.signals(batch, NEEDS), still.signals(batch, NEEDS)
        again = moving.signals(batch, frozenset())
    assert torch.allclose(certain["expected_sequence_probability"], 1 - certain["max_probability"], atol=1e-5)
    assert torch.equal(certain["bleu_variance"], torch.zeros(3))
    assert not torch.allclose(uncertain["expected_sequence_probability"], 1 - uncertain["max_probability"], atol=1e-5)
    assert all(torch.all((uncertain[score] >= 0) & (uncertain[score] <= 1)) for score in NEEDS)
    assert float(uncertain["bleu_variance"].max()) > 0
    assert torch.equal(again["max_probability"], uncertain["max_probability"])
    assert not any(part.training for part in moving.modules())


@pytest.mark.parametrize("name", ["t5", "bart"])
def test_what_is_written_under_dropout_is_sound_where_a_fit_saves_memory(models, name, monkeypatch) -> None:
    pytest.importorskip("peft")
    written = []
    monkeypatch.setattr(
        "lit_react.tasks.sequence_to_sequence.bleu_variance", lambda texts, _: written.append(texts) or 0.0
    )
    lora = LoRA(rank=2, dropout=0.0, gradient_checkpointing=True)
    module = ready(make(models[f"{name} without dropout"], lora=lora, mc_samples=2))
    batch = table_of(module).batch([0, 1, 2])
    with torch.no_grad():
        module.signals(batch, NEEDS)
        greedy = module.outputs(batch)["hypothesis"]
    assert written == [(text, text) for text in greedy]


def test_a_target_longer_than_the_decoder_has_places_for_is_told(models) -> None:
    make(models["bart"], max_target_length=64).check()
    with pytest.raises(UserError, match=r"model\.max_target_length: 65"):
        make(models["bart"], max_target_length=65).check()
    make(models["t5"], max_target_length=5000).check()  # positions relative to each other


def test_signals_are_float32_under_bf16(models) -> None:
    module = ready(make(models["t5"]))
    batch = table_of(module).batch([0, 1])
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        found = module.signals(batch, NEEDS)
    kinds = {name: values.dtype for name, values in found.items()}
    assert kinds == dict.fromkeys(kinds, torch.float32) | {"embeddings": torch.float16}


def test_the_pretrained_encoder_embeds_before_any_training(models) -> None:
    module = make(models["t5"])
    embeddings = module.task.embed(datasets.Dataset.from_dict({"text": TEXTS}))
    found = ready(make(models["t5"])).signals(table_of(module).batch([0, 1, 2]), frozenset())
    assert np.allclose(embeddings, found["embeddings"].detach().float(), atol=2e-3)


# ---- files


@pytest.mark.parametrize(("name", "beams"), [("t5", 1), ("t5", 3), ("bart", 3)])
def test_an_exported_model_generates_what_predict_writes(models, tmp_path, name, beams) -> None:
    module = ready(make(models[name], num_beams=beams))
    with torch.no_grad():
        expected = module.predict_step(table_of(module).batch([0, 1, 2]), 0)["hypothesis"]
    module.export(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    inputs = tokenizer(TEXTS, padding=True, truncation=True, return_tensors="pt")
    inputs.pop("token_type_ids", None)
    written = AutoModelForSeq2SeqLM.from_pretrained(tmp_path).generate(**inputs)
    assert tokenizer.batch_decode(written, skip_special_tokens=True) == expected
    restored = make("nowhere", num_beams=beams)
    restored.restore(tmp_path)
    with torch.no_grad():
        assert ready(restored, seed=1).predict_step(table_of(restored).batch([0, 1, 2]), 0)["hypothesis"] == expected


def test_a_prediction_has_the_text_the_hypothesis_and_its_probability() -> None:
    line = make("nowhere").task.prediction(
        {"hypothesis": "ein Hund", "probability": np.float32(0.25)}, {"text": "a dog"}
    )
    assert line == {"text": "a dog", "label": "ein Hund", "probability": 0.25}
