"""A folder belongs to one run: what may change while it goes on, and what is refused."""

import json
from pathlib import Path

import pytest
import torch

from lit_react.annotation.costs import TokenCost
from lit_react.annotation.ledger import Ledger, Query
from lit_react.core.errors import UserError
from lit_react.run.record import check_one_run, check_same_run, described
from lit_react.run.state import RunState
from lit_react.run.steps import Steps

OPTIONS = {
    "seed_everything": 0,
    "trainer": {"max_epochs": 2, "devices": "auto", "accelerator": "cpu", "logger": False},
    "model": {"class_path": "TextClassification", "max_length": 16, "optimizer": {"lr": 2e-5}},
    "data": {"source": "bbc_news", "label_names": ["a", "b"], "batch_size": 8},
    "rounds": {"folder": "runs/x", "budget": 100.0, "stopping": {"max_rounds": None}},
    "wandb": {"mode": "online"},
    "predictions": {"path": "predictions.jsonl"},
}


def changed(**values):
    """OPTIONS with values at dotted keys (written with __) set anew."""
    options = json.loads(json.dumps(OPTIONS))
    for key, value in values.items():
        *parents, last = key.split("__")
        branch = options
        for parent in parents:
            branch = branch[parent]
        branch[last] = value
    return options


def begun(folder: Path, **values) -> None:
    (folder / "run.json").write_text(json.dumps(changed(**values)))


@pytest.fixture
def before_its_first_model(tmp_path):
    """Folder of a run that has bought a label."""
    begun(tmp_path)
    with Ledger(tmp_path / "ledger.sqlite", budget=100, fingerprint="x") as ledger:
        ledger.ask(0, [Query("pool", 3, 1.0, "initial")])
    return tmp_path


@pytest.fixture
def folder(before_its_first_model):
    """Of a run whose first round has ended."""
    (before_its_first_model / "state.pt").touch()
    return before_its_first_model


def test_a_folder_without_a_run_takes_any_options(tmp_path):
    check_same_run(tmp_path, changed())
    assert list(tmp_path.iterdir()) == [], "nothing is written"


def test_before_the_first_purchase_any_options_may_follow(tmp_path):
    begun(tmp_path)
    check_same_run(tmp_path, changed(seed_everything=1))
    Ledger(tmp_path / "ledger.sqlite", budget=100, fingerprint="x").close()
    check_same_run(tmp_path, changed(seed_everything=1))


@pytest.mark.parametrize(
    "values",
    [
        {"model__optimizer__lr": 1e-5},
        {"model__max_length": 8},
        {"trainer__max_epochs": 3},
        {"data__batch_size": 2},
    ],
)
def test_options_that_failed_the_first_fit_can_be_mended_with_the_labels_kept(before_its_first_model, values):
    check_same_run(before_its_first_model, changed(**values))


@pytest.mark.parametrize(
    "values", [{"seed_everything": 1}, {"data__label_names": ["b", "a"]}, {"model__class_path": "LinearProbe"}]
)
def test_what_labels_mean_is_settled_by_the_first_purchase(before_its_first_model, values):
    with pytest.raises(UserError, match="this run was begun with"):
        check_same_run(before_its_first_model, changed(**values))


def test_the_same_options_go_on(folder):
    check_same_run(folder, changed())


def test_an_option_that_a_later_version_added_is_no_change(folder):
    check_same_run(folder, changed(data__extra=5))


def test_a_folder_of_another_version_is_refused_in_one_line(folder):
    (folder / "run.json").unlink()
    with pytest.raises(UserError, match="a run of another version of lit-react lies there, choose another"):
        check_same_run(folder, changed())


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"trainer__max_epochs": 3}, "trainer.max_epochs = 2, now it is 3;"),
        ({"seed_everything": 1}, "seed_everything = 0, now it is 1;"),
        ({"model__optimizer__lr": 1e-4}, "model.optimizer.lr = 2e-05, now it is 0.0001;"),
        ({"data__label_names": ["b", "a"]}, r"data.label_names = \['a', 'b'\], now it is \['b', 'a'\];"),
        ({"data__source": "x.csv", "seed_everything": 1}, r"data.source = 'bbc_news', .* \(and 1 more\);"),
    ],
)
def test_another_option_is_refused_with_both_values(folder, values, message):
    with pytest.raises(UserError, match=f"run.json: this run was begun with {message} restore it, or choose"):
        check_same_run(folder, changed(**values))


@pytest.mark.parametrize(
    "values",
    [
        {"rounds__budget": 200.0},
        {"rounds__stopping__max_rounds": 3},
        {"trainer__devices": 2},
        {"trainer__accelerator": "gpu"},
        {"trainer__logger": True},
        {"trainer__enable_progress_bar": False},
        {"wandb__mode": "disabled"},
        {"predictions__path": "other.parquet"},
        {"rounds__folder": "/somewhere/else/x"},
    ],
)
def test_options_that_change_no_result_may_change(folder, values):
    check_same_run(folder, changed(**values))


@pytest.mark.parametrize(("before", "after"), [(None, {"least": 100}), ({"least": 100}, None)])
def test_a_group_that_is_switched_on_or_off_is_a_change(folder, before, after):
    begun(folder, rounds__steps=before)
    check_same_run(folder, changed(rounds__steps=before))
    with pytest.raises(UserError, match=r"this run was begun with rounds\.steps = "):
        check_same_run(folder, changed(rounds__steps=after))


def test_a_free_option_beside_a_changed_one_does_not_hide_it(folder):
    with pytest.raises(UserError, match=r"trainer\.max_epochs"):
        check_same_run(folder, changed(trainer__devices=2, trainer__max_epochs=9, rounds__budget=5.0))


def bought(folder: Path, rounds: int) -> Ledger:
    """An open ledger of as many purchases of one label."""
    ledger = Ledger(folder / "ledger.sqlite", budget=100, fingerprint="x")
    for round in range(rounds):
        ledger.ask(round, [Query("pool", round, 1.0, "margin")])
    (folder / "run.json").write_text(json.dumps({"run": ledger.run}))
    return ledger


def learned(ledger: Ledger, rounds: int) -> RunState:
    """The state after as many rounds."""
    return RunState([{"cost": ledger.spent_by(round)} for round in range(rounds)], run=ledger.run)


@pytest.mark.parametrize("rounds", [0, 2, 3])
def test_a_ledger_may_be_ahead_of_the_state(rounds, tmp_path):
    with bought(tmp_path, 3) as ledger:
        check_one_run(tmp_path, ledger, learned(ledger, rounds))


def test_a_ledger_of_another_run_is_told_of_by_the_state_and_before_it_by_the_record(tmp_path):
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
    with bought(tmp_path / "one", 3) as one, bought(tmp_path / "other", 3) as other:
        with pytest.raises(UserError, match=r"of another run than state.pt beside it: put back"):
            check_one_run(tmp_path / "one", one, learned(other, 2))
        with pytest.raises(UserError, match=r"of another run than run.json beside it"):
            check_one_run(tmp_path / "other", one, RunState())


def test_an_earlier_copy_of_the_ledger_is_told_of(tmp_path):
    with bought(tmp_path, 3) as ledger:
        state = learned(ledger, 3)
    (tmp_path / "ledger.sqlite").unlink()
    with bought(tmp_path, 2) as earlier:
        state.run = earlier.run
        with pytest.raises(UserError, match=r"labels of 2 cost units are there, but the 3 rounds of state\.pt l"):
            check_one_run(tmp_path, earlier, state)


class Named:
    """Keeps its options under their names, as scikit-learn's estimators do."""

    def __init__(self, cost, optimizer=None, hidden=3):
        self.cost, self.optimizer, self._hidden = cost, optimizer, hidden


def test_an_object_is_told_by_its_class_and_by_the_options_that_it_keeps():
    told = described(Named(TokenCost(price=0.5)))
    assert told == {
        "class_path": f"{__name__}.Named",
        "cost": {"class_path": "lit_react.annotation.costs.TokenCost", "price": 0.5},
        "optimizer": None,
    }
    assert described([Path("a"), Steps(), print]) == [
        "a",
        {"class_path": "lit_react.run.steps.Steps", "least": 150, "per_label": 2.5, "most": 1000, "validations": 10},
        "builtins.print",
    ]


def test_two_functions_that_build_the_same_optimiser_are_told_alike():
    one = Named(None, lambda p: torch.optim.AdamW(p, lr=1e-3))
    other = Named(None, lambda p: torch.optim.AdamW(p, lr=0.001))
    slower = Named(None, lambda p: torch.optim.AdamW(p, lr=1e-4))
    assert described(one) == described(other) != described(slower)
