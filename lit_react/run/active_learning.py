"""`ActiveLearning`: buy, fit, acquire, test, save, until something ends it."""

from __future__ import annotations

import copy
import gc
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import pandas as pd
from lightning.pytorch.callbacks import EarlyStopping

from lit_react.acquisition.callback import AcquisitionCallback
from lit_react.acquisition.stopping import Stopping, StoppingRule
from lit_react.annotation.answers import Aggregate
from lit_react.annotation.desk import Desk
from lit_react.annotation.drafts import Drafts
from lit_react.annotation.ledger import Ledger
from lit_react.annotation.new_classes import join_classes
from lit_react.annotation.oracles import GoldOracle, Oracle
from lit_react.augmentation.augmentation import Augmentation
from lit_react.core.bounds import expect
from lit_react.core.errors import UserError
from lit_react.core.files import write_json
from lit_react.core.processes import files_of_first, from_first, is_first_process, join
from lit_react.core.wandb_logger import Wandb
from lit_react.data.datamodule import PoolDataModule
from lit_react.data.fit_data import FitData
from lit_react.data.growth import of_run, rows_of
from lit_react.data.pool_data import PoolData
from lit_react.pretraining.on_pool import PoolPretraining
from lit_react.run.books import LedgerBooks
from lit_react.run.folder import RunFolder
from lit_react.run.isolation import isolated, short_collections
from lit_react.run.labelers import Annotators, asked_of_several, named_aggregate, named_oracle
from lit_react.run.preparation import prepared
from lit_react.run.purchases import Labels, answer_known, buy, take_answers, tell_of_changes
from lit_react.run.questions import desk_of, open_questions
from lit_react.run.record import RECORD, check_one_run, check_same_run, described, record_of
from lit_react.run.result import RunResult
from lit_react.run.round_fit import fit_and_test
from lit_react.run.show import show
from lit_react.run.state import RunState
from lit_react.run.steps import Steps
from lit_react.run.suspicious import suspicious_labels
from lit_react.run.tracking import Tracker, tracker_of
from lit_react.run.trainers import OF_THE_TASK, new_trainer, say_length, with_defaults
from lit_react.tasks import SentenceClassification, TaskModule

log = logging.getLogger("lit_react")


class ActiveLearning:
    """A run of active learning; whatever is not given is what the demo does.

    The folder is the run: the same lines with the same folder go on where they were stopped, whatever stopped them, and
    buy no label twice. The parts that are given are copied; the run changes none of them. Of several processes, on one
    machine or many, each calls the same methods in the same order; the folder is that of the first one.

    Args:
        data: the texts and their splits; None: the packaged BBC news.
        model: the task and how a model is fitted to it, without weights; None: `SentenceClassification()`.
        acquisition: what is bought after each fit; None: `AcquisitionCallback()`.
        budget: in cost units, for all labels of the run: validation, initial and acquired ones.
        folder: the run's folder.
        seed: of all random choices of the run; the splits follow from the data's own `split_seed`.
        oracle: who answers. `gold`: the labels that came with the data (simulation); `file`: people, who read
            `round_XX/to_label.jsonl` and write `round_XX/labels.jsonl`; `api`: whoever calls `query` and `answer`; or
            an `Oracle` of your own.
        drafts: a cheap annotator that labels the pool before the oracle is asked; None: there is none.
        overlap: how many annotators answer each question, in the mean: 2 for two each, 1.3 where three in ten texts,
            drawn by the seed, get a second answer. Each answer costs. A label that came with the data stands alone.
        aggregation: which label follows from several answers. `majority`: that of most annotators, of several such the
            one that was given first; `dawid_skene`: the likeliest, where each annotator errs in ways of their own
            (labels of one class each); or a function of your own, see `Aggregate`.
        start: `cold`, each round from the pretrained weights; or `warm`, from those of the round before.
        refit: after each fit, fit once more with the validation labels too; that model is tested and kept. Validation
            metrics, rewards and queries are those of the first; the Trainer's own callbacks and loggers see the first
            fit only. None: wherever there are validation labels, but not after a warm start, which would be validated
            on labels that it has learned, nor with a rate that goes by validations.
        stopping: when to stop before the budget is spent, `Stopping` or a rule of your own; None: never.
        steps: of each fit, by the number of labels, instead of the Trainer's `max_steps`, `max_epochs` and
            `val_check_interval`; None: as the Trainer's options say; where they say nothing and there are no validation
            labels, one for each label, at least those that the model wants.
        augmentation: what a fit reads beside the bought labels; None: nothing.
        pretraining: of the encoder on the pool's texts before the first round; None: none.
        early_stopping: of each fit; None: after five validations without gain.
        trainer: options of Lightning's Trainer, stronger than the demo's (`max_steps` 100, a validation each 10 steps,
            gradients clipped at 1; one epoch for a `LinearProbe`). Each fit has a Trainer of its own with
            copies of callbacks, profilers and plugins; loggers are used as they are.
        wandb: where W&B keeps the run; None: offline, in the folder.
    """

    def __init__(
        self,
        data: PoolDataModule | None = None,
        model: TaskModule | None = None,
        acquisition: AcquisitionCallback | None = None,
        *,
        budget: float = 120.0,
        folder: Path | str = Path("runs/default"),
        seed: int = 0,
        oracle: Oracle | Literal["gold", "file", "api"] = "gold",
        drafts: Drafts | None = None,
        overlap: float = 1.0,
        aggregation: Literal["majority", "dawid_skene"] | Aggregate = "majority",
        start: Literal["cold", "warm"] = "cold",
        refit: bool | None = None,
        stopping: StoppingRule | None = None,
        steps: Steps | None = None,
        augmentation: Augmentation | None = None,
        pretraining: PoolPretraining | None = None,
        early_stopping: EarlyStopping | None = None,
        trainer: Mapping[str, Any] | None = None,
        wandb: Wandb | None = None,
    ) -> None:
        expect("rounds.budget", budget, at_least=0)
        expect("seed", seed, at_least=0)
        expect("rounds.overlap", overlap, at_least=1)
        self.data = data if data is not None else PoolDataModule(test_size=500)
        self.model = model.fresh() if model is not None else SentenceClassification(max_length=64)
        self._given = acquisition if acquisition is not None else AcquisitionCallback()
        self.acquisition = copy.deepcopy(self._given)
        self.augmentation, self.pretraining = augmentation or Augmentation(), pretraining
        self.budget, self.seed, self.oracle = float(budget), int(seed), named_oracle(oracle)
        self.overlap, self.aggregation, self.aggregate = float(overlap), aggregation, named_aggregate(aggregation)
        self.drafts = drafts
        if drafts is not None:
            if drafts.annotator.annotator == self.oracle.annotator:
                raise UserError(f"rounds.drafts: {self.oracle.annotator!r} labels and drafts: expected two annotators")
            self.aggregate = drafts.under(self.aggregate)
        self.start, self.refit, self.steps = start, refit, steps
        self.stopping = stopping or Stopping()
        self.early_stopping = early_stopping or EarlyStopping(OF_THE_TASK, mode="max", patience=5)
        suits, said = self.model.trainer_defaults, trainer or {}
        given = {**suits, **{name: value for name, value in said.items() if value is not None or name not in suits}}
        self.trainer, self.length_is_given = with_defaults(given), say_length(given)
        self.wandb = wandb or Wandb()
        self.folder = RunFolder(Path(folder), kept_models=2 if start == "warm" else 1)
        if self.folder.path.exists() and not self.folder.path.is_dir():
            raise UserError(f"rounds.folder: {folder} is a file, expected a folder, or a name that is free")
        if refit and start == "warm":
            raise UserError("rounds.refit: a warm start would be validated on labels that it has learned; use cold")
        self.state = RunState()
        self._texts: PoolData | None = None
        self._has_grown = self._joined = False
        self._tracker: Tracker | None = None

    # ---- a whole run ----------------------------------------------------------------------------------------

    def fit(self) -> RunResult:
        """Run or resume until something ends it; then show a table and a picture.

        Raises:
            LabelsPending: the oracle has not answered yet; everything up to here is saved.
            UserError: something that was given is wrong, or the folder is of another run.
        """
        with isolated():
            try:
                with self._opened() as books:
                    while not self.state.stopped:
                        self._next_round(books)
            finally:
                self.close()
        if is_first_process():
            show(self.folder, self.state, self.result.agreement(), self.result.new_classes())
        return self.result

    @property
    def result(self) -> RunResult:
        """What the run has brought so far."""
        return RunResult(self.folder, self.texts, self.data.text_column, self.model, self.trainer, self.aggregate)

    @property
    def texts(self) -> PoolData:
        """The texts of the run, read at the first use."""
        if self._texts is None:
            self._join()
            texts = of_run(self.data.prepare, self.model.task, self.folder.path)
            self._texts = asked_of_several(texts, self.oracle, self.overlap, self.seed)
        return self._texts

    # ---- step by step ---------------------------------------------------------------------------------------

    def query(self, annotator: str | None = None) -> pd.DataFrame:
        """What waits for an answer: a row a question.

        Args:
            annotator: leave out what this one has answered; None: whatever wants an answer still.

        Returns:
            `id`; `text`; `suggestions`, a list of the names that the last model would give, the likeliest first; and
            what else the task shows of a row, such as `labels`, the names to choose from.
        """
        with isolated(), self._opened() as books:
            round = len(self.state.rounds)
            return from_first(lambda: open_questions(self._desk(books.ledger).waiting(annotator, round)))

    def answer(self, labels: Mapping[str, Any], annotator: str | None = None) -> int:
        """Record answers; they are on the disk when this returns.

        Args:
            labels: id → answer, as people write it (the name of a class, a list of names, …; None: a text that has no
                label), or an `Answer`, which says more; all are taken, or none. Of what an annotator said of a question
                the last holds.
            annotator: who says it; None: the oracle.

        Returns:
            how many questions still wait.

        Raises:
            UserError: an id that was not asked, or an answer that means nothing.
        """

        def taken() -> int:
            desk = self._desk(books.ledger)
            take_answers(desk, self.oracle, labels, annotator)
            return len(desk.waiting(round=len(self.state.rounds)))

        with isolated(), self._opened() as books:
            return from_first(taken)

    def step(self) -> pd.Series:
        """One round: fit on the labels that are there, choose the next ones, test, save.

        Returns:
            the round's row of `RunResult.rounds`; of a run that has ended, its last one.

        Raises:
            LabelsPending: an answer is missing; `query` shows which.
        """
        with isolated(), self._opened() as books:
            if not self.state.stopped:
                self._next_round(books)
        if self.state.stopped:
            self.close()
        return from_first(lambda: self.result.rounds.iloc[-1])

    def close(self) -> None:
        """Send what the loggers hold back, close W&B, tell the oracle; a run that goes on opens them again."""
        if self._tracker is not None:
            self._tracker.finish(self.folder.path)
            self._tracker = None
            if is_first_process():
                self.oracle.close(self.state.stopped)
                if self.drafts is not None:
                    self.drafts.annotator.close(self.state.stopped)

    # ---- before the first round -----------------------------------------------------------------------------

    def begin(self) -> None:
        """See that all parts fit together and that the folder is this run's, and write down what the run is.

        Whatever is wrong shows here, before anything is bought; `fit` and the others call it.

        Raises:
            UserError: something is wrong.
        """
        if self._tracker is not None:
            return
        self._join()
        options = record_of(self)
        from_first(lambda: check_same_run(self.folder.path, options))
        self._prepared = prepared(self)
        self._texts = self._prepared.texts
        self._tracker = tracker_of(self.trainer.get("logger"), self.wandb, self.folder.path)
        self._tracker.config(options)

    def _join(self) -> None:
        """Make the processes of the run a group, before one of them reads or writes the folder."""
        if not self._joined:
            join(new_trainer({**self.trainer, "callbacks": None}))
            self._joined = True

    @contextmanager
    def _opened(self) -> Iterator[LedgerBooks]:
        """Inside, the first process has the ledger open, and all have the state of the folder."""
        self.begin()
        fingerprints = from_first(lambda: rows_of(self.texts, self.folder.path).fingerprints)
        self._has_grown = bool(fingerprints[1:])
        with ExitStack() as files:
            books = LedgerBooks(self.budget, self.texts)
            self.state = from_first(lambda: self._read(books, files, fingerprints))
            self.acquisition = copy.deepcopy(self._given)
            self.acquisition.begin(books, self.stopping, self.seed)
            if self.state.acquisition is not None:
                self.acquisition.load_state_dict(self.state.acquisition)
            from_first(lambda: self._prepare(books.ledger))
            with short_collections():
                yield books

    def _read(self, books: LedgerBooks, files: ExitStack, fingerprints: Sequence[str]) -> RunState:
        """Open the ledger and read the state; what is published stays until its last round was fitted again."""
        *before, data = fingerprints
        path, folder = self.folder.ledger, self.folder.path
        ledger = Ledger(path, budget=self.budget, fingerprint=data, grown_from=before)
        books.ledger = files.enter_context(ledger)
        state = RunState.load(folder)
        check_one_run(folder, ledger, state)
        state.run = ledger.run
        if state.rounds:
            self.folder.publish(state)
        state.test_on(self.texts.test_fingerprint)
        state.reopen(self._limits)
        return state

    def _prepare(self, ledger: Ledger) -> None:
        """Ask for the first labels, take those that are known, and open the oracle's desk."""
        folder = self.folder.path
        tell_of_changes(ledger, self.texts)
        write_json(folder / RECORD, record_of(self) | {"run": ledger.run})
        if not self.state.stopped and not ledger.asked(0):
            ledger.ask(0, self._prepared.first)
        answer_known(ledger, self.oracle, self.texts, len(self.state.rounds))
        join_classes(chain(*ledger.answers().values()), self._desk(ledger))
        self.oracle.open(folder, self._desk(ledger))
        if self.drafts is not None:
            self.drafts.annotator.open(folder, self._desk(ledger, drafts=True))

    def _desk(self, ledger: Ledger, *, drafts: bool = False) -> Desk:
        drafter = None if self.drafts is None else self.drafts.annotator
        return desk_of(ledger, self.oracle, self.texts, self.folder, drafter, drafts=drafts)

    def _annotators(self, ledger: Ledger) -> Annotators:
        drafting = None if self.drafts is None else self._desk(ledger, drafts=True)
        return Annotators(self.oracle, self._desk(ledger), self.aggregate, self.drafts, drafting)

    @property
    def _limits(self) -> dict[str, Any]:
        grown = {"rows": len(self.texts.pool)} if self._has_grown else {}
        return {"budget": self.budget, "stopping": json.dumps(described(self.stopping))} | grown

    # ---- one round ------------------------------------------------------------------------------------------

    def _next_round(self, books: LedgerBooks) -> None:
        """Buy what was asked for, fit, acquire, test, save."""
        round, folder, trainers = len(self.state.rounds), self.folder, self._prepared.trainers
        assert self._tracker is not None, "begin opens it"
        bought = from_first(lambda: self._bought(books.ledger, round))
        data = bought.of(self.texts, round, self.seed)
        loggers = self._tracker.loggers
        here, labels, validated = folder.round(round), len(data.pool.labels), bool(data.validation)
        warm = self.start == "warm" and round > 0
        with files_of_first(folder.round(round - 1) / "model") if warm else nullcontext() as before:
            trainer, module, result = fit_and_test(
                self._prepared.recipe,
                data,
                augmentation=self.augmentation,
                before=before,
                make_trainer=lambda: trainers.of_fit(here, labels, self.acquisition, loggers, validated=validated),
                make_refit_trainer=trainers.of_refit if self._prepared.refits and validated else None,
                acquisition=self.acquisition,
            )
        counts = {"labeled": bought.settled, "validation": len(data.validation), "cost": bought.spent}
        self.state.rounds.append({"round": round, "shown": list(module.task.shown), **counts} | result)
        self.state.advance(self.acquisition.state_dict(), self.acquisition.report.stop, self._limits)
        self.state = from_first(partial(self._saved, round, module, data))
        self._tracker.round(self.state.rounds[-1])
        del module, trainer
        gc.collect()  # they refer to each other; their tensors shall not wait for the next collection

    def _bought(self, ledger: Ledger, round: int) -> Labels:
        bought = buy(ledger, self._annotators(ledger), self.texts, round, self.seed)
        drafted = f" and {len(bought.drafted)} drafts" if bought.drafted else ""
        log.info("round %d: %d labels%s, %g of %g spent", round, bought.settled, drafted, bought.spent, self.budget)
        self.folder.forget_checkpoints(round)
        assert self._tracker is not None, "begin opens it"
        chosen = self.folder.chosen_in(round - 1)
        self._tracker.bought(round, ledger.purchases(self.aggregate), chosen, self.texts)
        return bought

    def _saved(self, round: int, module: TaskModule, data: FitData) -> RunState:
        lines = {"query": self.acquisition.report.query}
        if not isinstance(self.oracle, GoldOracle):
            lines["suspicious"] = suspicious_labels(self.texts, data.pool.settled_labels)
        self.folder.save(round, self.state, module, lines)
        return self.state
