"""Every shipped configuration works: parsed whole, and run with a tiny model on tiny data."""

import json
from importlib import import_module
from pathlib import Path

import pytest
import yaml
from run_folders import rounds
from tiny import save_bert
from transformers import BertForMaskedLM

from lit_react.acquisition.pretrained import SHIPPED
from lit_react.cli import main

CONFIGS = Path(__file__).parent.parent / "configs"
BASES = {
    "frozen.yaml": ["bbc_news.yaml"],
    "token_costs.yaml": ["trec.yaml"],
    **{f"augmentation/{path.name}": ["trec.yaml"] for path in CONFIGS.glob("augmentation/*.yaml")},
}
"""Fragments, and what they are merged over."""
PRICES = {"token_costs.yaml": {"rounds.budget": 34 * 16, "acquisition.query_cost": 6 * 16}}
"""Options of those whose labels do not cost 1; each tiny text has 16 tokens."""
FEW_STEPS = {"rounds.steps.least": 2, "rounds.steps.most": 4, "rounds.steps.validations": 2}
QUICK = {
    "augmentation/plateau.yaml": FEW_STEPS,
    "augmentation/tapt.yaml": {"pretraining.training.steps": 2, "pretraining.held_out": 10},
    "augmentation/infilling.yaml": {"augmentation.texts.pretrained": "{masked}"},
}
"""Options that keep a run to seconds, beside those of all."""
CASES = {
    "MultiLabelClassification": "multi_label",
    "QuestionAnswering": "question_answering",
    "RelationExtraction": "relation_extraction",
    "Summarization": "summarization",
    "TokenClassification": "token_classification",
    "Translation": "translation",
}
"""Tasks that news by topic are no data for, and the module of `task_cases` that has theirs."""
PRETRAININGS = ["pretrain.yaml", "pretrain_from_scratch.yaml"]
OTHERS = {"simulate.yaml", "sweep.yaml", "tune.yaml", *PRETRAININGS}
FITS = sorted(
    {str(p.relative_to(CONFIGS)) for part in ("", "augmentation/") for p in CONFIGS.glob(f"{part}*.yaml")} - OTHERS
)


def merged(name: str) -> list[str]:
    return [word for part in [*BASES.get(name, []), name] for word in ("--config", str(CONFIGS / part))]


def task_of(name: str) -> str:
    """Class of the task of a configuration."""
    return yaml.safe_load((CONFIGS / BASES.get(name, [name])[0]).read_text())["model"]["class_path"]


@pytest.fixture(scope="module")
def masked_bert(tmp_path_factory) -> str:
    """With a head for masked tokens."""
    words = ["film", "game", "market", "minister", "people", "said", "the", "year"]
    return save_bert(tmp_path_factory.mktemp("masked"), words, dropout=0.0, model_class=BertForMaskedLM)


@pytest.mark.parametrize("name", [name for name in FITS if task_of(name) not in CASES])
def test_shipped_configs_run(name: str, tmp_path, news_csv, tiny_bert, masked_bert) -> None:
    small = {
        "rounds.folder": tmp_path / "run",
        "rounds.budget": 34,
        "data.source": news_csv,
        "data.local_copy": "null",
        "data.label_column": "label",
        "data.pool_size": "null",
        "data.validation_size": 20,
        "data.test_size": 30,
        "data.initial_size": 8,
        "acquisition.query_size": 6,
        "model.pretrained": tiny_bert,
        "model.max_length": 16,
        "wandb.mode": "disabled",
    }
    if name != "frozen.yaml":
        small |= {"trainer.max_steps": 4, "trainer.val_check_interval": 2, "trainer.check_val_every_n_epoch": "null"}
    small |= PRICES.get(name, {}) | QUICK.get(name, {})
    given = [f"--{option}={str(value).format(masked=masked_bert)}" for option, value in small.items()]
    main(["fit", *merged(name), *given])
    assert [entry["labeled"] for entry in rounds(tmp_path / "run")] == [8, 14]


@pytest.mark.parametrize(
    ("name", "labels", "steps"), [("bbc_news.yaml", [0, 20, 26], [1, 50, 50]), ("frozen.yaml", [20, 26], [1, 1])]
)
def test_the_default_run_begins_at_names_and_over_a_frozen_encoder_at_random_labels(
    name, labels, steps, tmp_path, news_csv, tiny_bert
) -> None:
    """Neither validates."""
    small = {
        "rounds.folder": tmp_path / "run",
        "rounds.budget": 26,
        "data.source": news_csv,
        "data.test_size": 30,
        "model.pretrained": tiny_bert,
        "model.max_length": 16,
        "wandb.mode": "disabled",
    }
    main(["fit", *merged(name), *(f"--{option}={value}" for option, value in small.items())])
    assert [entry["labeled"] for entry in rounds(tmp_path / "run")] == labels
    assert [entry["steps"] for entry in rounds(tmp_path / "run")] == steps
    assert {entry["validation"] for entry in rounds(tmp_path / "run")} == {0}


@pytest.mark.parametrize("name", [name for name in FITS if task_of(name) in CASES])
def test_shipped_configs_of_other_tasks_run(name: str, tmp_path) -> None:
    case = import_module(f"task_cases.{CASES[task_of(name)]}").options(tmp_path / "case")
    small = {
        "rounds.folder": tmp_path / "run",
        "data.local_copy": "null",
        "data.text_column": "null",
        "data.label_column": "null",
        "data.test": "null",
        "data.pool_size": "null",
        "rounds.stopping.max_rounds": 2,
        "wandb.mode": "disabled",
        "trainer.max_steps": 4,
        "trainer.val_check_interval": 2,
    }
    main(["fit", *merged(name), *case, *(f"--{option}={value}" for option, value in small.items())])
    assert len(rounds(tmp_path / "run")) == 2


@pytest.mark.parametrize("name", PRETRAININGS)
def test_shipped_pretrainings_run(name: str, tmp_path, news_csv, tiny_bert) -> None:
    small = {
        "folder": tmp_path / "run",
        "texts.source": news_csv,
        "texts.local_copy": "null",
        "texts.test_size": 30,
        "texts.validation_size": 20,
        "texts.held_out": 20,
        "objective.max_length": 32,
        "training.steps": 2,
        "training.validations": 1,
        "wandb.mode": "disabled",
    }
    if name == "pretrain.yaml":
        small["pretrained"] = tiny_bert
    main(["pretrain", *merged(name), *(f"--{option}={value}" for option, value in small.items())])
    assert (tmp_path / "run" / "model" / "model.safetensors").exists()


@pytest.mark.parametrize(("name", "command"), [*((f, "fit") for f in FITS), *((p, "pretrain") for p in PRETRAININGS)])
def test_shipped_configs_begin_with_the_command_that_runs_them(name: str, command: str) -> None:
    header = (CONFIGS / name).read_text().split("\n\n")[0]
    assert f"configs/{name}" in header
    assert f"python -m lit_react {command} --config" in header


def test_the_shipped_simulation_is_the_one_of_the_shipped_policy(capsys) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["simulate", "--config", str(CONFIGS / "simulate.yaml"), "--print_config"])
    assert not stopped.value.code
    config = yaml.safe_load(capsys.readouterr().out)
    card = json.loads((SHIPPED / "policy.json").read_text())
    assert (card["seed"], card["strategies"]) == (config["seed"], list(config["strategies"]))
    assert card["sources"].keys() == config["sources"].keys()
    assert card["training"] == config["training"]
    assert card["episodes"] | {"workers": None} == config["episodes"]


def test_print_config_prints_a_config_that_can_be_read_again(tmp_path, capsys) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["fit", "--config", str(CONFIGS / "bbc_news.yaml"), "--rounds.budget", "300", "--print_config"])
    assert not stopped.value.code
    printed = capsys.readouterr().out
    config = yaml.safe_load(printed)
    assert config["rounds"]["budget"] == 300
    assert config["model"]["class_path"].endswith("SentenceClassification")
    (tmp_path / "printed.yaml").write_text(printed)
    with pytest.raises(SystemExit) as stopped:
        main(["fit", "--config", str(tmp_path / "printed.yaml"), "--print_config"])
    assert not stopped.value.code
    assert yaml.safe_load(capsys.readouterr().out) == config


@pytest.mark.parametrize("written", [["--config", "{}"], ["--config={}"], ["-c", "{}"], ["-c={}"]])
def test_options_are_stronger_than_configurations_wherever_they_are(written, tmp_path, capsys) -> None:
    (tmp_path / "other.yaml").write_text("rounds: {folder: other, budget: 7}\nwandb: {mode: disabled}\n")
    later = [word.format(tmp_path / "other.yaml") for word in written]
    bbc_news = ["--config", str(CONFIGS / "bbc_news.yaml")]
    with pytest.raises(SystemExit) as stopped:
        main(["fit", *bbc_news, "--rounds.folder", "mine", *later, "--print_config"])
    assert not stopped.value.code
    config = yaml.safe_load(capsys.readouterr().out)
    assert (config["rounds"]["folder"], config["rounds"]["budget"]) == ("mine", 7)
    assert config["wandb"]["mode"] == "disabled"


def test_of_configurations_the_last_one_wins_however_they_are_given(tmp_path, capsys) -> None:
    for budget in (7, 8):
        (tmp_path / f"{budget}.yaml").write_text(f"rounds: {{budget: {budget}}}\n")
    with pytest.raises(SystemExit):
        main(["fit", "-c", str(tmp_path / "7.yaml"), f"--config={tmp_path / '8.yaml'}", "--print_config"])
    assert yaml.safe_load(capsys.readouterr().out)["rounds"]["budget"] == 8


def test_a_configuration_of_commands_stands_before_the_command(tmp_path, capsys) -> None:
    (tmp_path / "all.yaml").write_text("fit: {rounds: {budget: 7}}\n")
    with pytest.raises(SystemExit):
        main(["--config", str(tmp_path / "all.yaml"), "fit", "--rounds.folder", "mine", "--print_config"])
    printed = yaml.safe_load(capsys.readouterr().out)
    assert (printed["rounds"]["budget"], printed["rounds"]["folder"]) == (7, "mine")


@pytest.mark.parametrize("words", ["--help", "--version", "fit --help", "fit --model.help LinearProbe"])
def test_the_command_line_explains_itself(words: str, capsys) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(words.split())
    assert not stopped.value.code
    told = capsys.readouterr().out
    assert "lit_react" in told or "l2" in told
