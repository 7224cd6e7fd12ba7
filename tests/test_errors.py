"""Bad input: one line that says what was wrong and what was expected, exit code 2, no traceback, nothing bought."""

import errno
import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
import torch
from tiny import command

from lit_react.cli import main
from lit_react.cli.one_line import of_the_disk

Prepare = Callable[[Path], list[str]]


def fails(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line with which the command ends."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    return lines[0]


def csv(folder: Path, text: str, name: str = "texts.csv") -> str:
    (folder / name).write_text(text)
    return str(folder / name)


ROWS = "text,label\n" + "".join(f"text number {i},{'ab'[i % 2]}\n" for i in range(80))

CASES: dict[str, tuple[Prepare, str]] = {
    "missing file": (lambda p: ["--data.source", str(p / "nothing.csv")], "nothing.csv: no such file"),
    "unknown suffix": (
        lambda p: ["--data.source", csv(p, ROWS, "texts.doc")],
        "unknown suffix '.doc': expected one of .csv",
    ),
    "unknown source": (lambda p: ["--data.source", "bbc_newz"], "unknown source 'bbc_newz': expected a file"),
    "empty file": (lambda p: ["--data.source", csv(p, "text,label\n")], "texts.csv: empty: expected at least one row"),
    "missing text column": (
        lambda p: ["--data.source", csv(p, ROWS.replace("text,", "text ,", 1)), "--data.text_column", "body"],
        "no column 'body': its columns are 'text ', label; see data.text_column, data.label_column, and the task",
    ),
    "column that commands a terminal": (
        lambda p: ["--data.source", csv(p, ROWS), "--data.text_column", "\x1b]0;owned\x07"],
        "no column '\\x1b]0;owned\\x07'",
    ),
    "missing label column": (
        lambda p: ["--data.source", csv(p, ROWS.replace(",label", ",kind", 1)), "--data.label_column", "topic"],
        "has no labels in a column 'topic': name the one that has them ('kind');",
    ),
    "one class": (lambda p: ["--data.source", csv(p, ROWS.replace(",b", ",a"))], "too few, expected 2 or more classes"),
    "broken parquet": (
        lambda p: ["--data.source", csv(p, "no parquet", "texts.parquet")],
        "texts.parquet: not readable as Parquet",
    ),
    "broken jsonl": (
        lambda p: ["--data.source", csv(p, '{"text": "a"\n', "texts.jsonl")],
        "texts.jsonl:2: not a JSON object: Expecting ',' delimiter",
    ),
    "missing label in the test set": (
        lambda p: ["--data.source", csv(p, ROWS), "--data.test", csv(p, "text,label\nx,\n", "test.csv")],
        "test.csv:2: no label: expected one in every row",
    ),
    "label sets differ": (
        lambda p: ["--data.source", csv(p, ROWS), "--data.test", csv(p, "text,label\nx,c\n", "test.csv")],
        "label 'c' is not one of the pool's labels",
    ),
    "label outside of label_names": (
        lambda p: ["--data.source", csv(p, ROWS), "--data.label_names", "[a, z]"],
        "texts.csv:3: label 'b' is not one of label_names: a, z",
    ),
    "labels that differ by spaces": (
        lambda p: ["--data.source", csv(p, ROWS.replace("7,b", "7, b"))],
        "labels ' b' and 'b' look the same (' b', 'b')",
    ),
    "names that YAML takes for something else": (
        lambda p: ["--data.source", csv(p, ROWS), "--data.label_names", "[yes, no]"],
        "data.label_names: True is no text",
    ),
    "folder that is a file": (lambda p: ["--rounds.folder", csv(p, ROWS)], "texts.csv is a file, expected a folder"),
    "budget without end": (lambda p: ["--rounds.budget", ".inf"], "rounds.budget: inf is not finite"),
    "texts longer than the model reads": (lambda p: ["--model.max_length", "65"], "model.max_length: 65 is too large"),
    "too few rows for the splits": (
        lambda p: ["--data.source", csv(p, ROWS), "--data.test_size", "79"],
        "are too few for test_size 79 and validation_size 20",
    ),
    "pool smaller than the initial labels": (
        lambda p: ["--data.source", csv(p, ROWS), "--data.initial_size", "60"],
        "data.initial_size: 60 is more than the pool's 30 rows",
    ),
    "validation set of less than nothing": (
        lambda p: ["--data.validation_size=-1"],
        "data.validation_size: -1 is too small, expected 0 or more",
    ),
    "no first labels for a model that reads no names": (
        lambda p: ["--data.initial_size", "0"],
        "data.initial_size: 0, but this model (--model) learns from labels alone",
    ),
    "description of a class that there is not": (
        lambda p: ["--data.label_descriptions", "{weather: rain and sun}"],
        "data.label_descriptions: no class is called 'weather', expected some of business, entertainment, politics",
    ),
    "no first labels and names that say nothing": (
        lambda p: [
            *("--model", "SentenceClassification", "--data.initial_size", "0"),
            *("--data.source", csv(p, "text,label\n" + "the news,1\nthe game,2\n" * 60)),
        ],
        "learns from labels alone, or the names of the labels say nothing",
    ),
    "budget below the first labels": (
        lambda p: ["--rounds.budget", "27"],
        "27 does not pay for the first labels, which cost 28 (20 validation, 8 initial)",
    ),
    "no gold label for the simulation": (
        lambda p: ["--data.source", csv(p, ROWS + "x,\n" * 300), "--data.test", csv(p, ROWS, "test.csv")],
        "texts.csv:82 is the first): leave such rows out, or ask people (--rounds.oracle file)",
    ),
    "stratified start without labels": (
        lambda p: [
            *("--data.source", csv(p, "text\n" + "a text\n" * 80), "--data.test", csv(p, ROWS, "test.csv")),
            *("--data.initial", "stratified", "--rounds.oracle", "file"),
        ],
        "stratified needs a label for every row of the pool",
    ),
    "cost column missing": (
        lambda p: ["--data.cost", "ColumnCost", "--data.cost.column", "price"],
        "cost column 'price' is not there: the columns are text, label",
    ),
    "price of no cost": (
        lambda p: ["--data.cost.price", "2"],
        "error: data.cost: expected one of ColumnCost, ConstantCost, TokenCost, or the dotted path of another",
    ),
    "name of one label alone": (
        lambda p: ["--data.source", csv(p, ROWS), "--data.label_names", "a"],
        "error: data.label_names: got a, expected list[str], null",
    ),
    "misspelt option of the task": (
        lambda p: ["--model.pretraned", "x"],
        "error: model.pretraned: no such option: did you mean pretrained?",
    ),
    "the same in a configuration": (
        lambda p: ["--config", csv(p, "model: {class_path: TextClassification, init_args: {warmpu: 0}}", "own.yaml")],
        "error: model.warmpu: no such option: did you mean warmup?",
    ),
    "misspelt group of the task's options": (
        lambda p: ["--model.optimiser.lr", "1e-4"],
        "error: model.optimiser.lr: no such option",
    ),
    "wrong type of an option of the optimiser": (
        lambda p: ["--model.optimizer.lr", "x"],
        "error: model.optimizer.lr: got 'x', which it does not take",
    ),
    "broken config in one word": (
        lambda p: [f"--config={csv(p, 'rounds: [', 'broken.yaml')}"],
        "broken.yaml: not a YAML file",
    ),
    "wrong type of an option of the task": (
        lambda p: ["--model.warmup", "some"],
        "error: model.warmup: got some, expected float",
    ),
    "budget below the labels that came with the file": (
        lambda p: ["--rounds.oracle", "file", "--rounds.budget", "60"],
        "(20 validation, 110 initial, 110 of them with the data); raise it, or lower data.validation_size",
    ),
    "cost not positive": (
        lambda p: ["--data.cost", "ConstantCost", "--data.cost.price", "-1"],
        "data.cost.price: -1.0 is too small, expected more than 0",
    ),
    "unknown strategy": (
        lambda p: ["--acquisition.proposals.strategies", "[margins]"],
        "acquisition.proposals.strategies: unknown strategy 'margins', expected one of badge, ",
    ),
    "strategy by a score that the task does not have": (
        lambda p: ["--acquisition.proposals.strategies", "[token_entropy]"],
        "TextClassification has no token_entropy, it has head_inputs, mutual_information",
    ),
    "such a strategy among others": (
        lambda p: ["--acquisition.proposals.strategies", "[facility_location, badge, bleu_variance]"],
        "TextClassification has no bleu_variance",
    ),
    "unknown strategy in a mixture": (
        lambda p: ["--acquisition.proposals.strategies", "[margin+coresets]"],
        "unknown strategy 'coresets'",
    ),
    "default rule that is not proposed": (
        lambda p: ["--acquisition.proposals.strategies", "[margin]", "--acquisition.proposals.default_rule", "badge"],
        "acquisition.proposals.default_rule: 'badge' is not among strategies (margin)",
    ),
    "unknown agent": (
        lambda p: ["--acquisition.agent", "DubleDQN"],
        "acquisition.agent: no class 'DubleDQN', expected one of ALBL, DoubleDQN, OneRule, Schedule, TAILOR, or",
    ),
    "rule of a schedule that is not proposed": (
        lambda p: ["--acquisition.agent", "Schedule"],
        "acquisition.agent.first: 'typiclust' is not among acquisition.proposals.strategies (facility_location, ",
    ),
    "unknown task": (
        lambda p: ["--model.class_path", "lit_react.tasks.TextClasification"],
        "model: no class 'lit_react.tasks.TextClasification', expected one of ",
    ),
    "unknown generator of labels": (
        lambda p: ["--augmentation.labels", "LabelGun"],
        "error: augmentation.labels: no class 'LabelGun', expected one of LabelGAN, SelfTraining, or",
    ),
    "unknown part of a part": (
        lambda p: ["--augmentation.texts", "Several", "--augmentation.texts.parts", "[{class_path: WordDrop}]"],
        "augmentation.texts.parts: no class 'WordDrop', expected the name of",
    ),
    "unknown class of another library": (
        lambda p: ["--model.optimizer", "Adm"],
        "model.optimizer: no class 'Adm', expected the name of",
    ),
    "fewer batches in an epoch than from one validation to the next": (
        lambda p: ["--trainer.val_check_interval", "2", "--trainer.check_val_every_n_epoch", "1"],
        "trainer.val_check_interval: 2 is too large, expected at most 1, the batches of an epoch of the first fit",
    ),
    "columns of another task": (
        lambda p: ["--data.source", csv(p, '{"tokens": ["a", "b"], "ner_tags": [0, 1]}\n' * 80, "tags.jsonl")],
        "no column 'text': its columns are tokens, ner_tags; see data.text_column, data.label_column, and the "
        "task (--model)",
    ),
    "labels of another task": (
        lambda p: ["--data.source", csv(p, '{"text": "a b", "label": [0, 1]}\n' * 80, "tags.jsonl")],
        "tags.jsonl:1: column 'label' holds lists, 2 labels here: expected one for each text; see data.text_column",
    ),
    "fewer batches of all labels at once": (
        lambda p: ["--model", "LinearProbe", "--trainer.val_check_interval", "2", "--data.initial_size", "20"],
        "trainer.val_check_interval: 2 is too large, expected at most 1",
    ),
    "fit without end": (
        lambda p: ["--trainer.max_epochs", "-1", "--trainer.max_steps", "-1"],
        "trainer.max_steps: -1, and max_epochs too",
    ),
    "monitor that nobody logs": (
        lambda p: ["--early_stopping.monitor", "val/acuracy"],
        "conditioned on metric `val/acuracy` which is not available",
    ),
    "loss that is to grow": (
        lambda p: ["--early_stopping.monitor", "val/loss"],
        "early_stopping.mode: max, but val/loss is to fall",
    ),
    "loss for a reward": (lambda p: ["--acquisition.metric", "val/loss"], "acquisition.metric: val/loss"),
    "rate below zero": (
        lambda p: ["--model.optimizer", "torch.optim.AdamW", "--model.optimizer.lr", "-1"],
        "model.optimizer: Invalid learning rate",
    ),
    "agent that learns from nothing": (lambda p: ["--acquisition.agent.batch_size", "0"], "agent.batch_size: 0 is too"),
    "agent's rate below zero": (lambda p: ["--acquisition.agent.learning_rate", "-1"], "agent.learning_rate: -1.0 is"),
    "unknown strategy of the trainer": (
        lambda p: ["--trainer.strategy", "dpp"],
        "invalid strategy name: `strategy='dpp'`",
    ),
    "machines that do not know each other": (
        lambda p: ["--trainer.num_nodes", "2"],
        "trainer.num_nodes: 2, but nothing says where the first machine is: expected MASTER_ADDR",
    ),
    "processes that are spawned": (
        lambda p: ["--trainer.strategy", "ddp_spawn"],
        "trainer.strategy: spawned or forked processes cannot share a run's ledger; expected ddp",
    ),
    "one batch of everything": (
        lambda p: ["--trainer.fast_dev_run", "true"],
        "trainer.fast_dev_run: each round of a run buys labels, and one tested batch is no result",
    ),
    "callback that logs nowhere": (
        lambda p: ["--trainer.callbacks", "LearningRateMonitor"],
        "trainer.callbacks: LearningRateMonitor writes to a logger, and there is none; expected --trainer.logger",
    ),
    "callback that contradicts an option": (
        lambda p: ["--trainer.enable_checkpointing", "false"],
        "trainer: Trainer was configured with `enable_checkpointing=False` but found `ModelCheckpoint`",
    ),
    "logger of a package that is not there": (
        lambda p: ["--trainer.logger", "MLFlowLogger"],
        "error: Requirement 'mlflow",
    ),
    "logger without its folder": (
        lambda p: ["--trainer.logger", "TensorBoardLogger"],
        "error: trainer.logger: TensorBoardLogger needs save_dir, such as --trainer.logger.save_dir",
    ),
    "seed below zero": (lambda p: ["--seed_everything", "-1"], "seed_everything: -1 is too small"),
    "mutual information of one sample": (lambda p: ["--model.mc_samples", "1"], "model.mc_samples: 1 is too small"),
    "query of no samples": (
        lambda p: ["--acquisition.query_size", "0"],
        "acquisition.query_size: 0 is too small, expected 1 or more",
    ),
    "unknown metric": (
        lambda p: ["--acquisition.metric", "val/accurracy"],
        "'val/accurracy' was not logged, known are val/accuracy",
    ),
    "unknown option": (lambda p: ["--data.sauce", "x"], "data.sauce: no such option: did you mean source?"),
    "option that is cut short": (
        lambda p: ["--data.text_col", "x"],
        "data.text_col: no such option: did you mean text_column?",
    ),
    "wrong type": (lambda p: ["--data.batch_size", "many"], "data.batch_size: got many, expected int"),
    "unknown oracle": (
        lambda p: ["--rounds.oracle", "delphi"],
        "rounds.oracle: no class 'delphi', expected one of gold, file, api, ApiOracle",
    ),
    "unknown precision": (
        lambda p: ["--trainer.precision", "12-mixed"],
        "trainer.precision: got 12-mixed, expected 64, 32",
    ),
    "no such accelerator": (lambda p: ["--trainer.accelerator", "tpu"], "Requirement 'torch_xla>=1.13' not met"),
    "missing config": (lambda p: ["--config", str(p / "nothing.yaml")], "File does not exist: '"),
    "broken config": (lambda p: ["--config", csv(p, "rounds: [", "broken.yaml")], "broken.yaml: not a YAML file"),
    "no such model": (
        lambda p: ["--model.pretrained", str(p / "no-model")],
        "no such folder; expected one, or a hub name",
    ),
    "no such package": (
        lambda p: ["--model.pretrained", "package:no_such_package/model"],
        "the Python package no_such_package is not installed",
    ),
    "texts cut to nothing": (
        lambda p: ["--model.max_length", "2"],
        "model.max_length: 2 tokens hold no text, expected 3 or more",
    ),
    "warm-up longer than the fit": (lambda p: ["--model.warmup", "1.5"], "model.warmup: 1.5 is too large"),
    "loss that is not finite": (
        lambda p: ["--model.optimizer", "torch.optim.AdamW", "--model.optimizer.lr", "1e30"],
        "the loss became nan at step 1: lower the learning rate",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_one_clear_line(case: str, tmp_path, news_csv, tiny_bert, capsys) -> None:
    prepare, expected = CASES[case]
    folder = tmp_path / "run"
    line = fails(command(news_csv, tiny_bert, folder, *prepare(tmp_path)), capsys)
    assert expected in line
    if case not in {"loss that is not finite", "unknown metric", "monitor that nobody logs"}:
        assert not folder.exists(), "nothing is written"


def test_a_full_disk_is_one_line(tmp_path, news_csv, tiny_bert, capsys) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".state.pt.partial").symlink_to("/dev/full")
    line = fails(command(news_csv, tiny_bert, tmp_path / "run", "--rounds.stopping.max_rounds", "1"), capsys)
    assert line.startswith("error: No space left on device")
    assert line.endswith("nothing that was bought is lost, the same command goes on once that is mended")


def test_an_error_after_one_that_was_handled_keeps_its_traceback() -> None:
    def failing() -> None:
        try:
            raise OSError(errno.ENOSPC, "No space left on device")
        except OSError:
            raise KeyError("label") from None

    with pytest.raises(KeyError) as raised:
        failing()
    assert of_the_disk(raised.value) is None


class Code:
    """What a pickle of weights may hold."""

    def __reduce__(self) -> tuple:
        return os.mkdir, ("owned",)


@pytest.mark.parametrize("weights", ["a pickle", "cut short"])
def test_weights_that_are_none(weights, tmp_path, news_csv, tiny_bert, monkeypatch, capsys) -> None:
    shutil.copytree(tiny_bert, tmp_path / "bert")
    path = tmp_path / "bert" / "model.safetensors"
    whole = path.read_bytes()
    path.unlink()
    if weights == "a pickle":
        torch.save({"weight": Code()}, path.with_name("pytorch_model.bin"))
    else:
        path.write_bytes(whole[: len(whole) // 2])
    monkeypatch.chdir(tmp_path)
    line = fails(command(news_csv, str(tmp_path / "bert"), tmp_path / "run"), capsys)
    expected = {"a pickle": "a pickle of more than tensors", "cut short": "its file of weights is damaged"}[weights]
    assert expected in line
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize("words", [[], ["fitt"]])
def test_what_is_no_command_is_told_with_all_that_are(words: list[str], capsys) -> None:
    line = fails(words, capsys)
    assert "expected a command, one of fit, validate, test, predict, label, " in line
    commands = ("answer", "labels", "monitor", "pretrain", "recommend", "report", "serve", "simulate", "tune")
    assert all(name in line for name in commands)


def test_predictions_have_a_known_format(tmp_path, news_csv, tiny_bert, capsys) -> None:
    options = command(news_csv, tiny_bert, tmp_path / "run")[1:]
    assert ".jsonl or .parquet" in fails(["predict", *options, "--predictions.path", "out.xml"], capsys)


@pytest.mark.parametrize("subcommand", ["validate", "test", "predict"])
def test_using_a_run_that_was_never_fitted(subcommand: str, tmp_path, news_csv, capsys) -> None:
    options = command(news_csv, "no/model", tmp_path / "run")[1:]
    assert "no such model; run fit first" in fails([subcommand, *options], capsys)


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory, news_csv: Path, tiny_bert: str) -> list[str]:
    """The command of a run that is already in its folder."""
    arguments = command(
        news_csv, tiny_bert, tmp_path_factory.mktemp("begun") / "run", "--rounds.stopping.max_rounds", "2"
    )
    main(arguments)
    return arguments


def test_a_resume_with_a_changed_config(begun: list[str], capsys) -> None:
    line = fails([*begun, "--data.initial_size", "9"], capsys)
    assert "data.initial_size = 8, now it is 9" in line


def test_a_budget_below_what_is_spent(begun: list[str], capsys) -> None:
    assert "already spent 34: expected at least that" in fails([*begun, "--rounds.budget", "30"], capsys)


def test_no_test_split(begun: list[str], tmp_path, news_csv, tiny_bert, capsys) -> None:
    options = command(
        news_csv, tiny_bert, tmp_path / "run", "--rounds.stopping.max_rounds", "1", "--data.test_size", "0"
    )
    main(options)
    assert "data.test: there is no test split" in fails(["test", *options[1:]], capsys)


@pytest.mark.parametrize(
    ("name", "expected"), [("state.pt", "damaged state file"), ("ledger.sqlite", "cannot use the ledger")]
)
def test_a_corrupt_file_of_the_run(name: str, expected: str, tmp_path, news_csv, tiny_bert, capsys) -> None:
    arguments = command(news_csv, tiny_bert, tmp_path / "run", "--rounds.stopping.max_rounds", "1")
    main(arguments)
    (tmp_path / "run" / name).write_bytes(b"not what it was" * 100)
    assert expected in fails(arguments, capsys)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("lost", "state.pt has 1 round, ledger.sqlite not one label"),
        ("emptied", "state.pt has 1 round, ledger.sqlite not one label"),
        ("of another seed", "this ledger is of another run than state.pt beside it"),
    ],
)
def test_a_ledger_that_is_not_the_runs_own(change, expected, tmp_path, news_csv, tiny_bert, capsys) -> None:
    arguments = command(news_csv, tiny_bert, tmp_path / "run", "--rounds.stopping.max_rounds", "1")
    main(arguments)
    path = tmp_path / "run" / "ledger.sqlite"
    if change == "emptied":
        with closing(sqlite3.connect(path, isolation_level=None)) as db:
            db.execute("DELETE FROM queries")
    else:
        path.unlink()
    if change == "of another seed":
        other = command(news_csv, tiny_bert, tmp_path / "other", "--seed_everything", "1")
        main([*other, "--rounds.stopping.max_rounds", "1"])
        shutil.copy(tmp_path / "other" / "ledger.sqlite", path)
    assert expected in fails([*arguments, "--rounds.budget", "60"], capsys)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (" the ", " that ", "rows that this run has read are gone or were changed"),
        (",tech", ",a-name-that-sorts-first", "'tech' is a label of this run, but of no row any more"),
    ],
)
def test_a_ledger_of_other_texts_or_other_class_names(
    old, new, expected, tmp_path, news_csv, tiny_bert, capsys
) -> None:
    source = tmp_path / "texts.csv"
    text = news_csv.read_text().replace(",sports", ",tech").replace(",politics", ",tech")
    source.write_text(text)
    arguments = command(source, tiny_bert, tmp_path / "run", "--rounds.stopping.max_rounds", "1")
    main(arguments)
    source.write_text(text.replace(old, new))
    assert text != source.read_text()
    assert expected in fails(arguments, capsys)


def test_a_model_whose_classes_are_not_those_of_the_data(begun: list[str], tmp_path, capsys) -> None:
    other = tmp_path / "other.csv"
    other.write_text(ROWS)
    options = [str(other) if word.endswith("news.csv") else word for word in begun[1:]]
    assert "the model's are" in fails(["test", *options], capsys)


def test_fit_does_not_take_a_checkpoint(begun: list[str], tmp_path, capsys) -> None:
    torch.save({"hyper_parameters": {}}, tmp_path / "x.ckpt")
    assert "fit goes on from its folder (rounds.folder), not from" in fails(
        [*begun, "--ckpt_path", str(tmp_path / "x.ckpt")], capsys
    )


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('{"id": "pool-0", "label": "astrology"}', "astrology"),
        ('{"id": "pool-999999", "label": "sports"}', "pool-999999"),
        ("pool-0, sports", "labels.jsonl:1"),
    ],
)
def test_wrong_answers_of_people(line: str, expected: str, tmp_path, news_csv, tiny_bert, capsys) -> None:
    unlabeled = tmp_path / "unlabeled.csv"
    unlabeled.write_text("text\n" + "".join(f"text number {i}\n" for i in range(60)))
    arguments = command(unlabeled, tiny_bert, tmp_path / "run", "--rounds.oracle", "file", "--data.initial_size", "30")
    arguments[arguments.index("--data.test_size") + 1] = "0"
    arguments += ["--data.label_names", "[sports, tech]", "--rounds.budget", "60"]
    main(arguments)
    asked = (tmp_path / "run" / "round_00" / "to_label.jsonl").read_text()
    some_id = "pool-0" if '"pool-0"' in asked else asked.split('"id": "')[1].split('"')[0]
    (tmp_path / "run" / "round_00" / "labels.jsonl").write_text(line.replace("pool-0", some_id, 1) + "\n")
    assert expected.replace("pool-0", some_id) in fails(arguments, capsys)
