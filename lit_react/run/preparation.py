"""Before a run buys anything: its parts fit together, and what it asks for first is known."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lightning.pytorch.loggers.logger import DummyLogger

from lit_react.annotation.ledger import Query
from lit_react.annotation.ledger_file import has_purchases
from lit_react.core.processes import from_first, is_first_process
from lit_react.data.pool_data import PoolData
from lit_react.run.checks import check_lengths, check_parts
from lit_react.run.labelers import check_aggregate, named_aggregate
from lit_react.run.purchases import first_queries, label_counts
from lit_react.run.show import show_data
from lit_react.run.steps import Steps
from lit_react.run.trainers import RoundTrainers
from lit_react.tasks import TaskModule

if TYPE_CHECKING:
    from lit_react.run.active_learning import ActiveLearning

log = logging.getLogger("lit_react")


@dataclass(frozen=True)
class Prepared:
    """What the rounds of a run are made from.

    Attributes:
        texts: of the run; by the encoder that was pretrained on them, if one was.
        recipe: module without weights, whose task knows the names of the classes.
        first: what is asked for first.
        trainers: of the rounds.
        refits: whether a fit with validation labels is followed by one that learns them too.
    """

    texts: PoolData
    recipe: TaskModule
    first: list[Query]
    trainers: RoundTrainers
    refits: bool


def prepared(run: ActiveLearning) -> Prepared:
    """See that all parts of a run fit together and tell what looks wrong; then pretrain the encoder, if that is asked.

    The Trainer of the first round is made, and thrown away: what it would refuse shows before anything is bought.

    Raises:
        UserError: something is wrong.
    """
    texts, recipe = run.texts, run.model.fresh(run.texts.task)
    check_aggregate(named_aggregate(run.aggregation), texts.task)

    def asked_first() -> list[Query]:
        begun = has_purchases(run.folder.ledger)  # then these were asked, and rows that have joined are not
        return first_queries(texts, run.oracle, math.inf if begun else run.budget, run.seed)

    first = from_first(asked_first)
    validated, steps = bool(len(texts.validation_split)), run.steps
    if steps is None and not (validated or run.length_is_given):
        steps = Steps(run.model.fewest_steps, per_label=1.0)
    trainers = RoundTrainers(run.trainer, run.early_stopping, steps, texts.task.monitor)
    logged = [DummyLogger()] if run.trainer.get("logger") or run.wandb.mode != "disabled" else []
    probe = trainers.of_fit(run.folder.round(0), 1, run.acquisition, logged, validated=validated)
    parts = run.acquisition, run.augmentation, run.early_stopping
    check_parts(recipe, probe, *parts, refit=bool(run.refit), validated=validated)
    if run.pretraining is not None:
        run.pretraining.check(texts.task, texts.splits.pool)
    counts = label_counts(texts, run.budget, first, run.acquisition.learner.limits[0].size)
    epochs = [-(-rows // texts.rows_per_step(rows)) for rows in map(run.augmentation.rows_of, counts)]
    told = check_lengths(probe, steps, epochs, validated=validated)
    if is_first_process():
        show_data(texts, told)
        run.folder.make()
    if run.pretraining is not None:
        task = run.pretraining.run(run.folder.path / "pretrained", texts.task, texts.splits.pool, run.seed)
        texts = texts.encoded_by(task)
        recipe = run.model.fresh(texts.task)
    refits = run.start == "cold" and recipe.lr_scheduler != "plateau" if run.refit is None else run.refit
    if run.refit is None and refits and validated and run.trainer.get("callbacks") and is_first_process():
        log.warning("rounds.refit: the kept model learns the validation labels too, without trainer.callbacks")
    return Prepared(texts, recipe, first, trainers, refits)
