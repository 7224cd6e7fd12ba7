"""Who labels the rows of a run, and how answers become labels."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lit_react.annotation.answers import Aggregate, majority
from lit_react.annotation.dawid_skene import dawid_skene
from lit_react.annotation.desk import Desk
from lit_react.annotation.drafts import Drafts
from lit_react.annotation.files import FileOracle
from lit_react.annotation.oracles import ApiOracle, GoldOracle, Oracle
from lit_react.core.errors import UserError
from lit_react.data.pool_data import PoolData
from lit_react.data.task import Task

ORACLES: dict[str, type[Oracle]] = {"gold": GoldOracle, "file": FileOracle, "api": ApiOracle}
"""Those with a short name."""

AGGREGATES: dict[str, Aggregate] = {"majority": majority, "dawid_skene": dawid_skene}
"""How answers become labels, by short name."""

SPLITS = ("pool", "validation")
"""Those whose labels are bought."""


@dataclass(frozen=True)
class Annotators:
    """Who answers, and how answers become labels.

    Attributes:
        oracle: who is asked for labels.
        desk: the oracle's.
        aggregate: from answers to labels.
        drafts: who labels the pool before; None: nobody does.
        drafts_desk: that of the one who drafts.
    """

    oracle: Oracle
    desk: Desk
    aggregate: Aggregate = majority
    drafts: Drafts | None = None
    drafts_desk: Desk | None = None


def named_oracle(oracle: Oracle | str) -> Oracle:
    """The oracle of a short name, or the one that was given.

    Raises:
        UserError: there is none of that name, or it is no oracle.
    """
    if isinstance(oracle, Oracle):
        return oracle
    if not isinstance(oracle, str) or oracle not in ORACLES:
        raise UserError(f"rounds.oracle: {oracle!r}, expected one of {', '.join(ORACLES)}, or an Oracle")
    return ORACLES[oracle]()


def named_aggregate(aggregate: Aggregate | str) -> Aggregate:
    """The aggregation of a short name, or the one that was given.

    Raises:
        UserError: there is none of that name.
    """
    if callable(aggregate):
        return aggregate
    if aggregate not in AGGREGATES:
        raise UserError(
            f"rounds.aggregation: {aggregate!r}, expected one of {', '.join(AGGREGATES)}, or a function of your own"
        )
    return AGGREGATES[aggregate]


def check_aggregate(aggregate: Aggregate, task: Task) -> None:
    """See that a task's labels can be aggregated so; a `UserError` where they cannot."""
    if aggregate is dawid_skene and not task.labels_are_classes:
        raise UserError(
            f"rounds.aggregation: dawid_skene is for labels that are one class each, those of {type(task).__name__} "
            "are not: expected majority"
        )


def asked_of_several(data: PoolData, oracle: Oracle, overlap: float, seed: int) -> PoolData:
    """The same texts, of which each wants `overlap` answers in the mean; one where the label came with the data.

    With 1.3 three in ten rows, drawn by the seed, want a second answer. A row's draw does not change where rows are
    added at the end.

    Raises:
        UserError: the labels are those of the data, which has one for each text.
    """
    if overlap == 1:
        return data
    if isinstance(oracle, GoldOracle):
        raise UserError(
            f"rounds.overlap: {overlap:g}, but rounds.oracle is gold, and the data has one label for each text: "
            "expected 1, or another oracle"
        )
    wanted, known = dict[str, NDArray[np.int64]](), data.known_labels()
    for number, split in enumerate(SPLITS):
        labels = known[split]
        more = np.random.default_rng([seed, 2**31 + 1, number]).random(len(labels)) < overlap % 1
        came = np.asarray([label is not None and not oracle.answers_known for label in labels], dtype=bool)
        wanted[split] = np.where(came, 1, int(overlap) + more)
    return replace(data, wanted=wanted)
