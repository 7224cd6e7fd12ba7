"""The loop: buy what was asked for, fit, acquire, test, save; until something ends it."""

from __future__ import annotations

import gc
import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, Literal

import numpy as np

from lit_react.acquisition.callback import AcquisitionCallback
from lit_react.acquisition.stopping import Stopping
from lit_react.annotation.ledger import SLACK, Label, Ledger, Query
from lit_react.annotation.oracles import Answers, FileOracle, GoldOracle
from lit_react.augmentation.augmentation import Augmentation
from lit_react.core.bounds import expect
from lit_react.core.errors import LabelsPending, UserError
from lit_react.core.files import put_in_place, read_lines, write_json, write_lines
from lit_react.core.processes import is_first_process, wait_for_all
from lit_react.data.datamodule import PoolDataModule
from lit_react.run.results import write_results
from lit_react.run.round_fit import fit_and_test
from lit_react.run.state import RunState
from lit_react.run.steps import Steps
from lit_react.run.tracking import Tracker
from lit_react.run.trainers import RoundTrainers
from lit_react.tasks.base import TaskModule

log = logging.getLogger("lit_react")


@dataclass
class Rounds:
    """How a run proceeds.

    Args:
        folder: the run's folder; the same command with the same folder goes on where it was stopped.
        budget: in cost units, for all labels of the run: validation, initial and acquired ones.
        oracle: who answers: `gold`, the labels that came with the data (simulation); or `file`, people, who read
            `round_XX/to_label.jsonl` and write `round_XX/labels.jsonl`.
        start: `cold`, each round from the pretrained weights; or `warm`, from those of the round before.
        stopping: reasons to stop before the budget is spent.
        steps: of each fit, by the number of labels, instead of the Trainer's `max_steps`, `max_epochs` and
            `val_check_interval`; None: as the Trainer's options say.
        refit: after each fit, fit once more with the validation labels too; that model is tested and kept. Validation
            metrics, rewards and queries are those of the first. Only for a cold start; the Trainer's own callbacks and
            loggers see the first fit only.
    """

    folder: Path = Path("runs/default")
    budget: float = 1000.0
    oracle: Literal["gold", "file"] = "gold"
    start: Literal["cold", "warm"] = "cold"
    stopping: Stopping = field(default_factory=Stopping)
    steps: Steps | None = None
    refit: bool = False

    def __post_init__(self) -> None:
        expect("rounds.budget", self.budget, at_least=0)
        if self.folder.exists() and not self.folder.is_dir():
            raise UserError(f"rounds.folder: {self.folder} is a file, expected a folder, or a name that is free")
        if self.refit and self.start == "warm":
            raise UserError("rounds.refit: a warm start would be validated on labels that it has learned; use cold")


def first_queries(plan: Rounds, data: PoolDataModule, seed: int) -> list[Query]:
    """What a new run asks for first: validation labels and initial labels, those that came with the data included.

    Args:
        plan: see `Rounds`.
        data: connected to the task.
        seed: of the run.

    Raises:
        UserError: the budget does not pay for them, the pool is too small, …
    """
    known = data.known_labels()
    if plan.oracle == "gold":
        _check_gold(data, known)
    given = [row for row, label in enumerate(known["pool"]) if label is not None] if plan.oracle == "file" else []
    drawn = data.initial_rows(np.random.default_rng([seed, 2**31]), known["pool"])
    rows = list(dict.fromkeys([*given, *drawn.tolist()]))[: max(len(given), len(drawn))]
    costs = data.validation_costs()
    queries = [Query("validation", row, float(cost), "validation") for row, cost in enumerate(costs)]
    queries += [Query("pool", row, float(data.pool.costs[row]), "initial") for row in rows]
    price = sum(query.cost for query in queries)
    if price > plan.budget * (1 + SLACK):
        came = f", {len(given)} of them with the data" if given else ""
        lower = "data.validation_size" if len(given) == len(rows) else "data.validation_size or initial_size"
        raise UserError(
            f"rounds.budget: {plan.budget:g} does not pay for the first labels, which cost {price:g} "
            f"({len(costs)} validation, {len(rows)} initial{came}); raise it, or lower {lower}"
        )
    return queries


def label_counts(plan: Rounds, data: PoolDataModule, first: list[Query]) -> tuple[int, int]:
    """Labeled rows of the pool in the first fit, and in the largest that the budget pays for.

    Args:
        plan: see `Rounds`.
        data: connected to the task.
        first: what is asked for first.
    """
    least = sum(query.split == "pool" for query in first)
    left, cheapest = plan.budget - sum(query.cost for query in first), float(data.pool.costs.min())
    more = len(data.pool) if cheapest <= 0 else int(left * (1 + SLACK) / cheapest)
    return least, min(least + more, len(data.pool))


def _check_gold(data: PoolDataModule, known: dict[str, list[Label | None]]) -> None:
    for split, labels in known.items():
        if None in labels:
            text = str(data.question(split, labels.index(None))["text"])
            raise UserError(
                f"rounds.oracle: a {split} row has no gold label, {text[:80]!r}: leave it out, or ask people (file)"
            )


def run_rounds(
    plan: Rounds,
    *,
    seed: int,
    first: list[Query],
    data: PoolDataModule,
    recipe: TaskModule,
    augmentation: Augmentation,
    trainers: RoundTrainers,
    acquisition: AcquisitionCallback,
    tracker: Tracker,
) -> RunState:
    """Run or resume.

    Args:
        plan: see `Rounds`.
        seed: of the run; round r uses a seed derived from both, so that a resumed run equals an unbroken one.
        first: what a new run asks for, see `first_queries`.
        data: connected to the task.
        recipe: module without weights; every round starts from a fresh copy.
        augmentation: what stretches the labels of each fit.
        trainers: makes a fresh one for each fit.
        acquisition: lives across the rounds.
        tracker: gets every round's numbers.

    Returns:
        the state after the last round; `stopped` says why it ended.

    Raises:
        LabelsPending: people have not answered yet; everything up to here is saved.
        UserError: the state or the ledger is damaged, the ledger is of other data, …
    """
    folder, state = plan.folder, RunState.load(plan.folder)
    people = FileOracle(folder, data.question, data.parse) if plan.oracle == "file" else None
    limits = {"budget": plan.budget, **vars(plan.stopping)}
    with _open_ledger(plan, data) as ledger, _short_collections():
        if is_first_process() and state.rounds:
            _publish(plan, state)
        state.test_on(data.test_fingerprint())
        state.reopen(limits)  # what is published stays until the last round was fitted again
        acquisition.attach(data.pool, ledger, plan.budget, plan.stopping, seed)
        if state.acquisition is not None:
            acquisition.load_state_dict(state.acquisition)
        if people is not None and is_first_process():
            _tell_of_changes(people, ledger)
        if state.stopped:
            return state
        if is_first_process() and not ledger.asked(0):
            ledger.ask(0, first)
        for round in count(len(state.rounds)):
            _buy(people, ledger, data, round)
            labels = len(data.pool.labeled_rows)
            if is_first_process():  # a resumed run may have the next round's query already
                log.info("round %d: %d labels, %g of %g spent", round, labels, ledger.spent_by(round), plan.budget)
            bought = [entry for entry in ledger.purchases() if entry["round"] == round]
            tracker.bought(round, bought, read_lines(_round_folder(folder, round - 1) / "query.jsonl"), data)
            round_seed = int(np.random.SeedSequence([seed, round]).generate_state(1)[0])
            data.seed = round_seed
            if is_first_process():  # what a killed fit of this round left
                shutil.rmtree(_round_folder(folder, round) / "checkpoint", ignore_errors=True)
            trainer, module, result = fit_and_test(
                recipe,
                data,
                augmentation=augmentation,
                seed=round_seed,
                before=_round_folder(folder, round - 1) / "model" if plan.start == "warm" and round > 0 else None,
                make_trainer=partial(trainers.of_fit, _round_folder(folder, round), labels, acquisition),
                make_refit_trainer=trainers.of_refit if plan.refit else None,
                acquisition=acquisition,
            )
            spent_on_this_round = {"round": round, "shown": list(module.shown), **_counts(ledger, data, round)}
            state.rounds.append(spent_on_this_round | result)
            state.advance(acquisition.state_dict(), acquisition.report.stop, limits)
            if trainer.is_global_zero:
                _save(plan, round, state, module, acquisition)
            tracker.round(state.rounds[-1])
            if state.stopped:
                return state
            del module, trainer
            gc.collect()  # they refer to each other; their tensors shall not wait for the next collection
    raise AssertionError("unreachable: only a reason to stop ends the rounds")


@contextmanager
def _short_collections() -> Iterator[None]:
    """Inside, garbage collections leave out what was there before: modules, parsers, …, a million objects."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _round_folder(folder: Path, round: int) -> Path:
    return folder / f"round_{round:02d}"


def _open_ledger(plan: Rounds, data: PoolDataModule) -> Ledger:
    """The first process writes, the others of a distributed run read."""
    path = plan.folder / "ledger.sqlite"
    path.parent.mkdir(parents=True, exist_ok=True)
    return Ledger(path, budget=plan.budget, fingerprint=data.fingerprint(), read_only=not is_first_process())


def _buy(people: FileOracle | None, ledger: Ledger, data: PoolDataModule, round: int) -> None:
    """Have the round's query answered, record the answers, then show the labels to the data module."""
    known = data.known_labels()
    gold = GoldOracle(known)
    oracle = people or gold
    pending = ledger.pending(round)
    if is_first_process():
        given = [query for query in pending if known[query.split][query.row] is not None]
        asked = [query for query in pending if known[query.split][query.row] is None]
        for answering, queries in ((gold, given), (oracle, asked)):
            if queries:
                ledger.answer(answering.label(round, queries), answering.annotator)
    wait_for_all()
    if pending := ledger.pending(round):
        asked = ledger.asked(round)
        raise LabelsPending(oracle.pending_message(round, len(asked) - len(pending), len(asked)))
    for split in ("pool", "validation"):
        data.reveal(split, ledger.labeled(split, round))


def _tell_of_changes(oracle: FileOracle, ledger: Ledger) -> None:
    """An answer that was read is bought; who corrects its line later shall know that it stays."""
    bought: dict[int, Answers] = {}
    for entry in ledger.purchases():
        if entry["annotator"] == oracle.annotator:
            bought.setdefault(entry["round"], {})[entry["split"], entry["row"]] = entry["label"]
    for round, answers in bought.items():
        if told := oracle.changed(round, answers):
            log.warning(told)


def _counts(ledger: Ledger, data: PoolDataModule, round: int) -> dict[str, Any]:
    used = [entry for entry in ledger.purchases() if entry["round"] <= round]
    return {
        "labeled": len(data.pool.labeled_rows),
        "validation": len(data.validation_labels),
        "cost": sum(entry["cost"] for entry in used),
    }


def _save(plan: Rounds, round: int, state: RunState, module: TaskModule, acquisition: AcquisitionCallback) -> None:
    """Model and reports first, then the state: a crash before it repeats the round; what follows is made again."""
    here = _round_folder(plan.folder, round)
    partial_model = here / "model.partial"
    shutil.rmtree(partial_model, ignore_errors=True)
    module.export(partial_model)
    shutil.rmtree(here / "model", ignore_errors=True)
    put_in_place(partial_model, here / "model")
    write_lines(here / "query.jsonl", acquisition.report.query)
    write_json(here / "test_report.json", module.test_report())
    state.save(plan.folder)
    _publish(plan, state)


def _publish(plan: Rounds, state: RunState) -> None:
    """What follows from the state, whatever a crash left: results, the link to the newest model, no older models."""
    folder, last = plan.folder, len(state.rounds) - 1
    write_results(folder, state)
    newest = _round_folder(folder, last) / "model"
    link = folder / ".model.partial"
    link.unlink(missing_ok=True)
    link.symlink_to(newest.relative_to(folder))
    os.replace(link, folder / "model")
    shutil.rmtree(_round_folder(folder, last) / "checkpoint", ignore_errors=True)
    kept = 2 if plan.start == "warm" else 1  # a reopened round starts from the one before it
    for round in range(last + 1 - kept):
        shutil.rmtree(_round_folder(folder, round) / "model", ignore_errors=True)
