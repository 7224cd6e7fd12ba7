"""The report of a comparison: tables and figures of all finished runs of a grid."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from matplotlib import rc_context
from rich.console import Console

from lit_react.core.files import write_atomically
from lit_react.core.terminal import plain
from lit_react.experiments import figures, money, pairs
from lit_react.experiments.cells import CEILING, Grid, load_grid
from lit_react.experiments.comparison import Comparison, Difference, compare_grid
from lit_react.experiments.efficiency import efficiency_table
from lit_react.experiments.label_counts import count_differences_table, counts_table, label_counts
from lit_react.experiments.pages import Block, Picture, Section, as_html, as_latex, as_markdown
from lit_react.experiments.standings import BELOW, REGIMES, aulc_table, calibration_table, protocol_table, summary_table
from lit_react.experiments.tables import Table

NAMED = 20
"""Missing runs that are listed by name."""


def report(
    folder: Path,
    focus: str = "policy",
    reference: str = "facility_location",
    baseline: str = "random",
    fixed: list[str] | None = None,
) -> None:
    """Tables and figures of a comparison, into the folder's `report`: Markdown, LaTeX, HTML, PNG and SVG.

    Of one run: what its annotators cost and what the money brought; the other options have nothing to say there.

    Args:
        folder: of the comparison; holds `<data>/<strategy>/seed_XX/result.json`. Runs that are not finished are left
            out and named. Or of one run.
        focus: the strategy that is compared with every other.
        reference: the strategy that the focus may be equivalent to.
        baseline: the strategy whose last score sets the target of label efficiency where `full` did not run.
        fixed: the fixed rules, of which the best on a data set is the mark there; by default those named like one of
            the package, but for the reference.
    """
    if (folder / "ledger.sqlite").is_file():
        return report_run(folder)
    grid = load_grid(folder)
    comparison = compare_grid(grid.cells, focus, reference, baseline, fixed)
    sections = make_sections(grid, comparison, money.grid_blocks(folder, grid.cells, comparison))
    written = write_report(folder / "report", f"Comparison of strategies: {folder.resolve().name}", sections)
    print_report(summary_table(comparison), [*name_missing(grid), *map(str, written)])


def report_run(folder: Path) -> None:
    """The money of one run, into the folder's `report`."""
    section = Section("Money", money.run_blocks(folder))
    written = write_report(folder / "report", f"Run: {folder.resolve().name}", [section])
    tables, lines = section.tables(), [block for block in section.blocks if isinstance(block, str)]
    print_report(tables[0] if tables else None, [*lines, *map(str, written)])


def print_report(table: Table | None, lines: list[str]) -> None:
    """A table, and a line each."""
    console = Console()
    if table is not None:
        shown = table.terminal()
        of_table = console.measure(shown, options=console.options.update(width=sys.maxsize)).maximum
        console.width = max(console.width, of_table)  # a narrower table would be cut
        console.print(shown)
    for line in lines:
        console.print(plain(line), soft_wrap=True, highlight=False, markup=False)


def write_report(folder: Path, title: str, sections: list[Section]) -> list[Path]:
    """All files of a report; returns the pages and the PNG files."""
    pictures = [picture for section in sections for picture in section.pictures()]
    for picture in pictures:
        write_atomically(folder / f"{picture.name}.png", picture.png)
        write_atomically(folder / f"{picture.name}.svg", picture.svg)
    pages = {"report.html": as_html, "report.md": as_markdown, "report.tex": as_latex}
    for name, render in pages.items():
        write_atomically(folder / name, render(title, sections).encode())
    return [*(folder / name for name in pages), *(folder / f"{picture.name}.png" for picture in pictures)]


@rc_context({"text.parse_math": False})  # a name may have dollars
def make_sections(grid: Grid, comparison: Comparison, about_money: Sequence[Block] = ()) -> list[Section]:
    """All that the report says; `about_money`: see `money.grid_blocks`."""
    differences, focus = comparison.differences(), comparison.roles.focus
    counts = label_counts(comparison)
    by_count = [counts_table(comparison, counts), count_differences_table(comparison, counts)] if counts else []
    efficiency = efficiency_table(comparison) or f"No target: that needs the strategy {CEILING}, or a baseline."
    calibration = calibration_table(comparison) if comparison.has("ece") else "No run has test/ece."
    sections = [
        Section("Summary", [summary_table(comparison), *remarks(comparison), *name_missing(grid)]),
        Section("By number of labels", by_count),
        Section("Learning curves", curves_blocks(comparison)),
        Section("Area under the curve", aulc_blocks(comparison)),
        Section("Label efficiency", [efficiency]),
        Section("Money", about_money),
        Section(f"{focus} against the others", focus_blocks(comparison, differences)),
        Section("All pairs", pairs_blocks(comparison, differences)),
        Section("Calibration", [calibration]),
        Section("What was run", [what_was_run(grid, comparison), protocol_table(grid)]),
    ]
    return [section for section in sections if section.blocks]


def remarks(comparison: Comparison) -> list[str]:
    """Who plays which part, and what the numbers cannot say."""
    roles = comparison.roles
    lines = [
        f"Fixed rules: {', '.join(roles.fixed)}. The best of them on a data set is the mark there; focus and reference "
        "are not among them unless they were named."
        if roles.fixed
        else "No strategy counts as a fixed rule, so there is no regret."
    ]
    seeds = comparison.points.index.droplevel(["strategy", "labels"]).unique()
    kept = comparison.paired(comparison.scores()).index
    if len(kept) < len(seeds):
        lines.append(
            f"Tables and ranks use the {len(kept)} of {len(seeds)} pairs (data set, seed) that all strategies of the "
            "data set have finished; differences of two strategies use all pairs that both have."
        )
    incomplete = sorted(set(comparison.strategies) - set(comparison.complete(comparison.means())))
    if incomplete:
        lines.append(f"Without a mean and a rank, because they lack data sets: {', '.join(incomplete)}.")
    if comparison.apart:
        lines.append(f"Left out, as no seed is common to all strategies there: {', '.join(comparison.apart)}.")
    if comparison.read_off:
        lines.append(
            f"Runs with other label counts than most of their data set: {comparison.read_off}. They were read off at "
            "those counts, linearly between their rounds and with the last value after them."
        )
    if comparison.by_cost:
        lines.append(
            f"Compared at equal cost, as labels differ in theirs: {', '.join(comparison.by_cost)}. Read cost units for "
            "labels there, those of validation labels included. Runs are read off from the dearest first round to the "
            "median of the last, linearly between their rounds and with their last value after them. These sets have "
            "no part in tables by number of labels, nor in labels relative to those of a baseline."
        )
    return lines


def curves_blocks(comparison: Comparison) -> list[Block]:
    """Over labels."""
    band = "Mean over seeds; bands are ± one standard error over seeds."
    blocks: list[Block] = [
        Picture("curves", f"Test {comparison.metric} over labels. {band}", figures.learning_curves(comparison))
    ]
    if comparison.has("macro_f1"):
        figure = figures.learning_curves(comparison, "macro_f1")
        blocks.append(Picture("curves_macro_f1", f"Test macro-F1 over labels. {band}", figure))
    gained = figures.gains(comparison)
    if gained is None:
        return [*blocks, "No curve of gains: that needs a baseline and label counts that all data sets have."]
    caption = (
        f"Test {comparison.metric} − that of {comparison.roles.baseline}, mean over data sets. "
        f"The band around {comparison.roles.focus} is ± one standard error over data sets."
    )
    return [*blocks, Picture("gains", caption, figures.gain_curves(comparison, gained))]


def aulc_blocks(comparison: Comparison) -> list[Block]:
    """By data set, all rounds and the two regimes."""
    caption = f"AULC of test {comparison.metric} on each data set"
    blocks: list[Block] = [Picture("aulc", caption, figures.sets_heat_map(comparison))]
    for name, regime, above, up_to in REGIMES:
        table = aulc_table(comparison, "score", name, regime, above, up_to)
        blocks.append(table or f"No table of {regime}: there are none.")
    if comparison.has("macro_f1") and (table := aulc_table(comparison, "macro_f1", "aulc-macro-f1", *REGIMES[0][1:])):
        blocks.append(table)
    return blocks


def focus_blocks(comparison: Comparison, differences: list[Difference]) -> list[Block]:
    """The focus against the others."""
    focus, against = comparison.roles.focus, pairs.focus_differences(comparison, differences)
    if not against:
        return ["No other strategy shares a data set and a seed with it."]
    caption = f"{focus} − the other strategy, AULC of test {comparison.metric}"
    blocks: list[Block] = [
        Picture("focus", caption, figures.focus_intervals(comparison, against)),
        pairs.focus_table(comparison, against),
        pairs.equivalence(comparison),
        *limits(against),
    ]
    if table := pairs.sets_table(comparison):
        lost = ", ".join(pairs.lost_sets(comparison)) or "none"
        blocks += [table, f"Data sets on which {focus} is more than {BELOW} points below the best fixed rule: {lost}."]
    return blocks


def limits(against: list[Difference]) -> list[str]:
    """What the tests cannot say with so few pairs or data sets."""
    lines, most, sets = [], max(pair.pairs for pair in against), max(pair.sets for pair in against)
    if most < 6:
        lines.append(f"Pairs: {most}. The signed-rank test cannot be significant: that needs six, and more after Holm.")
    if sets == 1:
        lines.append("One data set: no clustered interval, and nothing is said about others.")
    elif sets < 6:
        lines.append(f"Data sets: {sets}. The clustered interval of so few is too narrow, a rough guide.")
    return lines


def pairs_blocks(comparison: Comparison, differences: list[Difference]) -> list[Block]:
    """Every strategy against every other."""
    if not differences:
        return ["No two strategies share a data set and a seed."]
    caption = "Mean difference in AULC, row − column; * is p < 0.05 after Holm's adjustment"
    picture = Picture("pairs", caption, figures.pairs_heat_map(comparison, differences))
    penalty = pairs.penalty_table(comparison) or "No penalty matrix: that needs two seeds."
    return [picture, penalty, pairs.pairs_table(differences)]


def name_missing(grid: Grid) -> list[str]:
    """A sentence on the runs that are left out."""
    missing = grid.missing
    if not missing:
        return []
    more = f" and {len(missing) - NAMED} more" if len(missing) > NAMED else ""
    return [f"Missing runs: {len(missing)} (begun: {len(grid.unfinished)}): {', '.join(missing[:NAMED])}{more}."]


def what_was_run(grid: Grid, comparison: Comparison) -> str:
    """How many runs there are, and of which version."""
    versions = ", ".join(sorted({cell.version for cell in grid.cells}))
    seeds = {cell.seed for cell in grid.cells if cell.strategy != CEILING}
    full = sum(cell.strategy == CEILING for cell in grid.cells)
    return (
        f"Finished runs: {len(grid.cells)}, of lit-react {versions}. Data sets: {len(comparison.data)}; strategies: "
        f"{len(comparison.strategies)}; seeds: {len(seeds)}; runs with all labels ({CEILING}): {full}."
    )
