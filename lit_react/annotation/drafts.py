"""Labels that cost next to nothing and err: they are bought first, and people go over the texts that matter."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lit_react.annotation.answers import Aggregate, Given, Label, Where
from lit_react.annotation.label_errors import L2, out_of_fold
from lit_react.annotation.ledger import DRAFT, SLACK, Ledger, Query
from lit_react.annotation.oracles import Oracle
from lit_react.core.bounds import expect
from lit_react.core.logistic_regression import LinearClassifier, fit_logistic_regression

SHARE = 0.1
"""Of the budget that all drafts together may cost."""

FEWEST = 20
"""Labels of people from which on they may say that drafts do harm."""

MOST = 1_000
"""Drafts that are looked at for that; of more, as many are drawn."""

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Drafts:
    """A cheap annotator that labels the pool before anybody else is asked, such as `LLM`.

    A fit learns drafts too, each weighing `weight`, of texts that nobody else has labeled; which texts are worth the
    price of a person is chosen among all of these, as ever, and whatever a person says of a text stands over its draft.
    Where labels are one class each, a fit goes without drafts if people's labels say that these do harm, see
    `right_by_folds`.
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

    def ask(self, ledger: Ledger, round: int, rows: int, seed: int) -> bool:
        """Ask for the next drafts of rows that nobody was asked about, in an order drawn by the seed.

        As many as there are already, so that what they really cost is known before many are asked for.

        Args:
            ledger: of the run.
            round: the first whose fit may use them.
            rows: of the pool.
            seed: of the run.

        Returns:
            whether there are any: all rows are asked for, or what is paid for.
        """
        asked = [query for query in ledger.asked() if query.split == "pool"]
        costs = [query.cost for query in asked if query.policy == DRAFT]
        paid = math.fsum(g.cost or 0.0 for g in ledger.history() if g.annotator == self.annotator.annotator)
        price = max(self.price, paid / max(len(costs), 1))
        left = min(SHARE * ledger.budget - max(paid, math.fsum(costs)), ledger.budget - ledger.spent)
        most = rows if price == 0 else int(left * (1 + SLACK) / price)
        if self.most is not None:
            most = min(most, self.most - len(costs))
        order = np.random.default_rng([seed, 2**31 + 2]).permutation(rows)
        new = order[~np.isin(order, [query.row for query in asked])][: max(0, min(most, len(costs) or 1))]
        if len(new):
            ledger.ask(round, [Query("pool", row, self.price, DRAFT) for row in np.sort(new).tolist()])
        return len(new) > 0

    def under(self, aggregate: Aggregate) -> Aggregate:
        """The same aggregation, in which a draft stands only where nobody else has answered."""

        def aggregated(answers: Mapping[Where, Sequence[Given]]) -> dict[Where, Label]:
            return aggregate({where: self.others(given) or given for where, given in answers.items()})

        return aggregated

    def others(self, given: Sequence[Given]) -> list[Given]:
        """The answers that are no drafts."""
        return [each for each in given if each.annotator != self.annotator.annotator]


def right_by_folds(
    embeddings: NDArray[np.float32], labels: Rows, drafted: NDArray[np.bool_], num_classes: int, weight: float
) -> tuple[int, int]:
    """How many of people's labels, held out over five folds, are told right with drafts and without.

    It is told by logistic regression on the pretrained encoder's embeddings.

    Args:
        embeddings: float32 [n, d], of unit length, of people's rows and drafted ones.
        labels: int64 [n], class ids.
        drafted: bool [n], which are drafts; people's are `FEWEST` at least.
        num_classes: C.
        weight: of a draft in the loss.

    Returns:
        right with drafts, right without.
    """
    features, truth = embeddings[~drafted], labels[~drafted]
    drafts, their = embeddings[drafted], labels[drafted]

    def with_drafts(seen: NDArray[np.float32], known: Rows) -> LinearClassifier:
        both, classes = np.concatenate([seen, drafts]), np.concatenate([known, their])
        weights = np.repeat(np.asarray([1.0, weight], dtype=np.float32), [len(seen), len(drafts)])
        return fit_logistic_regression(both, classes, num_classes, L2, weights=weights)

    found = (out_of_fold(features, truth, num_classes, fit) for fit in (with_drafts, None))
    right = [int((each.argmax(axis=1) == truth).sum()) for each in found]
    return right[0], right[1]
