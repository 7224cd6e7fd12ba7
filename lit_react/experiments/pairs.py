"""Tables of differences: the focus against every other strategy and on every data set, and all pairs."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from itertools import permutations

import numpy as np
import pandas as pd

from lit_react.core import statistics
from lit_react.experiments.comparison import Comparison, Difference, adjust
from lit_react.experiments.standings import BELOW
from lit_react.experiments.tables import Entry, Table, interval, number, probability

MARGIN = 0.3
"""Points within which two strategies count as equivalent."""
ALPHA = 0.05
INTERVALS = (
    "Paired interval: 95 % bootstrap over (data set, seed) pairs, for these data sets. Clustered: data sets resampled "
    "with all their seeds, for other data sets like these. p: Wilcoxon signed-rank test over the pairs, two-sided, "
    "with Holm's adjustment over the rows of this table ({family}); like the paired interval, it speaks of these data "
    "sets. Wins: share of pairs, a tie is half."
)


def focus_differences(comparison: Comparison, differences: list[Difference]) -> list[Difference]:
    """Focus − other for every other strategy, Holm's adjustment over these only."""
    focus = comparison.roles.focus
    against = [pair for pair in differences if focus in (pair.first, pair.second)]
    return adjust([pair if pair.first == focus else pair.reversed() for pair in against])


def _rows(pairs: list[Difference]) -> pd.DataFrame:
    """What is known of each pair, by its second strategy."""
    rows = [
        {
            "difference": number(pair.mean, digits=2, signed=True),
            "paired interval": interval(pair.paired),
            "clustered interval": interval(pair.clustered),
            "wins, %": number(100 * pair.wins, digits=0),
            "p": Entry(probability(pair.adjusted).text, bold=pair.adjusted < ALPHA),
            "pairs": str(pair.pairs),
        }
        for pair in pairs
    ]
    return pd.DataFrame(rows, index=pd.Index([pair.second for pair in pairs], name="other"))


def focus_table(comparison: Comparison, against: list[Difference]) -> Table:
    """The focus against every other strategy."""
    return Table(
        name="focus",
        caption=f"{comparison.roles.focus} − the other strategy, AULC of test {comparison.metric} in points",
        frame=_rows(against),
        note=f"{INTERVALS.format(family=len(against))} Bold: p below {ALPHA}.",
        focus=comparison.roles.reference or "",
    )


def pairs_table(differences: list[Difference]) -> Table:
    """All pairs, in the order of the standings."""
    rows = _rows(differences).reset_index(names="second")
    return Table(
        name="pairs",
        caption="All pairs: first − second, AULC of the test metric in points",
        frame=rows.set_index(pd.Index([pair.first for pair in differences], name="first")),
        note=f"{INTERVALS.format(family=len(differences))} Bold: p below {ALPHA}.",
    )


def sets_table(comparison: Comparison) -> Table | None:
    """Per data set, the focus beside the best fixed rule and the reference; None without fixed rules."""
    focus, reference = comparison.roles.focus, comparison.roles.reference
    rows = {}
    for data, part in comparison.paired(comparison.scores()).groupby("data"):
        means = part.mean()
        rules = means.reindex(comparison.roles.fixed).dropna()
        if rules.empty or np.isnan(means[focus]):
            continue
        best = rules.round(statistics.DIGITS).idxmax()
        difference = part[focus] - part[best]
        error = statistics.standard_error(difference.to_numpy())
        shown = number(difference.mean(), digits=2, signed=True, spread=error)
        low = replace(shown, bold=bool(means[focus] - means[best] < -BELOW))
        rows[data] = {focus: means[focus], "best fixed": means[best], "which": best, "difference": low}
        if reference:
            beside = means[focus] - means.get(reference, np.nan)
            rows[data][f"− {reference}"] = number(beside, digits=2, signed=True)
    if not rows:
        return None
    return Table(
        name="sets",
        caption=f"{focus} and the best fixed rule on each data set, AULC of test {comparison.metric}",
        frame=pd.DataFrame.from_dict(rows, orient="index").rename_axis("data"),
        note=f"Mean over seeds; ± is the standard error of the paired difference over seeds. Bold: {focus} is more "
        f"than {BELOW} points below. The best rule is picked in hindsight, which flatters it.",
    )


def lost_sets(comparison: Comparison) -> list[str]:
    """Data sets on which the focus is more than `BELOW` points under the best fixed rule."""
    means = comparison.means()
    lacking = comparison.best_fixed(means) - means[comparison.roles.focus]
    return [str(data) for data in means.index[lacking > BELOW]]


def equivalence(comparison: Comparison) -> str:
    """A paragraph: is the focus within `MARGIN` points of the reference?"""
    focus, reference = comparison.roles.focus, comparison.roles.reference
    if reference is None:
        return "Equivalence with a reference was not tested: the reference has no finished run, or is the focus itself."
    scores = comparison.scores()[[focus, reference]].dropna()
    differences: pd.Series = scores[focus] - scores[reference]
    by_set = differences.groupby("data").mean().to_numpy()
    pairs = statistics.tost(differences.to_numpy(), MARGIN)
    if np.isnan(pairs):
        return f"Equivalence of {focus} and {reference} was not tested: that needs two pairs (data set, seed)."
    sets = statistics.tost(by_set, MARGIN)
    verdict = "equivalent" if pairs < ALPHA else "equivalence not shown"
    text = (
        f"Equivalence of {focus} and {reference} within ±{MARGIN} points: mean difference "
        f"{number(float(differences.mean()), digits=2, signed=True).text}; two one-sided t-tests over "
        f"{len(differences)} pairs (data set, seed): p {_is(pairs)}, {verdict} at {ALPHA}"
    )
    if np.isnan(sets):
        return f"{text}. Over data sets it was not tested: that needs two."
    verdict = "equivalent" if sets < ALPHA else "equivalence not shown"
    return f"{text}; over the means of {len(by_set)} data sets: p {_is(sets)}, {verdict}."


def _is(p: float) -> str:
    text = probability(p).text
    return text if text.startswith("<") else f"= {text}"


def penalty_table(comparison: Comparison) -> Table | None:
    """The pairwise penalty matrix of the BADGE article; None with one seed."""
    names = comparison.strategies
    counts = pd.DataFrame(0.0, index=names, columns=names)
    tested = False
    for data in comparison.data:
        curves = comparison.points["score"].loc[data].unstack("labels")
        for first, second in permutations(curves.index.unique("strategy"), 2):
            one, other = curves.loc[first].align(curves.loc[second], join="inner", axis=0)
            share = statistics.share_of_rounds_won(one.to_numpy(), other.to_numpy())
            if np.isfinite(share):
                counts.loc[first, second] += share
                tested = True
    if not tested:
        return None
    frame = counts.astype(object).mask(np.eye(len(names), dtype=bool), "")
    frame.loc["mean penalty"] = counts.mean().map(partial(number, digits=2))
    return Table(
        name="penalty",
        caption="Pairwise penalty matrix: how often the row beats the column",
        frame=frame.rename_axis("beats →"),
        note=f"Per data set, the share of rounds in which the row's score is above the column's by a paired t-test "
        f"over seeds at {ALPHA}, added over {len(comparison.data)} data sets (Ash et al., 2020). Low in the last row "
        "is good. Not adjusted for the number of tests.",
        focus=comparison.roles.focus,
    )
