import os

import pytest
import torch

from lit_react.acquisition.agents import DoubleDQN
from lit_react.acquisition.callback import AcquisitionCallback
from lit_react.core.errors import UserError
from lit_react.core.files import write_atomically, write_json, write_lines
from lit_react.run.state import RunState

LIMITS = {"budget": 1.0}


def make_state(rounds=2):
    state = RunState()
    for number in range(rounds):
        state.rounds.append({"round": number, "metrics": {"val/accuracy": number / 10}, "reward": None})
        state.advance({"weights": torch.full((3,), float(number)), "values": [0.1] * number}, None, LIMITS)
    return state


def test_a_folder_without_state_is_a_new_run(tmp_path):
    assert RunState.load(tmp_path) == RunState()


def test_a_saved_state_is_loaded_as_it_was(tmp_path):
    state = make_state()
    state.advance(state.acquisition, "the budget is spent", LIMITS)
    state.save(tmp_path)
    loaded = RunState.load(tmp_path)
    assert loaded.rounds == state.rounds
    assert loaded.stopped == "the budget is spent"
    assert torch.equal(loaded.acquisition["weights"], state.acquisition["weights"])
    assert torch.equal(loaded.before_last["weights"], state.before_last["weights"])


@pytest.mark.parametrize("broken", ["fsync", "replace"])
def test_a_crash_while_saving_leaves_the_old_state(tmp_path, monkeypatch, broken):
    make_state(1).save(tmp_path)

    def crash(*args):
        raise OSError("no space left on device")

    monkeypatch.setattr(os, broken, crash)
    with pytest.raises(OSError, match="no space"):
        make_state(2).save(tmp_path)
    monkeypatch.undo()
    assert len(RunState.load(tmp_path).rounds) == 1
    make_state(3).save(tmp_path)
    assert len(RunState.load(tmp_path).rounds) == 3
    assert [path.name for path in tmp_path.iterdir()] == ["state.pt"]


@pytest.mark.parametrize("damage", ["truncated", "garbage", "empty", "another file"])
def test_a_damaged_state_is_told_and_how_to_go_on(tmp_path, damage):
    make_state().save(tmp_path)
    path = tmp_path / "state.pt"
    if damage == "another file":
        torch.save({"something": 1}, path)
    else:
        whole = path.read_bytes()
        path.write_bytes({"truncated": whole[: len(whole) // 2], "garbage": b"not a state" * 99, "empty": b""}[damage])
    with pytest.raises(UserError, match=r"state.pt: damaged state file \(\w+\); move it away"):
        RunState.load(tmp_path)


def test_a_state_of_another_version_is_refused_and_said_how_to_go_on():
    callback = AcquisitionCallback(agent=DoubleDQN(pretrained=None))
    older = {key: value for key, value in callback.state_dict().items() if key != "format"}
    with pytest.raises(UserError, match="another version of lit-react"):
        callback.load_state_dict(older)
    callback.load_state_dict(callback.state_dict())


def test_a_reopened_run_is_where_it_was_before_its_last_round():
    state, longer = make_state(3), make_state(2)
    state.advance(state.acquisition, None, LIMITS)
    state = make_state(2)
    state.rounds.append({"round": 2})
    state.advance({"weights": torch.ones(3) * 99}, "the budget is spent", LIMITS)
    state.reopen({"budget": 2.0})
    assert state.rounds == longer.rounds
    assert state.stopped is None
    assert state.before_last is None
    assert torch.equal(state.acquisition["weights"], longer.acquisition["weights"])


def test_a_run_that_ended_in_its_first_round_is_reopened_as_a_new_one():
    state = RunState()
    state.rounds.append({"round": 0})
    state.advance({"weights": torch.ones(3)}, "the target is reached", LIMITS)
    state.reopen({"budget": 2.0})
    assert state == RunState(limits=LIMITS)


def test_under_the_same_limits_a_run_that_ended_stays_so():
    state = make_state(2)
    state.advance(state.acquisition, "the budget is spent", LIMITS)
    state.reopen(LIMITS)
    assert state.stopped == "the budget is spent"
    assert len(state.rounds) == 2


def test_rounds_of_one_run_are_tested_on_the_same_rows(tmp_path):
    state = RunState()
    state.test_on("before the first round any may be")
    state.test_on("rows")
    state.rounds.append({"round": 0})
    state.save(tmp_path)
    resumed = RunState.load(tmp_path)
    resumed.test_on("rows")
    for others in ("other rows", None):
        with pytest.raises(UserError, match=r"data.test: texts, labels or order of the test rows are others"):
            resumed.test_on(others)


def test_a_run_that_goes_on_is_not_reopened():
    state = make_state(2)
    state.reopen({"budget": 2.0})
    assert len(state.rounds) == 2
    assert state.acquisition is not None


# ---- files


def test_files_are_written_into_new_folders_and_over_old_files(tmp_path):
    path = tmp_path / "a" / "b" / "file"
    write_atomically(path, b"one")
    write_atomically(path, b"two")
    assert path.read_bytes() == b"two"
    assert [p.name for p in path.parent.iterdir()] == ["file"]


def test_json_keeps_letters_of_all_languages(tmp_path):
    write_json(tmp_path / "x.json", {"名": "é"})
    write_lines(tmp_path / "x.jsonl", [{"a": "é"}, {"a": "line\nbreak"}])
    assert (tmp_path / "x.json").read_text(encoding="utf-8") == '{\n  "名": "é"\n}\n'
    assert (tmp_path / "x.jsonl").read_text(encoding="utf-8") == '{"a": "é"}\n{"a": "line\\nbreak"}\n'
