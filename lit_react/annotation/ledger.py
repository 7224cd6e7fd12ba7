"""What was asked and what was answered: one file that outlives crashes and is the single truth of labels and money."""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any

from lit_react.annotation.answers import Aggregate, Given, Label, majority, written
from lit_react.annotation.ledger_file import LedgerFile
from lit_react.core.errors import UserError

SLACK = 1e-9  # relative to the budget: sums of floats are not exact
ASKED = """(SELECT split, row, SUM(wanted) AS wanted, MAX(cost / wanted) AS price FROM queries
    WHERE round <= :round GROUP BY split, row)"""
"""The rows that were asked up to a round, how many answers they want in all, and what one costs."""

STANDING = """(SELECT * FROM answers WHERE undo = 0 AND id IN
    (SELECT MAX(id) FROM answers WHERE id <= :last GROUP BY split, row, annotator))"""
"""What holds: the last answer of each annotator to each row, unless it takes back the one before."""

NO_END = 2**62

DRAFT = "draft"
"""The policy of queries that ask for drafts, see `Drafts`."""


@dataclass(frozen=True)
class Query:
    """One row whose label is asked for.

    Attributes:
        split: `pool` or `validation`.
        row: row relative to that split's table.
        cost: annotation cost of all answers that are wanted, in the units of the budget.
        policy: name of what chose it: `initial`, `validation`, `facility_location`, …
        q_value: what the Q-network promised of its batch; None where none was asked.
        wanted: how many annotators are to answer.
        again: whether this is a further opinion on a row that was asked before.
        round: in which it was asked, as the ledger tells.
    """

    split: str
    row: int
    cost: float
    policy: str
    q_value: float | None = None
    wanted: int = 1
    again: bool = False
    round: int = field(default=0, compare=False)


class Ledger(LedgerFile):
    """Queries in the order they were made, and every answer to them: nothing is ever changed or removed.

    What is asked is committed money until it is answered; then its answers have their own costs. A correction is a new
    answer of the same annotator; a skip is an answer without a label. One process writes, any number read; a second
    writer is refused. Whatever was recorded is on the disk when the call returns, and a call that raises recorded
    nothing. `run` names the run that the ledger was made for: no other ledger has that name.

    Args:
        path: the SQLite file; beside it a writer keeps an empty `<name>.lock`.
        budget: what all answers together may cost; may change when a ledger is opened again.
        fingerprint: names the data that the rows belong to; an existing ledger must have the same. None (`read_only`):
            whatever they are.
        grown_from: names of the same data before they had grown, see `LedgerFile`.
        read_only: see what is committed, create nothing, write nothing.

    Raises:
        UserError: the file is missing (`read_only`), no ledger, of other data, in use, or asked for more than `budget`.
    """

    def __init__(
        self,
        path: Path,
        *,
        budget: float,
        fingerprint: str | None,
        grown_from: Sequence[str] = (),
        read_only: bool = False,
    ) -> None:
        if not budget >= 0:
            raise UserError(f"budget: expected a number from 0 up, got {budget}")
        self.budget = float(budget)
        super().__init__(path, fingerprint, grown_from, read_only=read_only)
        asked = math.fsum(cost for (cost,) in self.select("SELECT cost FROM queries"))
        spent = min(asked, self.spent)  # answers that nobody asked for, or dearer ones, do not end a run
        if spent > self.budget * (1 + SLACK) and not read_only:
            self.close()
            raise UserError(
                f"rounds.budget {self.budget:g}: {self.path} already spent {spent:g}: expected at least that"
            )

    # ---- questions ------------------------------------------------------------------------------------------

    def ask(self, round: int, queries: Sequence[Query]) -> None:
        """Commit to buying labels, in this order; they are on the disk when this returns.

        `round` is the one whose fit first may use the labels; 0 for initial and validation labels.

        Raises:
            ValueError: a row was asked before and not `again`, or does not exist, a cost is negative, or the total
                exceeds the budget; nothing is recorded.
            UserError: the file cannot be written.
        """
        with self.transaction() as db:
            first = db.execute("SELECT COUNT(*) FROM queries WHERE round = ?", (int(round),)).fetchone()[0]
            rows = []
            for place, q in enumerate(queries, first):
                where = (q.split, int(q.row))
                known = db.execute("SELECT 1 FROM queries WHERE split = ? AND row = ?", where).fetchone() is not None
                if known and not q.again:
                    raise ValueError(f"round {round}: {q.split} row {q.row} is asked twice")
                q_value = None if q.q_value is None else float(q.q_value)
                rows.append((*where, int(round), place, int(q.wanted), float(q.cost), q.policy, q_value, _now()))
            try:
                db.executemany("INSERT INTO queries VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
            except sqlite3.IntegrityError as error:
                raise ValueError(f"round {round}: a row is asked twice or a value is out of range: {error}") from error
            of_round = math.fsum(
                cost for (cost,) in self.select("SELECT cost FROM queries WHERE round = :r", r=int(round))
            )
            total = min(self.spent, self.spent_by(int(round) - 1) + of_round)  # as `left_for` saw it, or as it is now
            if not total <= self.budget * (1 + SLACK):
                raise ValueError(f"round {round}: total cost {total:g} exceeds the budget {self.budget:g}")

    def pending(self, round: int) -> list[Query]:
        """Return what was asked up to a round and wants an answer still, in the order of asking."""
        return self._queries(
            f"""LEFT JOIN (SELECT split, row, COUNT(*) AS answers FROM {STANDING} GROUP BY split, row)
            USING (split, row) WHERE round <= :round AND COALESCE(answers, 0) < (SELECT SUM(wanted) FROM queries AS b
            WHERE b.split = queries.split AND b.row = queries.row AND b.round <= queries.round)""",
            round,
        )

    def asked(self, round: int | None = None) -> list[Query]:
        """Return what was asked in one round, answered or not, in the order of asking; None: in all rounds."""
        return self._queries("" if round is None else "WHERE round = :round", round or 0)

    def asked_of(self, split: str, row: int) -> list[Query]:
        """Return what was asked about a row, the first query first."""
        return self._queries("WHERE split = :split AND row = :row", 0, split=split, row=int(row))

    def _queries(self, condition: str, round: int, **values: str | int) -> list[Query]:
        first = "SELECT MIN(round) FROM queries AS f WHERE f.split = queries.split AND f.row = queries.row"
        columns = f"split, row, cost, policy, q_value, wanted, round > ({first}) AS again, round"
        query = f"SELECT {columns} FROM queries {condition} ORDER BY round, position"
        found = self.select(query, round=int(round), last=NO_END, **values)
        return [Query(**{**dict(row), "again": bool(row["again"])}) for row in found]

    # ---- answers --------------------------------------------------------------------------------------------

    def record(self, answers: Sequence[Given]) -> None:
        """Record answers, all or none; they are on the disk when this returns.

        One that says what its annotator said already changes nothing. Without a cost of its own, an annotator's first
        label of a row costs what was asked for, or a skip that names a new class; other skips and corrections nothing.

        Raises:
            ValueError: a row was not asked.
            UserError: the file cannot be written.
        """
        with self.transaction() as db:
            for answer in answers:
                where = (answer.split, int(answer.row))
                found = "SELECT MAX(cost / wanted) FROM queries WHERE split = ? AND row = ?"
                (price,) = db.execute(found, where).fetchone()
                if price is None:
                    raise ValueError(f"{answer.split} row {answer.row} was answered but never asked")
                before = [
                    _given(row)
                    for row in db.execute(
                        "SELECT * FROM answers WHERE split = ? AND row = ? AND annotator = ? ORDER BY id",
                        (*where, answer.annotator),
                    )
                ]
                if answer.says_the_same(before[-1] if before else None):
                    continue
                cost = answer.cost
                if cost is None:
                    says_nothing = answer.label is None and answer.new_class is None
                    free = says_nothing or any(earlier.cost for earlier in before)
                    cost = 0.0 if free else price
                label = None if answer.label is None else written(answer.label)
                measured = (float(cost), answer.seconds, answer.confidence, answer.note, _now())
                db.execute(
                    "INSERT INTO answers VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (*where, answer.annotator, label, int(answer.undo), *measured),
                )

    def answer(self, labels: Mapping[tuple[str, int], Label], annotator: str) -> None:
        """Record the labels of one annotator, (split, row) → label, see `record`."""
        self.record([Given(split, row, annotator, label) for (split, row), label in labels.items()])

    def answers(self, up_to_round: int | None = None) -> dict[tuple[str, int], list[Given]]:
        """Return the answers that hold: (split, row) → one for each annotator, the earliest first.

        Args:
            up_to_round: those that the fit of a round may use; once it has begun, what came later is not among them.
                None: all.
        """
        round = NO_END if up_to_round is None else int(up_to_round)
        found = self.select(
            f"SELECT a.* FROM {STANDING} AS a JOIN {ASKED} USING (split, row) ORDER BY split, row, id",
            round=round,
            last=self._last_of(round),
        )
        return {where: [*map(_given, rows)] for where, rows in groupby(found, lambda row: (row["split"], row["row"]))}

    def answers_of(self, split: str, row: int) -> list[Given]:
        """Return the answers that hold of one row, one for each annotator, the earliest first."""
        said = "SELECT * FROM answers WHERE split = :split AND row = :row ORDER BY id"
        given = map(_given, self.select(said, split=split, row=int(row)))
        last = {each.annotator: (number, each) for number, each in enumerate(given)}
        return [each for _, each in sorted(last.values(), key=lambda found: found[0]) if not each.undo]

    def history(self) -> list[Given]:
        """Return every answer ever given, corrected and undone ones too, in the order they came."""
        return [*map(_given, self.select("SELECT * FROM answers ORDER BY id"))]

    def begin_fit(self, round: int) -> None:
        """Remember what is answered now: the fit of a round learns this, whatever is corrected while it goes on.

        A fit that had begun without any label learns what there is by now.
        """
        if not self.fit_has_begun(round) or not self.labeled("pool", round):
            with self.transaction() as db:
                last = "SELECT COALESCE(MAX(id), 0) FROM answers"
                db.execute(f"INSERT OR REPLACE INTO fits SELECT ?, ({last})", (int(round),))

    def fit_has_begun(self, round: int) -> bool:
        """Whether it is settled what the fit of a round learns."""
        return self._last_of(round) < NO_END

    def _last_of(self, round: int) -> int:
        found = self.select("SELECT last_answer FROM fits WHERE round = :round", round=int(round))
        return int(found[0][0]) if found else NO_END

    def labeled(self, split: str, up_to_round: int, aggregate: Aggregate = majority) -> dict[int, Label]:
        """Return the rows of a split that the fit of a round may use: row → label, rows ascending."""
        labels = aggregate(self.answers(up_to_round))
        return {row: label for (part, row), label in labels.items() if part == split}

    # ---- money ----------------------------------------------------------------------------------------------

    @property
    def spent(self) -> float:
        """Cost of all answers, and of those that are wanted still."""
        return self.spent_by(NO_END)

    def spent_by(self, round: int) -> float:
        """Cost of all that was asked up to a round; once its fit has begun, of all that was answered before it."""
        last = self._last_of(round)
        paid = self.select(
            f"SELECT a.cost FROM answers AS a JOIN {ASKED} USING (split, row) WHERE id <= :last",
            round=int(round),
            last=last,
        )
        if last < NO_END:
            return math.fsum(cost for (cost,) in paid)
        open_ = self.select(
            f"""SELECT price, wanted - COUNT(s.id) FROM {ASKED} LEFT JOIN {STANDING} AS s USING (split, row)
            GROUP BY split, row HAVING wanted > COUNT(s.id)""",
            round=int(round),
            last=last,
        )
        return math.fsum([*(cost for (cost,) in paid), *(price * missing for price, missing in open_)])

    def left_for(self, round: int) -> float:
        """What is left of the budget for the query of a round, never below 0; later rounds' queries don't count."""
        return max(0.0, self.budget - self.spent_by(round - 1))

    def purchases(self, aggregate: Aggregate = majority) -> list[dict[str, Any]]:
        """Return one dict a query, in the order of asking; `label` None where none is known, `cost` what was paid."""
        answers, paid = self.answers(), dict[tuple[str, int], float]()
        labels = aggregate(answers)
        for given in self.history():
            paid[given.split, given.row] = paid.get((given.split, given.row), 0.0) + (given.cost or 0.0)
        rows = []
        for entry in map(dict, self.select("SELECT * FROM queries ORDER BY round, position")):
            where = entry["split"], entry["row"]
            all_given = answers.get(where, [])
            known = {"label": labels.get(where), "cost": paid.get(where, entry["cost"])}
            annotators = ", ".join(each.annotator for each in all_given) or None
            rows.append(
                entry | known | {"annotator": annotators, "answered_at": all_given[-1].at if all_given else None}
            )
        return rows


def _given(row: sqlite3.Row) -> Given:
    names = "split", "row", "annotator", "cost", "seconds", "confidence", "note"
    known = {name: row[name] for name in names}
    return Given(**known, label=json.loads(row["label"] or "null"), undo=bool(row["undo"]), at=row["answered_at"])


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
