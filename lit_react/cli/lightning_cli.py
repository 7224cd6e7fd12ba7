"""Lightning's commands: `fit` runs the rounds; `validate`, `test`, `predict` use the model of its folder."""

from __future__ import annotations

import argparse
from itertools import pairwise
from pathlib import Path
from typing import Any

import lightning as L
import torch
import yaml
from jsonargparse import DefaultHelpFormatter
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import EarlyStopping
from lightning.pytorch.cli import ArgsType, LightningArgumentParser, LightningCLI

from lit_react.acquisition.agents import DoubleDQN
from lit_react.acquisition.callback import AcquisitionCallback
from lit_react.acquisition.proposals import Batches
from lit_react.acquisition.rewards import GainReward
from lit_react.acquisition.stopping import Stopping
from lit_react.annotation.answers import Label
from lit_react.annotation.label_studio import LabelStudio  # noqa: F401 so that its name alone is known
from lit_react.annotation.language_model import LLM  # noqa: F401 so that its name alone is known
from lit_react.annotation.ledger import Ledger
from lit_react.annotation.page import Page  # noqa: F401 so that its name alone is known
from lit_react.augmentation.augmentation import Augmentation
from lit_react.cli.commands import SUMMARIES
from lit_react.cli.one_line import OneLineParser, cause
from lit_react.core.bounds import expect
from lit_react.core.errors import LabelsPending, UserError
from lit_react.core.files import write_atomically
from lit_react.core.processes import UNTIL_THE_END, files_of_first, from_first, is_first_process, join
from lit_react.core.quiet import quiet
from lit_react.core.terminal import plain
from lit_react.core.version import __version__
from lit_react.core.wandb_logger import Wandb
from lit_react.data.datamodule import PoolDataModule
from lit_react.pretraining.infilling import Infilling  # noqa: F401 so that its name alone is known
from lit_react.pretraining.on_pool import PoolPretraining
from lit_react.run.active_learning import ActiveLearning
from lit_react.run.best_round import best_round
from lit_react.run.folder import RunFolder
from lit_react.run.labelers import named_aggregate
from lit_react.run.prediction import PredictionFile
from lit_react.run.state import RunState
from lit_react.run.trainers import OF_ALL_FITS, OF_THE_TASK, new_trainer
from lit_react.tasks import SentenceClassification, TaskModule
from lit_react.tasks.base import is_export

OTHER_GROUPS = {
    *("data", "model", "acquisition", "augmentation", "pretraining", "early_stopping", "trainer", "wandb"),
    "seed",
}
"""Arguments of `ActiveLearning` that are groups of options of their own; the rest is the group `rounds`."""


class LightningParser(OneLineParser, LightningArgumentParser):
    """Wrong options are one line."""


class ReactCLI(LightningCLI):
    """LightningCLI with the groups `rounds`, `acquisition`, `wandb`, and a `fit` that runs all rounds."""

    def __init__(self, args: ArgsType, **options: Any) -> None:
        self._command = args[0] if isinstance(args, list) and args else None
        super().__init__(args=args, **options)

    def subcommands(self) -> dict[str, set[str]]:  # type: ignore[override]
        """Of four long parsers only the one that is asked for is built."""
        every = LightningCLI.subcommands()
        return {name: skip for name, skip in every.items() if name == self._command} or every

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        """As LightningCLI, but a config that is no YAML is named, and a seed that none can be."""
        if isinstance(args, list):
            for option, path in pairwise(args):
                if option == "--config" and Path(path).is_file():
                    _check_yaml(Path(path))
            self.config = parser.parse_args(args)
        else:
            super().parse_arguments(parser, args)
        expect("seed_everything", int(self.config.get(f"{self._command}.seed_everything", 0)), at_least=0)

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Groups beside `trainer`, `model` and `data`, and what links them."""
        parser.add_class_arguments(ActiveLearning, "rounds", skip=OTHER_GROUPS, instantiate=False)
        parser.add_lightning_class_args(AcquisitionCallback, "acquisition")
        parser.add_class_arguments(Augmentation, "augmentation")
        parser.add_lightning_class_args(EarlyStopping, "early_stopping")
        parser.add_argument("--pretraining", type=PoolPretraining | None, default=None, help="before the first round")
        parser.add_class_arguments(Wandb, "wandb")
        parser.add_class_arguments(PredictionFile, "predictions")
        parser.set_defaults(
            {
                "data": _of_class(PoolDataModule),
                "model": _of_class(SentenceClassification),
                "acquisition.proposals": _of_class(Batches),
                "acquisition.agent": _of_class(DoubleDQN),
                "acquisition.reward": _of_class(GainReward),
                "rounds.stopping": _of_class(Stopping),
                "early_stopping.monitor": OF_THE_TASK,
                "early_stopping.mode": "max",
                "early_stopping.patience": 5,
            }
        )

    def instantiate_trainer(self, **kwargs: Any) -> L.Trainer:
        """The Trainer of `validate`, `test` and `predict`; `fit` has one for each round."""
        return new_trainer(self._trainer_options, **kwargs)

    @property
    def _trainer_options(self) -> dict[str, Any]:
        return {**self._get(self.config_init, "trainer")}

    # ---- fit ------------------------------------------------------------------------------------------------

    def fit(self, model: TaskModule, datamodule: PoolDataModule, **_: Any) -> None:
        """Run or resume what the options say."""
        if self._get(self.config, "ckpt_path"):
            raise UserError("ckpt_path: fit goes on from its folder (rounds.folder), not from a checkpoint")
        groups = ("acquisition", "augmentation", "pretraining", "early_stopping", "wandb")
        run = ActiveLearning(
            datamodule,
            model,
            seed=int(self._get(self.config, "seed_everything")),
            trainer=self._trainer_options,
            **{name: self._get(self.config_init, name) for name in groups},
            **self._get(self.config_init, "rounds"),
        )
        run.begin()
        if is_first_process():
            config = self._parser("fit").dump(self.config["fit"], skip_none=False)
            write_atomically(run.folder.path / "config.yaml", config.encode())
        run.fit()

    # ---- validate, test, predict ----------------------------------------------------------------------------

    def before_validate(self) -> None:
        """The run's model, and the validation labels that the run bought; not if the model has learned them."""
        self._use_model()
        if self.model.has_learned_validation:
            raise UserError(
                "validate: the model was refitted (rounds.refit), it has learned the labels; use test, "
                "or begin the run with --rounds.refit false"
            )
        self._read_run()
        self.datamodule.reveal("validation", from_first(self._learned))

    def before_test(self) -> None:
        """The run's model; where the test rows are carved from the pool's source, they must be those of the run.

        With other sizes some of them would be rows that the run bought.
        """
        given = self._given
        if self._use_model() != given and self.datamodule.fixed.test_is_carved:
            self._read_run()
            from_first(self._check_ledger)

    def predict(self, model: TaskModule, datamodule: PoolDataModule, ckpt_path: Any = None, **_: Any) -> None:
        """What the run's model says of the texts."""
        self._use_model(names_must_match=False)
        self._get(self.config_init, "predictions").write(self.trainer, model, datamodule, ckpt_path)

    @property
    def _given(self) -> Path:
        """The folder that the model's options name, if it is one."""
        return Path(getattr(self.model.task, "pretrained", ""))

    @property
    def _folder(self) -> RunFolder:
        return RunFolder(Path(self._get(self.config_init, "rounds")["folder"]))

    def _read_run(self) -> None:
        """Read the rows in the order of the run."""
        self.datamodule.connect(self.model.task, self._folder.path)
        _ = self.datamodule.fixed

    def _check_ledger(self) -> None:
        if self._folder.ledger.exists():
            self._ledger().close()

    def _learned(self) -> dict[int, Label]:
        """Row of the validation split → the label that the model of the best round was chosen by."""
        if not self._folder.ledger.exists():
            raise UserError(f"{self._folder.ledger}: no such file, validate needs a run's labels; run fit first")
        rounds = RunState.load(self._folder.path).rounds
        aggregate = named_aggregate(self._get(self.config_init, "rounds")["aggregation"])
        with self._ledger() as ledger:
            return ledger.labeled("validation", best_round(rounds) if rounds else 0, aggregate)

    def _ledger(self) -> Ledger:
        """The run's ledger, to be read; of other data, but for rows that have joined since, it is an error."""
        texts, path = self.datamodule.fixed, self._folder.ledger
        return Ledger(path, budget=0, grown_from=texts.grown_from, fingerprint=texts.fingerprint, read_only=True)

    def _use_model(self, names_must_match: bool = True) -> Path | None:
        """An exported folder given as `--model.pretrained`, or `--ckpt_path`, or else the run's model.

        Returns:
            the folder, of the first process, that a model was read from.
        """
        join(self.trainer)
        own, given = self._folder.model, self._get(self.config, "ckpt_path")
        used = from_first(lambda: next(filter(is_export, [self._given, *([] if given else [own])]), None))
        if used is not None:
            self.model.restore(UNTIL_THE_END.enter_context(files_of_first(used)))
        elif not given:
            raise UserError(
                f"{own}: no such model; run fit first, name its --rounds.folder, or give an exported folder "
                "as --model.pretrained"
            )
        self.datamodule.connect(self.model.task)
        classes = names_must_match and self.model.restored and self.model.task.has_classes
        if classes and self.model.names != self.datamodule.fixed.class_names:
            raise UserError(
                f"data.source: its labels are {self.datamodule.fixed.class_names}, the model's are {self.model.names}"
            )
        return used


def _check_yaml(path: Path) -> None:
    try:
        yaml.safe_load(path.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not a YAML file: {error}") from error


def _of_class(cls: type) -> dict[str, str]:
    return {"class_path": f"{cls.__module__}.{cls.__qualname__}"}


class _Help(DefaultHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Keeps the lines of the epilog."""


class ParsedOnly(ReactCLI):
    """Parses a command and leaves it at that."""

    def instantiate_classes(self) -> None:
        """None."""

    def _run_subcommand(self, subcommand: str) -> None:
        """None."""


def run_lightning(args: ArgsType, cli: type[ReactCLI] = ReactCLI) -> None:
    """Run one of Lightning's commands; it says itself what is wrong with none at all.

    Args:
        args: the command line, `--config` before what is stronger; or a namespace.
        cli: `ParsedOnly` to see what is wrong with a command that somebody else will run.

    Raises:
        UserError: something that the user gave is wrong.
    """
    quiet()
    torch.set_float32_matmul_precision("high")
    try:
        cli(
            model_class=TaskModule,
            subclass_mode_model=True,
            datamodule_class=PoolDataModule,
            subclass_mode_data=True,
            parser_class=LightningParser,
            parser_kwargs={
                "prog": "lit_react",
                "version": __version__,
                "description": __doc__,
                "epilog": "commands beside these:\n"
                + "\n".join(f"  {name:<21} {summary}" for name, summary in SUMMARIES.items()),
                "formatter_class": _Help,
            },
            save_config_callback=None,
            seed_everything_default=0,
            auto_configure_optimizers=False,
            trainer_defaults=OF_ALL_FITS,
            args=args,
        )
    except LabelsPending as pending:
        if is_first_process():
            print(plain(pending))
    except RuntimeError as error:
        if not str(error).startswith("Early stopping conditioned on metric"):
            raise
        raise UserError(f"early_stopping.monitor: {error}") from error
    except (MisconfigurationException, ValueError) as error:
        wrong = cause(error, MisconfigurationException) or cause(error, ModuleNotFoundError)  # what a class needs
        if wrong is None or cause(error, UserError) is not None:  # which says more
            raise
        raise UserError(str(wrong)) from error
