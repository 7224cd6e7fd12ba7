"""What annotators said and cost, from the ledgers of runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from math import nan
from pathlib import Path
from statistics import median
from typing import TypeAlias

import pandas as pd

from lit_react.annotation.agreement import Agreement, agreement
from lit_react.annotation.answers import Given, Where
from lit_react.annotation.ledger import Ledger
from lit_react.annotation.oracles import GoldOracle
from lit_react.core.terminal import plain
from lit_react.experiments.tables import Entry, Table, number

Answers: TypeAlias = tuple[list[Given], dict[Where, list[Given]]]
"""Of a run: all answers in the order they came, and those that hold, see `Ledger`."""


def read_answers(ledger: Path) -> Answers:
    """What the ledger of a run has, whatever its data are; a `UserError` where it cannot be read."""
    with Ledger(ledger, budget=0, fingerprint=None, read_only=True) as opened:
        return opened.history(), opened.answers()


def annotators_table(runs: Iterable[Answers]) -> Table | None:
    """A row an annotator, over all runs, the dearest first; None where all labels came with the data."""
    said: dict[str, dict[tuple[int, Where], list[Given]]] = {}
    pairs: list[Agreement] = []
    for run, (history, standing) in enumerate(runs):
        for each in history:
            said.setdefault(each.annotator, {}).setdefault((run, (each.split, each.row)), []).append(each)
        pairs += [pair for pair in agreement(standing) if len(pair.annotators) == 2]
    if not said.keys() - {GoldOracle.annotator}:
        return None
    paid = {name: sum(each.cost or 0.0 for each in chain(*texts.values())) for name, texts in said.items()}
    order = sorted(said, key=lambda name: (-paid[name], name))
    rows = [_row(list(said[name].values()), paid[name], [p for p in pairs if name in p.annotators]) for name in order]
    names = pd.Index([" ".join(plain(name).split()) for name in order], name="annotator")
    return Table(
        name="annotators",
        caption="What each annotator said and cost",
        frame=pd.DataFrame(rows, index=names),
        note="Labels and skips that hold. Corrections change or take back an earlier answer of the same annotator. "
        "Cost: of all answers, corrections too, in cost units. Seconds as far as they are known; an hour has skips and "
        "corrections in it. Agreement: share of the texts labeled with another annotator on which both said the same, "
        "not corrected for chance.",
    )


def _row(texts: Sequence[Sequence[Given]], paid: float, pairs: Sequence[Agreement]) -> dict[str, Entry]:
    """Of one annotator; `texts` has the answers to each, `pairs` the agreement with each other annotator."""
    last, every = [given[-1] for given in texts], [*chain(*texts)]
    labels = [each for each in last if each.label is not None]
    seconds = [each.seconds for each in every if each.seconds is not None]
    timed, compared = sum(each.seconds is not None for each in labels), sum(pair.texts for pair in pairs)
    return {
        "labels": Entry(str(len(labels))),
        "skips": Entry(str(sum(each.label is None and not each.undo for each in last))),
        "corrections": Entry(str(len(every) - len(last))),
        "cost": Entry(f"{paid:.6g}"),
        "cost / label": Entry(f"{paid / len(labels):.4g}" if labels else "–"),
        "median seconds": number(median(seconds) if seconds else nan),
        "labels / hour": number(3600 * timed / sum(seconds) if sum(seconds) else nan, digits=0),
        "agreement, %": number(100 * sum(p.same * p.texts for p in pairs) / compared if compared else nan, digits=0),
    }
