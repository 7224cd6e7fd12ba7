"""A fit's length by the labels that it has."""

from pathlib import Path

import lightning as L
import pytest
from hypothesis import given
from hypothesis import strategies as st
from run_folders import bought, rounds
from tiny import QUIET, command

from lit_react.augmentation.augmentation import Augmentation
from lit_react.augmentation.texts import WordDropout
from lit_react.cli import main
from lit_react.core.errors import UserError
from lit_react.run.steps import Steps, check_validations, few_batches
from lit_react.tasks import TextClassification

pytestmark = pytest.mark.usefixtures("one_thread")


@st.composite
def plans(draw) -> Steps:
    validations, least, most = sorted(draw(st.lists(st.integers(1, 2000), min_size=3, max_size=3)))
    return Steps(least, draw(st.floats(0, 100)), most, validations)


@given(plans(), st.integers(0, 10**6), st.integers(0, 1000))
def test_steps_stay_within_their_bounds_and_end_with_a_validation(plan, labels, more) -> None:
    options = plan.of_trainer(labels)
    steps, wanted = options["max_steps"], plan.per_label * labels
    assert plan.least - plan.validations < steps <= plan.most
    if plan.least <= wanted <= plan.most:
        assert wanted - plan.validations - 1 < steps <= wanted
    assert steps == options["val_check_interval"] * plan.validations
    assert plan.of_trainer(labels + more)["max_steps"] >= steps


def test_twenty_epochs_of_batches_of_eight() -> None:
    plan = Steps(least=150, per_label=20 / 8, most=1000, validations=10)
    assert [plan.of_trainer(n)["max_steps"] for n in (20, 60, 100, 204, 400, 5000)] == [
        150,
        150,
        250,
        510,
        1000,
        1000,
    ]


OPTIONS = {"least": 4, "per_label": 0.5, "most": 8, "validations": 2}


def fit(news_csv: Path, tiny_bert: str, folder: Path, budget: int) -> None:
    steps = [f"--rounds.steps.{name}={value}" for name, value in OPTIONS.items()]
    main([*command(news_csv, tiny_bert, folder), *steps, f"--rounds.budget={budget}", "--early_stopping.patience=9"])


def test_each_fit_takes_its_steps_and_validations(tmp_path, news_csv, tiny_bert, monkeypatch) -> None:
    validations = []
    after = TextClassification._after_validation

    def count(module, value) -> None:
        validations.append(module.global_step)
        after(module, value)

    monkeypatch.setattr(TextClassification, "_after_validation", count)
    fit(news_csv, tiny_bert, tmp_path, 40)
    assert [(entry["labeled"], entry["steps"]) for entry in rounds(tmp_path)] == [(8, 4), (14, 6), (20, 8)]
    assert validations == [2, 4, 3, 6, 4, 8]


@pytest.mark.parametrize(
    "options", [{"validations": 0}, {"least": 5}, {"most": 100}, {"per_label": -1.0}], ids=lambda options: str(options)
)
def test_bounds_that_contradict_each_other_are_told(options) -> None:
    with pytest.raises(UserError, match=r"rounds\.steps"):
        Steps(**options)


@pytest.mark.parametrize(
    ("options", "fits"),
    [
        ({"val_check_interval": 3}, True),
        ({"val_check_interval": 4}, False),
        ({"val_check_interval": 4, "check_val_every_n_epoch": None}, True),
        ({"val_check_interval": 0.25}, True),
        ({"val_check_interval": None}, True),
        ({"val_check_interval": 3, "limit_train_batches": 2}, False),
        ({"val_check_interval": 2, "limit_train_batches": 0.5}, False),
    ],
    ids=str,
)
def test_a_validation_after_more_batches_than_an_epoch_has_is_told_before_a_fit(options, fits) -> None:
    trainer = L.Trainer(**QUIET | options)
    if fits:
        check_validations(trainer, 3)
    else:
        with pytest.raises(UserError, match=r"trainer\.val_check_interval: \d is too large, expected at most \d"):
            check_validations(trainer, 3)


ALL_EPOCHS = {"check_val_every_n_epoch": None, "max_epochs": -1}


@pytest.mark.parametrize(
    ("options", "fits"),
    [
        ({"max_steps": 2, "max_epochs": -1}, False),
        ({"max_steps": 3, "max_epochs": -1}, True),
        ({"max_steps": 2, "max_epochs": -1, "val_check_interval": 2}, True),
        ({"max_steps": 9, "val_check_interval": 10} | ALL_EPOCHS, False),
        ({"max_steps": 10, "val_check_interval": 10} | ALL_EPOCHS, True),
        ({"max_epochs": 2, "check_val_every_n_epoch": 3}, False),
        ({"max_epochs": 3, "check_val_every_n_epoch": 3}, True),
        ({"max_steps": 3, "accumulate_grad_batches": 2, "val_check_interval": 6} | ALL_EPOCHS, False),  # 2 + 1 + 2
        ({"max_steps": 4, "accumulate_grad_batches": 2, "val_check_interval": 6} | ALL_EPOCHS, True),
    ],
    ids=str,
)
def test_a_fit_that_would_end_before_its_first_validation_is_told_before_anything_is_bought(options, fits) -> None:
    if fits:
        check_validations(L.Trainer(**QUIET | options), 3)
        return
    with pytest.raises(UserError, match="the first validation would come after"):
        check_validations(L.Trainer(**QUIET | options), 3)


def test_a_later_fit_that_would_end_before_its_first_validation_is_told_as_well() -> None:
    trainer = L.Trainer(**QUIET | {"max_steps": 5, "max_epochs": -1})
    check_validations(trainer, 3, 5)
    with pytest.raises(UserError, match="with 6 batches an epoch"):
        check_validations(trainer, 3, 6)


def test_a_time_between_validations_is_believed() -> None:
    check_validations(L.Trainer(**QUIET | {"val_check_interval": "00:00:01:00"}), 3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--trainer.max_epochs=-1", "--trainer.max_steps=2"], "batches an epoch, which a fit of this run may have"),
        (["--trainer.limit_val_batches=0"], "trainer.limit_val_batches: 0"),
        (["--rounds.steps.least=150", "--trainer.limit_val_batches=0"], "trainer.limit_val_batches: 0"),
        (["--rounds.steps.least=150", "--trainer.accumulate_grad_batches=2"], "accumulate_grad_batches 1, got 2"),
    ],
    ids=str,
)
def test_fits_without_validations_are_told_before_anything_is_bought(
    options, message, news_csv, tiny_bert, tmp_path, capsys
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main([*command(news_csv, tiny_bert, tmp_path), *options])
    assert message in capsys.readouterr().err
    assert not (tmp_path / "ledger.sqlite").exists() or not bought(tmp_path)


def test_variants_are_among_the_rows_of_a_fit() -> None:
    assert Augmentation().rows_of(8) == 8
    assert Augmentation(texts=WordDropout(), variants=2).rows_of(8) == 24


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"max_epochs": 1}, "has 9 batches"),
        ({"max_epochs": 10}, None),
        ({"max_epochs": 3, "limit_train_batches": 0.34}, "has 9 batches"),
        ({"max_epochs": 4, "limit_train_batches": 2}, "has 8 batches"),
        ({"max_epochs": -1, "max_steps": 5}, "has 5 batches"),
        ({"max_epochs": -1, "max_steps": 100}, None),
    ],
)
def test_a_fit_that_is_too_short_to_learn_is_told(options, told) -> None:
    lines = few_batches(L.Trainer(**QUIET | options), 9)
    assert [line for line in lines if f"the first fit {told}, too few" in line] == lines
    assert bool(lines) == (told is not None)
