"""The numbers of a comparison: the cells of a grid brought into one shape, and what follows from them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations

import numpy as np
import pandas as pd

from lit_react.acquisition.strategies import STRATEGIES
from lit_react.core import statistics
from lit_react.core.errors import UserError
from lit_react.experiments.cells import CEILING, Cell
from lit_react.experiments.points import tidy_points

SEED = 20
"""Of the resamples."""
COLD = 128
"""Labels up to which a round counts as cold."""


@dataclass(frozen=True)
class Roles:
    """Which strategies the report speaks of."""

    focus: str  # the one that is compared with every other
    reference: str | None  # the one that the focus may be equivalent to; None if the grid has none
    baseline: str | None  # the one whose last score sets the target of label efficiency; None if the grid has none
    fixed: list[str]  # the fixed rules, of which the best on a data set is the mark there


def choose_roles(
    strategies: list[str], focus: str, reference: str, baseline: str, fixed: list[str] | None = None
) -> Roles:
    """The roles of those strategies that the grid has; a `UserError` where it has not the focus or a fixed rule."""
    known = ", ".join(strategies)
    if focus not in strategies:
        raise UserError(f"focus: {focus} has no finished run, expected one of {known}")
    for name in fixed or []:
        if name not in strategies:
            raise UserError(f"fixed: {name} has no finished run, expected some of {known}")
    others = [name for name in strategies if name not in (focus, reference)]
    others = [name for name in others if name in STRATEGIES] or others
    return Roles(
        focus=focus,
        reference=reference if reference in strategies and reference != focus else None,
        baseline=baseline if baseline in strategies else None,
        fixed=sorted(set(fixed)) if fixed else others,
    )


@dataclass(frozen=True)
class Difference:
    """How two strategies differ in area under the curve, in points, over the pairs (data set, seed) of both."""

    first: str  # a strategy
    second: str  # another one
    pairs: int  # how many
    sets: int  # on how many data sets
    mean: float  # of first − second
    wins: float  # share of the pairs that the first wins
    p: float  # of the Wilcoxon signed-rank test
    adjusted: float  # p after Holm's adjustment over the family that was asked about
    paired: tuple[float, float]  # 95 % interval, pairs resampled
    clustered: tuple[float, float]  # 95 % interval, data sets resampled with all their pairs

    def reversed(self) -> Difference:
        """The same, seen from the second strategy."""
        return replace(
            self,
            first=self.second,
            second=self.first,
            mean=-self.mean,
            wins=1 - self.wins,
            paired=(-self.paired[1], -self.paired[0]),
            clustered=(-self.clustered[1], -self.clustered[0]),
        )


@dataclass(frozen=True)
class Comparison:
    """What the tables and figures read."""

    points: pd.DataFrame  # the frame of `Points`, without the strategy `full`
    roles: Roles  # of the strategies
    ceilings: dict[str, float]  # per data set, the mean last score of `full` in points; empty where it did not run
    read_off: int  # see `Points`
    by_cost: list[str]  # see `Points`
    apart: list[str]  # data sets that are left out, as no seed is common to all strategies there
    metric: str = "accuracy"  # what the score is: the task's metric, by name where all data sets have the same

    @cached_property
    def data(self) -> list[str]:
        """Names of the data sets."""
        return sorted(self.points.index.unique("data"))

    @cached_property
    def strategies(self) -> list[str]:
        """All, the best by mean area under the curve first, those that miss a data set last."""
        means = self.means()
        complete = means[self.complete(means)].mean()
        rest = sorted(set(self.points.index.unique("strategy")) - set(complete.index))
        return [*sorted(complete.index, key=lambda name: (-round(complete[name], statistics.DIGITS), name)), *rest]

    def has(self, metric: str) -> bool:
        """Whether every cell has it."""
        return metric in self.points and bool(self.points[metric].notna().all())

    def scores(self, metric: str = "score", above: float = 0, up_to: float = np.inf) -> pd.DataFrame:
        """Area under the curve, the mean over the rounds within the label counts: (data, seed) × strategy.

        Sets that are compared by cost have no label counts: they are in the area of all rounds alone.
        """
        labels = self.points.index.get_level_values("labels")
        within = (labels > above) & (labels <= up_to)
        if above > 0 or up_to < np.inf:
            within &= ~self.points.index.get_level_values("data").isin(self.by_cost)
        chosen = self.points.loc[within, metric]
        return chosen.groupby(["data", "seed", "strategy"]).mean().unstack("strategy").sort_index()

    def paired(self, scores: pd.DataFrame) -> pd.DataFrame:
        """The rows of those seeds that all strategies of a data set have in common."""
        if scores.empty:
            return scores
        known, sets = scores.notna(), scores.index.get_level_values("data")
        there = known.groupby("data").any().reindex(sets).to_numpy()
        return scores[(known.to_numpy() | ~there).all(axis=1)]

    def means(self, metric: str = "score", above: float = 0, up_to: float = np.inf) -> pd.DataFrame:
        """Mean over the common seeds of `scores`: data × strategy."""
        return self.paired(self.scores(metric, above, up_to)).groupby("data").mean()

    def complete(self, means: pd.DataFrame) -> list[str]:
        """The strategies that have every data set; only they have a mean and a rank over data sets."""
        return sorted(means.columns[means.notna().all()]) if len(means) else []

    def best_fixed(self, means: pd.DataFrame) -> pd.Series:
        """Per data set, the mean of the fixed rule that is best there; NaN without one."""
        return means.reindex(columns=self.roles.fixed).max(axis=1)

    def differences(self, metric: str = "score") -> list[Difference]:
        """Of all pairs of strategies, in the order of `strategies`, Holm's adjustment over all of them."""
        scores = self.scores(metric)
        found = [difference(scores, first, second) for first, second in combinations(sorted(scores.columns), 2)]
        rank = self.strategies.index
        turned = [pair if rank(pair.first) < rank(pair.second) else pair.reversed() for pair in found if pair]
        return adjust(sorted(turned, key=lambda pair: (rank(pair.first), rank(pair.second))))


def difference(scores: pd.DataFrame, first: str, second: str) -> Difference | None:
    """The difference over the pairs that both have, not adjusted; None if there are none."""
    both = scores[[first, second]].dropna()
    if both.empty:
        return None
    differences = (both[first] - both[second]).to_numpy()
    sets = both.index.get_level_values("data").tolist()
    p = statistics.wilcoxon(differences)
    return Difference(
        first=first,
        second=second,
        pairs=len(differences),
        sets=len(set(sets)),
        mean=float(differences.mean()),
        wins=statistics.win_share(differences),
        p=p,
        adjusted=p,
        paired=statistics.bootstrap_interval(differences, np.random.default_rng(SEED)),
        clustered=statistics.bootstrap_interval(differences, np.random.default_rng(SEED), clusters=sets),
    )


def adjust(family: list[Difference]) -> list[Difference]:
    """Holm's adjustment over these pairs."""
    adjusted = statistics.holm([pair.p for pair in family])
    return [replace(pair, adjusted=float(p)) for pair, p in zip(family, adjusted, strict=True)]


def without_common_seed(cells: list[Cell]) -> list[str]:
    """Data sets on which no seed was finished by all the strategies that are there."""
    runs = pd.DataFrame([(cell.data, cell.seed, cell.strategy) for cell in cells], columns=["data", "seed", "strategy"])
    finished = runs.groupby(["data", "seed"])["strategy"].nunique().groupby("data").max()
    there = runs.groupby("data")["strategy"].nunique()
    return sorted(there.index[finished < there])


def compare_grid(
    cells: list[Cell], focus: str, reference: str, baseline: str, fixed: list[str] | None = None
) -> Comparison:
    """The comparison of a grid's cells; for the roles, see `choose_roles`.

    A `UserError` says that no seed is common to the strategies of any data set, or that a cell has no test result.
    """
    compared = [cell for cell in cells if cell.strategy != CEILING]
    apart = without_common_seed(compared)
    compared = [cell for cell in compared if cell.data not in apart]
    if not compared:
        raise UserError("no data set has a seed that all its strategies have finished, expected one at least")
    strategies = sorted({cell.strategy for cell in compared})
    roles = choose_roles(strategies, focus, reference, baseline, fixed)
    points = tidy_points(compared)
    full = [(c.data, 100 * c.rounds[-1]["metrics"][f"test/{c.metric}"]) for c in cells if c.strategy == CEILING]
    ceilings = pd.DataFrame(full, columns=["data", "last"]).groupby("data")["last"].mean().to_dict()
    metrics = {cell.metric for cell in compared}
    metric = metrics.pop() if len(metrics) == 1 else "score (each task's metric)"
    return Comparison(points.frame, roles, ceilings, points.read_off, points.by_cost, apart, metric)
