"""The books of a run: its ledger, as the acquisition sees it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from lit_react.acquisition.learner import Money
from lit_react.annotation.ledger import DRAFT, Ledger, Query
from lit_react.core.processes import from_first
from lit_react.data.pool_data import PoolData


class LedgerBooks:
    """Reads the money from the ledger and writes queries into it; of several processes the first one does.

    Args:
        budget: in cost units.
        texts: say how many annotators answer a row.

    Attributes:
        ledger: of the run, in the first process alone.
    """

    ledger: Ledger

    def __init__(self, budget: float, texts: PoolData) -> None:
        self.budget, self.texts = budget, texts

    def money(self, round: int) -> Money:
        """What is left for the query of a round, and that query where it is there already: then it stands."""
        return from_first(lambda: self._money(round))

    def _money(self, round: int) -> Money:
        left, at_first = self.ledger.left_for(round), self.ledger.left_for(1)
        return Money(
            budget=self.budget,
            left=left,
            paid=self.ledger.spent_by(round - 1),
            spent=1 - left / at_first if at_first else 1.0,
            asked=[query for query in self.ledger.asked(round) if query.policy != DRAFT],
        )

    def ask(self, round: int, queries: Sequence[Query]) -> None:
        """Write the query of a round."""
        from_first(lambda: self._ask(round, queries))

    def _ask(self, round: int, queries: Sequence[Query]) -> None:
        drafted = {query.row for query in self.ledger.asked() if query.policy == DRAFT}
        wanted = self.texts.answers_wanted
        self.ledger.ask(round, [replace(q, wanted=wanted(q.split, q.row), again=q.row in drafted) for q in queries])
