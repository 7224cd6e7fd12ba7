"""Tables by number of labels: where a grid has few of them, each is a question of its own."""

from __future__ import annotations

import pandas as pd

from lit_react.experiments.comparison import Comparison, Difference, adjust, difference
from lit_react.experiments.pairs import ALPHA
from lit_react.experiments.standings import of_strategies
from lit_react.experiments.tables import Entry, Table, bold_best, number, probability

MOST = 6
"""Label counts up to which there are tables."""


def label_counts(comparison: Comparison) -> list[int]:
    """The label counts that all data sets have; empty where they differ, are more than `MOST`, or are costs."""
    if comparison.by_cost:
        return []
    by_set = {tuple(part.index.unique("labels")) for _, part in comparison.points.groupby("data")}
    counts = [int(count) for count in by_set.pop()] if len(by_set) == 1 else []
    return sorted(counts) if len(counts) <= MOST else []


def scores_at(comparison: Comparison, count: int) -> pd.DataFrame:
    """Scores of one label count: (data, seed) × strategy."""
    return comparison.scores(above=count - 1, up_to=count)


def counts_table(comparison: Comparison, counts: list[int]) -> Table:
    """Mean over data sets at each label count."""
    columns = {}
    for count in counts:
        means = comparison.paired(scores_at(comparison, count)).groupby("data").mean()
        columns[f"{count} labels"] = bold_best(means[comparison.complete(means)].mean())
    return Table(
        name="counts",
        caption=f"Test {comparison.metric} by number of labels, mean over data sets, in points",
        frame=of_strategies(comparison, columns),
        note="Bold: the best of a column.",
        focus=comparison.roles.focus,
    )


def differences_at(comparison: Comparison, counts: list[int]) -> dict[tuple[str, int], Difference]:
    """Focus − other at each label count, Holm's adjustment over all of them; by (other, count)."""
    focus = comparison.roles.focus
    others = [name for name in comparison.strategies if name != focus]
    found = {(other, n): difference(scores_at(comparison, n), focus, other) for other in others for n in counts}
    known = {key: pair for key, pair in found.items() if pair is not None}
    return dict(zip(known, adjust(list(known.values())), strict=True))


def count_differences_table(comparison: Comparison, counts: list[int]) -> Table:
    """The focus against every other strategy, at each label count."""
    pairs = differences_at(comparison, counts)
    shown = pd.Series({key: _entry(comparison, pair, key[1]) for key, pair in pairs.items()}, dtype=object)
    frame = shown.unstack(sort=False).reindex(columns=counts) if pairs else pd.DataFrame(columns=counts)
    return Table(
        name="count-differences",
        caption=f"{comparison.roles.focus} − the other strategy at each number of labels, in points",
        frame=frame.add_suffix(" labels").rename_axis("other"),
        note="Mean over (data set, seed) pairs; in brackets the lowest mean of a data set; p of Wilcoxon's signed-rank "
        f"test over the pairs with Holm's adjustment over the whole table ({len(pairs)}). Bold: p below {ALPHA}.",
    )


def _entry(comparison: Comparison, pair: Difference, count: int) -> Entry:
    both = scores_at(comparison, count)[[pair.first, pair.second]].dropna()
    lowest = (both[pair.first] - both[pair.second]).groupby("data").mean().min()
    shown = number(pair.mean, digits=1, signed=True).text
    p = probability(pair.adjusted).text
    return Entry(shown, f"({number(lowest, digits=1, signed=True).text}; p {p})", bold=pair.adjusted < ALPHA)
