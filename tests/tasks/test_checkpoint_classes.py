"""Classes that a checkpoint was fitted to, and those of the data."""

import pytest
import torch
from tiny import named
from transformers import AutoTokenizer

from lit_react.tasks import TextClassification


@pytest.fixture
def make(tiny_bert):
    def make(pretrained=tiny_bert, label_names=None):
        return named(TextClassification(pretrained, max_length=16), label_names)

    return make


def ready(module, seed=0):
    torch.manual_seed(seed)
    module.configure_model()
    return module


def trained_for(names, make, folder):
    """A checkpoint that was fitted to classes of these names."""
    model = ready(make(label_names=names)).model
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(make().task.pretrained).save_pretrained(folder)
    return model.classifier.weight.detach()


def test_a_checkpoint_s_classes_keep_their_outputs_in_another_order(make, tmp_path):
    weight = trained_for(["TECH", "ART", "LAW"], make, tmp_path)
    again = ready(make(str(tmp_path), label_names=["art", "law", "tech"]), seed=1).model
    assert torch.equal(again.classifier.weight, weight[[1, 2, 0]])
    assert again.config.id2label == {0: "art", 1: "law", 2: "tech"}


@pytest.mark.parametrize(("names", "kept"), [(["LABEL_0", "LABEL_1", "LABEL_2"], True), (["a", "b", "c"], False)])
def test_outputs_for_other_classes_are_new_and_nameless_ones_are_believed(make, tmp_path, names, kept):
    weight = trained_for(names, make, tmp_path)
    first, same, other = (
        ready(make(str(tmp_path), label_names=["art", "law", "tech"]), seed).model for seed in (1, 1, 2)
    )
    assert torch.equal(first.classifier.weight, weight) == kept
    assert torch.equal(first.classifier.weight, same.classifier.weight)
    assert torch.equal(first.classifier.weight, other.classifier.weight) == kept
    for name, tensor in first.bert.state_dict().items():
        assert torch.equal(tensor, other.bert.state_dict()[name]), name
