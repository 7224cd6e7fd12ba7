"""Tables of how each strategy fares: summary, area under the curve, labels to a target, calibration, protocol."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from lit_react.core import statistics
from lit_react.experiments.comparison import CEILING, COLD, Comparison
from lit_react.experiments.tables import Entry, Table, number
from lit_react.run.results import Cell

TARGET = 0.95  # share of the reference score that label efficiency asks for
BELOW = 0.5  # points under the best fixed rule that count as a loss on a data set
REGIMES = (
    ("aulc", "all rounds", 0, np.inf),
    ("aulc-cold", f"rounds with at most {COLD} labels", 0, COLD),
    ("aulc-warm", f"rounds with more than {COLD} labels", COLD, np.inf),
)


def bold_best(values: pd.Series, show: Callable[[float], Entry], highest: bool = True) -> dict[str, Entry]:
    """An entry per strategy, bold where the value as shown is the best."""
    entries = {name: show(value) for name, value in values.items()}
    known = values.dropna()
    if len(known) < 2:
        return entries
    best = entries[known.idxmax() if highest else known.idxmin()].text
    return {name: Entry(entry.text, entry.spread, bold=entry.text == best) for name, entry in entries.items()}


def over_sets(comparison: Comparison, means: pd.DataFrame) -> pd.DataFrame:
    """Per strategy: mean over data sets, mean rank, worst regret, sets lost; NaN for those that miss a data set."""
    names = comparison.complete(means)
    table = pd.DataFrame(np.nan, index=comparison.strategies, columns=["mean", "rank", "regret", "lost"])
    if names:
        values, best = means[names].to_numpy(), comparison.best_fixed(means).to_numpy()
        lacking = best[:, None] - values
        table.loc[names, "mean"] = values.mean(axis=0)
        table.loc[names, "rank"] = statistics.mean_rank(values)
        table.loc[names, "regret"] = statistics.worst_regret(values, best)
        table.loc[names, "lost"] = np.where(np.isnan(lacking).any(axis=0), np.nan, (lacking > BELOW).sum(axis=0))
    return table


def summary_table(comparison: Comparison) -> Table:
    """One row per strategy, one column per question."""
    means = comparison.means()
    overall = over_sets(comparison, means)
    columns = {"AULC": bold_best(overall["mean"], number)}
    for name, (_, _, above, up_to) in zip(("cold", "warm"), REGIMES[1:], strict=True):
        part = comparison.means(above=above, up_to=up_to)
        if len(part):
            columns[name] = bold_best(over_sets(comparison, part)["mean"], number)
    if comparison.has("macro_f1"):
        columns["F1"] = bold_best(over_sets(comparison, comparison.means("macro_f1"))["mean"], number)
    columns["rank"] = bold_best(overall["rank"], number, highest=False)
    if comparison.roles.fixed:
        columns["worst regret"] = bold_best(overall["regret"], number, highest=False)
        columns["sets lost"] = bold_best(overall["lost"], lambda value: number(value, digits=0), highest=False)
    return Table(
        name="summary",
        caption=f"Area under the learning curve (AULC) of test {comparison.metric}, mean over data sets, in points",
        header=["strategy", *columns],
        rows=[[name, *(column[name] for column in columns.values())] for name in comparison.strategies],
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
    columns = []
    for data in means.index:
        best = bold_best(means.loc[data], number)
        spread = {name: number(means.loc[data, name], spread=spreads.loc[data, name]).spread for name in best}
        columns.append({name: Entry(entry.text, spread[name], entry.bold) for name, entry in best.items()})
    columns += [
        bold_best(overall["mean"], number),
        bold_best(overall["rank"], number, highest=False),
        bold_best(overall["regret"], number, highest=False),
    ]
    rows = [
        [Entry(strategy), *(column.get(strategy, Entry("–")) for column in columns)]
        for strategy in comparison.strategies
    ]
    label = f"test {comparison.metric}" if metric == "score" else "test macro-F1"
    return Table(
        name=name,
        caption=f"AULC of {label}, {regime}",
        header=["strategy", *means.index, "mean", "rank", "regret"],
        rows=[*rows, *hindsight_rows(comparison, scores)],
        note="Points: mean over the seeds that all strategies have, ± standard deviation over them. Regret: the worst "
        "one over data sets. Bold: best of the strategies. The best fixed rule in hindsight is picked per data set by "
        "the very numbers that it is then judged by, so noise flatters it; picked on the other seeds, it is not "
        "flattered.",
        focus=comparison.roles.focus,
    )


def hindsight_rows(comparison: Comparison, scores: pd.DataFrame) -> list[list[Entry]]:
    """The best fixed rule of each data set: picked on all seeds, and for each seed on the others."""
    fixed = [name for name in comparison.roles.fixed if name in scores]
    if not fixed:
        return []
    picked, held_out = [], []
    for _, part in scores.groupby("data"):
        rules = part[fixed].dropna(axis=1)
        picked.append(rules.mean().max() if rules.size else np.nan)
        held_out.append(statistics.held_out_best(rules.to_numpy()).mean() if rules.size and len(rules) > 1 else np.nan)

    def row(name: str, values: list[float]) -> list[Entry]:
        return [Entry(name), *map(number, values), number(float(np.mean(values))), Entry(""), Entry("")]

    rows = [row("best fixed, in hindsight", picked)]
    return rows if np.isnan(held_out).all() else [*rows, row("best fixed, picked on other seeds", held_out)]


def mean_curves(comparison: Comparison, data: str, metric: str = "score") -> pd.DataFrame:
    """Labels × strategies: mean over the common seeds of one data set."""
    curves = comparison.points[metric].loc[data].unstack("strategy")
    seeds = comparison.paired(comparison.scores(metric)).loc[data].index
    return curves.loc[curves.index.get_level_values("seed").isin(seeds)].groupby("labels").mean()


def targets(comparison: Comparison) -> pd.Series:
    """Per data set, the score in points to be reached; NaN where there is nothing to derive it from."""
    found = dict.fromkeys(comparison.data, np.nan)
    for data in comparison.data:
        if data in comparison.ceilings:
            found[data] = TARGET * comparison.ceilings[data]
        elif comparison.roles.baseline in (curves := mean_curves(comparison, data)):
            found[data] = TARGET * curves[comparison.roles.baseline].iloc[-1]
    return pd.Series(found)


def labels_needed(comparison: Comparison, wanted: pd.Series) -> pd.DataFrame:
    """Strategies × data sets: labels to the target, infinity if it is not reached, NaN without a curve."""
    needed = {}
    for data, target in wanted.items():
        curves = mean_curves(comparison, data).dropna(axis=1)
        labels = curves.index.to_numpy(dtype=float)
        needed[data] = {name: statistics.labels_to_reach(labels, curves[name].to_numpy(), target) for name in curves}
    return pd.DataFrame(needed, index=comparison.strategies)


def efficiency_table(comparison: Comparison) -> Table | None:
    """Labels to the target, strategies × data sets; None without a reference."""
    wanted, baseline = targets(comparison).dropna(), comparison.roles.baseline
    if wanted.empty:
        return None
    needed = labels_needed(comparison, wanted)
    columns: dict[str, dict[str, Entry]] = {}
    for data, counts in needed.items():
        labels = comparison.points.loc[data].index.unique("labels")
        columns[str(data)] = _counts(counts, labels.min(), labels.max())
    counted = needed.drop(columns=comparison.by_cost, errors="ignore")  # costs have validation labels in them
    if baseline and len(counted.columns):
        reached = counted.loc[:, np.isfinite(counted.loc[baseline])]
        ratios = (reached / reached.loc[baseline]).median(axis=1).replace(np.inf, np.nan)
        columns[f"/ {baseline}"] = bold_best(ratios, lambda value: number(value, digits=2), highest=False)
    goal: list[Entry | str] = ["target, %", *(number(wanted.get(name, np.nan)) for name in columns)]
    rows = [[Entry(name), *(column[name] for column in columns.values())] for name in comparison.strategies]
    return Table(
        name="efficiency",
        caption=f"Labels needed for {100 * TARGET:.0f} % of a reference {comparison.metric}",
        header=["strategy", *columns],
        rows=[goal, *rows],
        note=f"Reference: {_reference(comparison, wanted)}. Read off the mean curve over seeds, linear between rounds, "
        "where it first reaches the target. “> n”: not reached with n labels; “≤ n”: reached in the first round."
        + (
            f" Last column: labels relative to those of {baseline}, median over data sets; “–” if mostly not reached."
            if baseline and len(counted.columns)
            else ""
        ),
        focus=comparison.roles.focus,
    )


def _counts(counts: pd.Series, first: int, last: int) -> dict[str, Entry]:
    best = counts.min() if counts.notna().sum() > 1 else np.nan
    entries = {}
    for name, count in counts.items():
        text = "–" if np.isnan(count) else f"> {_amount(last)}" if np.isinf(count) else _amount(count)
        reached = np.isfinite(count) and np.isfinite(best) and _amount(count) == _amount(best)
        entries[str(name)] = Entry(f"≤ {text}" if count == first else text, bold=bool(reached))
    return entries


def _amount(value: float) -> str:
    """Labels; or cost units, which may be small."""
    return f"{value:.0f}" if value >= 10 else f"{value:.3g}"


def _reference(comparison: Comparison, wanted: pd.Series) -> str:
    baseline, by_full = comparison.roles.baseline, [data for data in wanted.index if data in comparison.ceilings]
    parts = [f"the {comparison.metric} with all labels ({', '.join(by_full)})"] if by_full else []
    if len(by_full) < len(wanted):
        parts.append(f"the {comparison.metric} of {baseline} after its last round, as {CEILING} was not run")
    return "; elsewhere ".join(parts)


def calibration_table(comparison: Comparison) -> Table:
    """Expected calibration error after the last round per data set, and means."""
    last = pd.DataFrame({data: mean_curves(comparison, data, "ece").iloc[-1] for data in comparison.data}).T
    curve = over_sets(comparison, comparison.means("ece"))["mean"]
    columns = {data: bold_best(last.loc[data], number, highest=False) for data in last.index}
    columns["mean, last"] = bold_best(over_sets(comparison, last)["mean"], number, highest=False)
    columns["mean, curve"] = bold_best(curve, number, highest=False)
    return Table(
        name="calibration",
        caption="Expected calibration error of the test predictions after the last round, in points",
        header=["strategy", *columns],
        rows=[[name, *(column.get(name, Entry("–")) for column in columns.values())] for name in comparison.strategies],
        note="15 bins. “mean, last” is over data sets, “mean, curve” over all rounds as well. Bold: best.",
        focus=comparison.roles.focus,
    )


def protocol_table(cells: list[Cell], missing: list[str]) -> Table:
    """What was run, per data set."""

    def one(values: list[int]) -> str:
        return f"{min(values)}" if min(values) == max(values) else f"{min(values)} … {max(values)}"

    rows = []
    for data in sorted({cell.data for cell in cells}):
        here = [cell for cell in cells if cell.data == data]
        counts = [[round["labeled"] for round in cell.rounds] for cell in here]
        steps = [int(step) for count in counts for step in np.diff(count)] or [0]
        rows.append(
            [
                data,
                str(len({cell.strategy for cell in here})),
                one(
                    [len([cell for cell in here if cell.strategy == name]) for name in {cell.strategy for cell in here}]
                ),
                one([count[0] for count in counts]),
                one(steps),
                one([count[-1] for count in counts]),
                one([cell.rounds[0]["validation"] for cell in here]),
                str(len(here)),
                str(sum(name.split("/")[0] == data for name in missing)),
            ]
        )
    header = ["data", "strategies", "seeds", "first", "a round", "last", "validation", "runs", "missing"]
    return Table(
        name="protocol",
        caption="What was run: numbers of strategies, seeds per strategy, labels, runs",
        header=header,
        rows=rows,
        note="First: labels of the first fit; a round: bought per round; last: labels of the last fit; validation: "
        "labels of the validation split, on top. Missing: runs that others have and this one lacks.",
    )
