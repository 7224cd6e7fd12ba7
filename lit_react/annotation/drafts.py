"""Labels that cost next to nothing and err: they are bought first, and people go over the texts that matter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lit_react.annotation.answers import Aggregate, Given, Label, Where
from lit_react.annotation.ledger import DRAFT, SLACK, Ledger, Query
from lit_react.annotation.oracles import Oracle
from lit_react.core.bounds import expect

SHARE = 0.1
"""Of the budget that all drafts together may cost."""


@dataclass(frozen=True)
class Drafts:
    """A cheap annotator that labels the pool before anybody else is asked, such as `LLM`.

    A fit learns drafts too, each weighing `weight`, of texts that nobody else has labeled; which texts are worth the
    price of a person is chosen among all of these, as ever, and whatever a person says of a text stands over its draft.
    Only the loss of one class a text reads the weight; in other tasks, and among varied texts, a draft weighs as much
    as a label.

    Args:
        annotator: who drafts.
        price: of a draft, in cost units, where the annotator does not tell the cost of its answers.
        most: texts that are drafted; null: as many as a tenth of the budget pays for.
        weight: of a draft in the loss, where a person's label weighs 1; see `docs/annotators.md` for what was measured.
    """

    annotator: Oracle
    price: float = 0.01
    most: int | None = None
    weight: float = 0.3

    def __post_init__(self) -> None:
        expect("rounds.drafts.price", self.price, at_least=0)
        expect("rounds.drafts.most", self.most or 0, at_least=0)
        expect("rounds.drafts.weight", self.weight, above=0)

    def ask(self, ledger: Ledger, round: int, rows: int, seed: int) -> None:
        """Ask for drafts of the rows of a pool that nobody was asked about, drawn by the seed where not all are paid.

        Args:
            ledger: of the run.
            round: the first whose fit may use them.
            rows: of the pool.
            seed: of the run.
        """
        asked = [query for query in ledger.asked() if query.split == "pool"]
        before = sum(query.cost for query in asked if query.policy == DRAFT)
        left = min(SHARE * ledger.budget - before, ledger.budget - ledger.spent) * (1 + SLACK)
        most = rows if self.price == 0 else max(0, int(left / self.price))
        if self.most is not None:
            most = min(most, self.most - sum(query.policy == DRAFT for query in asked))
        new = np.setdiff1d(np.arange(rows), [query.row for query in asked])
        if len(new) > max(most, 0):
            new = np.sort(np.random.default_rng([seed, 2**31 + 2]).permutation(new)[: max(most, 0)])
        if len(new):
            ledger.ask(round, [Query("pool", row, self.price, DRAFT) for row in new.tolist()])

    def under(self, aggregate: Aggregate) -> Aggregate:
        """The same aggregation, in which a draft stands only where nobody else has answered."""

        def aggregated(answers: Mapping[Where, Sequence[Given]]) -> dict[Where, Label]:
            return aggregate({where: self.others(given) or given for where, given in answers.items()})

        return aggregated

    def others(self, given: Sequence[Given]) -> list[Given]:
        """The answers that are no drafts."""
        return [each for each in given if each.annotator != self.annotator.annotator]
