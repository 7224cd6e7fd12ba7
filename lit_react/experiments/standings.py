"""Tables of how each strategy fares: summary, area under the curve, calibration, what was run."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd

from lit_react.core import statistics
from lit_react.experiments.cells import CEILING, Grid
from lit_react.experiments.comparison import COLD, Comparison
from lit_react.experiments.tables import Table, bold_best, number

BELOW = 0.5
"""Points under the best fixed rule that count as a loss on a data set."""
REGIMES = (
    ("aulc", "all rounds", 0, np.inf),
    ("aulc-cold", f"rounds with at most {COLD} labels", 0, COLD),
    ("aulc-warm", f"rounds with more than {COLD} labels", COLD, np.inf),
)
"""Of the area under the curve: name and title of the table, labels above and up to which rounds count."""


def over_sets(comparison: Comparison, means: pd.DataFrame) -> pd.DataFrame:
    """Per strategy: mean over data sets, mean rank, worst regret, sets lost; NaN for those that miss a data set."""
    known = means[comparison.complete(means)]
    lacking = known.rsub(comparison.best_fixed(means), axis=0)
    table = {
        "mean": known.mean(),
        "rank": known.round(statistics.DIGITS).rank(axis=1, ascending=False).mean(),
        "regret": lacking.max(skipna=False),
        "lost": (lacking > BELOW).sum().where(lacking.notna().all()),
    }
    return pd.DataFrame(table, index=comparison.strategies, dtype=float)


def of_strategies(comparison: Comparison, columns: dict[str, pd.Series]) -> pd.DataFrame:
    """The frame of a table with a row per strategy, in the order of `strategies`."""
    return pd.DataFrame(columns, dtype=object).reindex(comparison.strategies).rename_axis("strategy")


def summary_table(comparison: Comparison) -> Table:
    """One row per strategy, one column per question."""
    overall = over_sets(comparison, comparison.means())
    columns = {"AULC": bold_best(overall["mean"])}
    for name, (_, _, above, up_to) in zip(("cold", "warm"), REGIMES[1:], strict=True):
        part = comparison.means(above=above, up_to=up_to)
        if len(part):
            columns[name] = bold_best(over_sets(comparison, part)["mean"])
    if comparison.has("macro_f1"):
        columns["F1"] = bold_best(over_sets(comparison, comparison.means("macro_f1"))["mean"])
    columns["rank"] = bold_best(overall["rank"], lowest=True)
    if comparison.roles.fixed:
        columns["worst regret"] = bold_best(overall["regret"], lowest=True)
        columns["sets lost"] = bold_best(overall["lost"], partial(number, digits=0), lowest=True)
    return Table(
        name="summary",
        caption=f"Area under the learning curve (AULC) of test {comparison.metric}, mean over data sets, in points",
        frame=of_strategies(comparison, columns),
        note=f"AULC: mean over the rounds. Cold: rounds with at most {COLD} labels; warm: with more. F1: AULC of "
        "macro-F1. Rank: mean over data sets, 1 is best. Worst regret: what the strategy lacks to the best fixed rule "
        f"on the data set where it lacks most. Sets lost: data sets where it lacks more than {BELOW} points.",
        focus=comparison.roles.focus,
    )


def aulc_table(comparison: Comparison, metric: str, name: str, regime: str, above: float, up_to: float) -> Table | None:
    """Strategies × data sets, with the best fixed rule in hindsight below; None if no round is in the regime."""
    scores = comparison.paired(comparison.scores(metric, above, up_to))
    if scores.empty:
        return None
    means, spreads = scores.groupby("data").mean(), scores.groupby("data").std()
    overall = over_sets(comparison, means)
    columns = {data: bold_best(means.loc[data], spread=spreads.loc[data]) for data in means.index}
    columns["mean"] = bold_best(overall["mean"])
    columns |= {column: bold_best(overall[column], lowest=True) for column in ("rank", "regret")}
    label = f"test {comparison.metric}" if metric == "score" else "test macro-F1"
    return Table(
        name=name,
        caption=f"AULC of {label}, {regime}",
        frame=pd.concat([of_strategies(comparison, columns), hindsight(comparison, scores)]).rename_axis("strategy"),
        note="Points: mean over the seeds that all strategies have, ± standard deviation over them. Regret: the worst "
        "one over data sets. Bold: best of the strategies. The best fixed rule in hindsight is picked per data set by "
        "the very numbers that it is then judged by, so noise flatters it; picked on the other seeds, it is not "
        "flattered.",
        focus=comparison.roles.focus,
    )


def hindsight(comparison: Comparison, scores: pd.DataFrame) -> pd.DataFrame:
    """The best fixed rule of each data set: a row for the one picked on all seeds, one for that on the other seeds."""
    fixed = [name for name in comparison.roles.fixed if name in scores]
    if not fixed:
        return pd.DataFrame()
    found = {}
    for data, part in scores.groupby("data"):
        rules = part[fixed].dropna(axis=1)
        others = statistics.held_out_best(rules.to_numpy()).mean() if rules.size and len(rules) > 1 else np.nan
        found[data] = [rules.mean().max() if rules.size else np.nan, others]
    rows = pd.DataFrame(found, index=["best fixed, in hindsight", "best fixed, picked on other seeds"])
    rows = rows.assign(mean=rows.mean(axis=1, skipna=False)).dropna(how="all").astype(object)
    return rows.assign(rank="", regret="")


def mean_curves(comparison: Comparison, data: str, metric: str = "score") -> pd.DataFrame:
    """Labels × strategies: mean over the common seeds of one data set."""
    curves = comparison.points[metric].loc[data].unstack("strategy")
    seeds = comparison.paired(comparison.scores(metric)).loc[data].index
    return curves.loc[curves.index.get_level_values("seed").isin(seeds)].groupby("labels").mean()


def calibration_table(comparison: Comparison) -> Table:
    """Expected calibration error after the last round per data set, and means."""
    last = pd.DataFrame({data: mean_curves(comparison, data, "ece").iloc[-1] for data in comparison.data}).T
    columns = {data: bold_best(last.loc[data], lowest=True) for data in last.index}
    columns["mean, last"] = bold_best(over_sets(comparison, last)["mean"], lowest=True)
    columns["mean, curve"] = bold_best(over_sets(comparison, comparison.means("ece"))["mean"], lowest=True)
    return Table(
        name="calibration",
        caption="Expected calibration error of the test predictions after the last round, in points",
        frame=of_strategies(comparison, columns),
        note="15 bins. “mean, last” is over data sets, “mean, curve” over all rounds as well. Bold: best.",
        focus=comparison.roles.focus,
    )


def protocol_table(grid: Grid) -> Table:
    """What was run, per data set; the ceiling left out."""
    cells = [cell for cell in grid.cells if cell.strategy != CEILING]
    labels = [[round["labeled"] for round in cell.rounds] for cell in cells]
    runs = pd.DataFrame(
        {
            "data": [cell.data for cell in cells],
            "strategy": [cell.strategy for cell in cells],
            "first": [counts[0] for counts in labels],
            "steps": [np.diff(counts).astype(int) if len(counts) > 1 else [0] for counts in labels],
            "last": [counts[-1] for counts in labels],
            "validation": [cell.rounds[0]["validation"] for cell in cells],
        }
    )

    def span(values: pd.Series) -> str:
        return " … ".join(str(value) for value in dict.fromkeys([values.min(), values.max()]))

    rows = {
        data: {
            "strategies": str(here["strategy"].nunique()),
            "seeds": span(here["strategy"].value_counts()),
            "first": span(here["first"]),
            "a round": span(here["steps"].explode()),
            "last": span(here["last"]),
            "validation": span(here["validation"]),
            "runs": str(len(here)),
            "missing": str(sum(name.split("/")[0] == data for name in grid.missing)),
        }
        for data, here in runs.groupby("data")
    }
    return Table(
        name="protocol",
        caption="What was run: numbers of strategies, seeds per strategy, labels, runs",
        frame=pd.DataFrame.from_dict(rows, orient="index").rename_axis("data"),
        note="First: labels of the first fit; a round: bought per round; last: labels of the last fit; validation: "
        "labels of the validation split, on top. Missing: runs that others have and this one lacks.",
    )
