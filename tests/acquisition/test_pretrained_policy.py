"""A policy's folder: what is written is what is read, and what is none is told in one line."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny import linear_policy, random_policy

from lit_react.acquisition.agents import DoubleDQN
from lit_react.acquisition.features import SAMPLE_FEATURES, STATE_FEATURES
from lit_react.acquisition.pretrained import PretrainedPolicy
from lit_react.core.errors import UserError


@pytest.fixture
def folder(tmp_path):
    random_policy(seed=1, members=4, hidden=6).save(tmp_path / "policy")
    return tmp_path / "policy"


@pytest.mark.parametrize(("members", "hidden"), [(1, 1), (4, 6), (8, 64)])
def test_a_policy_is_read_back_to_the_last_bit(tmp_path, members, hidden):
    policy = random_policy(seed=2, members=members, hidden=hidden)
    policy.save(tmp_path)
    loaded = PretrainedPolicy.load(tmp_path)
    written, read = policy.q_network.state_dict(), loaded.q_network.state_dict()
    assert written.keys() == read.keys()
    assert all(torch.equal(written[name], read[name]) for name in written)
    assert written["mean"].abs().sum() > 0, "inputs are standardised as in training"
    assert torch.equal(policy.expected_gain, loaded.expected_gain)
    files = [(tmp_path / name).read_bytes() for name in ("policy.safetensors", "policy.json")]
    loaded.save(tmp_path / "again")
    assert [(tmp_path / "again" / name).read_bytes() for name in ("policy.safetensors", "policy.json")] == files


def test_the_card_keeps_what_it_was_given_and_names_the_features(folder):
    card = json.loads((folder / "policy.json").read_text())
    assert card["seed"] == 1
    assert card["state_features"] == list(STATE_FEATURES)
    assert card["sample_features"] == list(SAMPLE_FEATURES)
    assert PretrainedPolicy.load(folder).card == card


def change_card(folder, **fields):
    path = folder / "policy.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def change_tensors(folder, **changed):
    """Replace tensors; None leaves one out."""
    path = folder / "policy.safetensors"
    tensors = load_file(path) | changed
    save_file({name: tensor for name, tensor in tensors.items() if tensor is not None}, path)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: change_card(f, state_features=[*STATE_FEATURES, "moon"]), "was trained on other state_features"),
        (lambda f: change_card(f, sample_features=SAMPLE_FEATURES[::-1]), "was trained on other sample_features"),
        (lambda f: change_card(f, sample_features=None), "was trained on other sample_features"),
        (lambda f: (f / "policy.json").unlink(), "no policy"),
        (lambda f: (f / "policy.json").write_text('{"seed": '), "no policy"),
        (lambda f: (f / "policy.json").write_text("[1, 2]"), "no policy"),
        (lambda f: (f / "policy.json").write_bytes(b"\xff\xfe\x00"), "no policy"),
        (lambda f: (f / "policy.safetensors").unlink(), "no policy"),
        (lambda f: (f / "policy.safetensors").write_bytes(b""), "no policy"),
        (lambda f: (f / "policy.safetensors").write_bytes((f / "policy.safetensors").read_bytes()[:-9]), "no policy"),
        (lambda f: change_tensors(f, expected_gain=None), "no policy"),
        (lambda f: change_tensors(f, expected_gain=torch.zeros(3)), "no policy"),
        (lambda f: change_tensors(f, **{"weights.0": None}), "no policy"),
        (lambda f: change_tensors(f, **{"weights.0": torch.zeros(4, 6)}), "no policy"),
        (lambda f: change_tensors(f, **{"weights.1": None}), "no policy"),
        (lambda f: change_tensors(f, **{"biases.1": torch.zeros(4, 1, 7)}), "no policy"),
        (lambda f: change_tensors(f, moon=torch.zeros(1)), "no policy"),
    ],
    ids=[
        "more state features",
        "features in another order",
        "no features named",
        "no card",
        "half a card",
        "a card that is a list",
        "a card that is no text",
        "no tensors",
        "an empty file",
        "a file cut short",
        "no expected gain",
        "an expected gain of other features",
        "no first layer",
        "a first layer without members",
        "no second layer",
        "a layer of another width",
        "a tensor too many",
    ],
)
def test_what_is_no_policy_is_told_in_one_line(folder, damage, message):
    damage(folder)
    with pytest.raises(UserError, match=message) as told:
        DoubleDQN(str(folder))
    assert str(told.value).startswith(f"{folder}: ")
    assert "\n" not in str(told.value)


def test_a_folder_that_is_none_is_told_in_one_line(tmp_path):
    with pytest.raises(UserError, match=r"gone: no policy .*; expected a folder that `simulate` wrote$"):
        DoubleDQN(str(tmp_path / "gone"))


def test_saving_a_policy_over_another_replaces_it(folder):
    policy = linear_policy("1 - margin", slope=1.0)
    policy.save(folder)
    loaded = PretrainedPolicy.load(folder)
    assert len(loaded.q_network.weights[0]) == 3
    assert "seed" not in loaded.card
