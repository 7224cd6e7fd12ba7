"""What a run buys: the first labels, and the answers to what each round asked for."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lit_react.annotation.answers import Label, written
from lit_react.annotation.desk import Desk
from lit_react.annotation.drafts import Drafts
from lit_react.annotation.ledger import DRAFT, SLACK, Ledger, Query
from lit_react.annotation.oracles import Answer, GoldOracle, Oracle
from lit_react.core.errors import LabelsPending, UserError
from lit_react.data.fit_data import FitData
from lit_react.data.pool_data import PoolData
from lit_react.run.harmful_drafts import without_harmful_drafts
from lit_react.run.labelers import SPLITS, Annotators

log = logging.getLogger("lit_react")


def first_queries(data: PoolData, oracle: Oracle, budget: float, seed: int) -> list[Query]:
    """What a new run asks for first: validation labels and initial labels, those that came with the data included.

    Args:
        data: the texts of the run.
        oracle: who answers.
        budget: in cost units.
        seed: of the run.

    Raises:
        UserError: the budget does not pay for them, the pool is too small, a gold label is missing, …
    """
    known = data.known_labels()
    if isinstance(oracle, GoldOracle):
        _check_gold(data, known)
    came_along = [] if isinstance(oracle, GoldOracle) or oracle.answers_known else known["pool"]
    given = [row for row, label in enumerate(came_along) if label is not None]
    drawn = data.initial_rows(np.random.default_rng([seed, 2**31]), known["pool"])
    rows = list(dict.fromkeys([*given, *drawn.tolist()]))[: max(len(given), len(drawn))]
    costs = data.validation_costs
    queries = [Query("validation", row, float(cost), "validation") for row, cost in enumerate(costs)]
    queries += [Query("pool", row, float(data.pool.costs[row]), "initial") for row in rows]
    queries = [replace(query, wanted=data.answers_wanted(query.split, query.row)) for query in queries]
    price = sum(query.cost for query in queries)
    if price > budget * (1 + SLACK):
        came = f", {len(given)} of them with the data" if given else ""
        lower = "data.validation_size" if len(given) == len(rows) else "data.validation_size or initial_size"
        raise UserError(
            f"rounds.budget: {budget:g} does not pay for the first labels, which cost {price:g} "
            f"({len(costs)} validation, {len(rows)} initial{came}); raise it, or lower {lower}"
        )
    return queries


def _check_gold(data: PoolData, known: Mapping[str, Sequence[Label | None]]) -> None:
    for split, labels in known.items():
        if None in labels:
            text = str(data.question(split, labels.index(None))["text"])
            place = f" ({data.unlabeled} is the first)" if data.unlabeled else ""
            raise UserError(
                f"rounds.oracle: a {split} row has no gold label, {text[:80]!r}{place}: leave such rows out, or ask "
                "people (--rounds.oracle file)"
            )


def label_counts(data: PoolData, budget: float, first: Sequence[Query], query_size: int | None) -> tuple[int, int]:
    """Labeled rows of the pool in the first fit that has any, and in the largest that the budget pays for; 1 or more.

    Args:
        data: the texts of the run.
        budget: in cost units.
        first: what is asked for first.
        query_size: of the query after it; None: it is limited by its cost alone.
    """
    least = sum(query.split == "pool" for query in first)
    left, cheapest = budget - sum(query.cost for query in first), float(data.pool.costs.min())
    more = len(data.pool) if cheapest <= 0 else int(left * (1 + SLACK) / cheapest)
    most = min(least + more, len(data.pool))
    return max(least or min(query_size or 1, most), 1), max(most, 1)


@dataclass(frozen=True)
class Labels:
    """All labels that the fit of a round may use.

    Attributes:
        pool: row → label.
        asked_in_vain: rows of the pool that were asked, and have none.
        drafted: rows of the pool whose label is a draft.
        draft_weight: of these, see `Drafts`.
        validation: row → label.
        spent: on all labels so far, in cost units.
    """

    pool: Mapping[int, Label]
    asked_in_vain: Set[int]
    drafted: Set[int]
    draft_weight: float
    validation: Mapping[int, Label]
    spent: float

    @property
    def settled(self) -> int:
        """Labels of the pool that are no drafts."""
        return len(self.pool) - len(self.drafted)

    def of(self, data: PoolData, round: int, seed: int) -> FitData:
        """What the fit reads, with a seed of its own, which follows from that of the run."""
        own_seed = int(np.random.SeedSequence([seed, round]).generate_state(1)[0])
        pool = data.pool.with_labels(self.pool, self.asked_in_vain, self.drafted, self.draft_weight)
        return FitData(data, pool, self.validation, own_seed)


def buy(ledger: Ledger, annotators: Annotators, data: PoolData, round: int, seed: int) -> Labels:
    """Have what was asked for answered, and record the answers.

    Each answer that means something is recorded as it comes, whatever is wrong with others: it was paid for.

    Raises:
        LabelsPending: answers are missing.
        UserError: an answer is wrong.
    """
    settled = ledger.fit_has_begun(round) and bool(ledger.labeled("pool", round))
    oracle, drafts = annotators.oracle, annotators.drafts
    if not settled:
        if drafts is not None and annotators.drafts_desk is not None:
            _take_drafts(drafts, annotators.drafts_desk, ledger, round, len(data.pool), seed)
        answer_known(ledger, oracle, data, round)
        _take_from(oracle, annotators.desk, round)
        if not ledger.pending(round):
            ledger.begin_fit(round)
    if not ledger.fit_has_begun(round):
        raise LabelsPending(_waiting(ledger, oracle, data, round))
    answers = ledger.answers(round)
    labels = annotators.aggregate(answers)
    known = {split: {row: label for (part, row), label in labels.items() if part == split} for split in SPLITS}
    asked = {q.row for q in ledger.asked() if q.split == "pool" and q.round <= round and q.policy != DRAFT}
    drafted = set() if drafts is None else {row for row in known["pool"] if not drafts.others(answers["pool", row])}
    weight = 1.0 if drafts is None else drafts.weight
    pool = data.pool.with_labels(known["pool"], asked - known["pool"].keys(), drafted, weight)
    pool = without_harmful_drafts(data, pool)
    learned = pool.labels, pool.asked_in_vain, pool.drafted, pool.draft_weight
    return Labels(*learned, known["validation"], ledger.spent_by(round))


def _take_drafts(drafts: Drafts, desk: Desk, ledger: Ledger, round: int, rows: int, seed: int) -> None:
    """Ask for drafts and record them until all are there, or some that were asked for do not come.

    Raises:
        LabelsPending: such are missing.
    """
    while True:
        _take_from(drafts.annotator, desk, round)
        if missing := len(desk.waiting(round=round)):
            raise LabelsPending(f"{drafts.annotator.annotator} left {missing} drafts out; the same command asks again")
        if not drafts.ask(ledger, round, rows, seed):
            return


def _take_from(oracle: Oracle, desk: Desk, round: int) -> None:
    """Ask an oracle for what it has not answered, and record what it says."""
    waiting, wrong = desk.waiting(round=round), list[str]()
    for answer in _each(oracle.label(waiting)) if waiting else []:
        try:
            desk.take([answer])
        except ValueError as error:
            wrong.append(f"{oracle.annotator}: {error}")
    if wrong:
        raise UserError(wrong[0] + (f" (and {len(wrong) - 1} more answers are wrong)" if wrong[1:] else ""))


def _waiting(ledger: Ledger, oracle: Oracle, data: PoolData, round: int) -> str:
    """What to do about the answers that are missing."""
    pending = ledger.pending(round)
    asked = max(len(ledger.asked(round)), len(pending))
    told = oracle.waiting(round, asked - len(pending), asked)
    answered = ledger.answers(round).keys() if data.wanted else ()
    again = sum((query.split, query.row) in answered for query in pending)
    return told + (f"; {again} of these want the answer of another annotator" if again else "")


def _each(answers: Mapping[str, Any] | Iterable[tuple[str, Any] | Answer]) -> Iterator[Answer]:
    for answer in answers.items() if isinstance(answers, Mapping) else answers:
        yield answer if isinstance(answer, Answer) else Answer(*answer)


def take_answers(desk: Desk, oracle: Oracle, labels: Mapping[str, Any], annotator: str | None) -> None:
    """Record answers by the id of their question, all or none; see `ActiveLearning.answer`."""
    given = {name: each if isinstance(each, Answer) else Answer(name, each) for name, each in labels.items()}
    try:
        desk.take([replace(each, id=name, annotator=each.annotator or annotator) for name, each in given.items()])
    except ValueError as error:
        raise UserError(f"{annotator or oracle.annotator}: {error}") from error


def answer_known(ledger: Ledger, oracle: Oracle, data: PoolData, round: int) -> None:
    """Take the labels that came with the data, but for an oracle that wants to be asked for all."""
    if not oracle.answers_known:
        known = data.known_labels()
        asked = [query for query in ledger.pending(round) if query.policy != DRAFT]
        found = {(q.split, q.row): known[q.split][q.row] for q in asked}
        ledger.answer({where: label for where, label in found.items() if label is not None}, GoldOracle.annotator)


def tell_of_changes(ledger: Ledger, data: PoolData) -> None:
    """A label that came with the data is bought: who corrects it there later shall know that it stays."""
    known = data.known_labels()
    changed = [
        where
        for where, answers in ledger.answers().items()
        for answer in answers
        if answer.annotator == GoldOracle.annotator
        and (now := known[where[0]][where[1]]) is not None
        and written(now) != written(answer.label)
    ]
    if changed:
        more = f" (and {len(changed) - 1} more)" if changed[1:] else ""
        text = data.question(*changed[0])["text"][:80]
        log.warning("data: %r had another label when it was bought%s: the run keeps that one", text, more)
