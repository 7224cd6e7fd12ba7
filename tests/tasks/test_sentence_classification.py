"""Classes read off the mean of the tokens."""

import datasets
import pytest
import torch
from tiny import documented_code, named
from torch.nn import functional
from transformers import AutoModel

from lit_react.augmentation.contrastive import Contrastive
from lit_react.tasks import SentenceClassification
from lit_react.tasks.linear_probe import LinearProbe


@pytest.fixture
def module(tiny_bert_without_dropout) -> SentenceClassification:
    module = named(SentenceClassification(tiny_bert_without_dropout, max_length=16), ["calm", "loud"])
    module.configure_model()
    return module.eval()


@pytest.fixture
def texts() -> datasets.Dataset:
    return datasets.Dataset.from_dict({"text": ["the film is good", "bad", "a long film about nothing at all"]})


def test_the_head_reads_the_masked_mean_of_the_last_states_at_unit_length(module, texts):
    batch = module.task.encode(texts).batch([0, 1, 2])
    hidden = AutoModel.from_pretrained(module.task.pretrained)(
        input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]
    )[0]
    for row, length in enumerate(batch["attention_mask"].sum(1).tolist()):
        mean = hidden[row, :length].mean(0)
        by_hand = module.model.head(mean / mean.norm())
        torch.testing.assert_close(module.logits(batch)[row], by_hand, atol=1e-5, rtol=1e-4)


def test_padding_changes_no_prediction(module, texts):
    table = module.task.encode(texts)
    together = module.outputs(table.batch([0, 1, 2]))["probabilities"]
    alone = torch.cat([module.outputs(table.batch([row]))["probabilities"] for row in range(3)])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)


def test_its_features_are_those_that_a_linear_probe_reads(module, texts):
    with torch.inference_mode():
        made = module.signals(module.task.encode(texts).batch([0, 1, 2]), frozenset({"head_inputs"}))
    probe = LinearProbe(module.task.pretrained, max_length=16).task.encode(texts).batch([0, 1, 2])
    torch.testing.assert_close(made["head_inputs"].float(), probe["features"], atol=2e-3, rtol=1e-2)


def test_the_unused_pooler_has_no_gradient_to_wait_for(module, texts):
    module.train()
    batch = module.task.encode(texts).batch([0, 1, 2], [0, 1, 0])
    module.loss(batch).backward()
    missing = {name for name, weight in module.named_parameters() if weight.requires_grad and weight.grad is None}
    assert not missing


def test_the_loss_is_cross_entropy_and_that_of_pairs_as_it_weighs(module, texts):
    batch = module.task.encode(texts).batch([0, 1, 2], [0, 1, 0])
    with torch.no_grad():
        features = module.model.features(module.model.base_model(batch["input_ids"], batch["attention_mask"])[0], batch)
        pairs = Contrastive().of_pairs(features, batch["labels"])
        entropy = functional.cross_entropy(module.model.head(features), batch["labels"])
        for weight in (0.0, 1.0, 3.0):
            module.contrastive = weight
            torch.testing.assert_close(module.loss(batch), entropy + weight * pairs)
        assert module.loss(module.task.encode(texts).batch([0], [])) == 0, "no label, nothing to learn"


def test_the_documented_code_gives_the_same_probabilities(module, texts, tmp_path):
    module.export(tmp_path)
    probabilities = documented_code("Relations, sentence encoders", tmp_path)["probabilities"]
    with torch.no_grad():
        expected = module.outputs(module.task.encode(texts).batch([0, 1, 2]))["probabilities"]
    for row, text in enumerate(texts["text"]):
        found = probabilities(text, 16)
        assert list(found) == ["calm", "loud"]
        torch.testing.assert_close(torch.tensor(list(found.values())), expected[row], atol=1e-5, rtol=1e-4)


def test_a_restored_module_predicts_what_the_exported_one_did(module, texts, tmp_path):
    batch = module.task.encode(texts).batch([0, 1, 2])
    before = module.outputs(batch)["probabilities"]
    module.export(tmp_path / "model")
    again = SentenceClassification("nowhere", max_length=16)
    again.restore(tmp_path / "model")
    assert again.names == ["calm", "loud"]
    torch.testing.assert_close(again.eval().outputs(batch)["probabilities"], before)
