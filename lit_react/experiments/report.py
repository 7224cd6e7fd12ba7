"""The report of a comparison: tables and figures of all finished runs of a grid."""

from __future__ import annotations

from itertools import product
from pathlib import Path

from rich.console import Console

from lit_react.core.files import write_atomically
from lit_react.experiments.comparison import CEILING, Comparison, Difference, compare_grid
from lit_react.experiments.curves import gain_curves, gains, learning_curves
from lit_react.experiments.differences import focus_intervals, pairs_heat_map, sets_heat_map
from lit_react.experiments.label_counts import count_differences_table, counts_table, label_counts
from lit_react.experiments.pages import Picture, Section, as_html, as_latex, as_markdown
from lit_react.experiments.pairs import (
    equivalence,
    focus_differences,
    focus_table,
    lost_sets,
    pairs_table,
    penalty_table,
    sets_table,
)
from lit_react.experiments.standings import (
    BELOW,
    REGIMES,
    aulc_table,
    calibration_table,
    efficiency_table,
    protocol_table,
    summary_table,
)
from lit_react.run.results import Grid, load_grid

NAMED = 20  # missing runs that are listed by name


def report(
    folder: Path,
    focus: str = "policy",
    reference: str = "facility_location",
    baseline: str = "random",
    fixed: list[str] | None = None,
) -> None:
    """Tables and figures of a comparison, into the folder's `report`: Markdown, LaTeX, HTML, PNG and SVG.

    Args:
        folder: of the comparison; holds `<data>/<strategy>/seed_XX/result.json`. Runs that are not finished are left
            out and named.
        focus: the strategy that is compared with every other.
        reference: the strategy that the focus may be equivalent to.
        baseline: the strategy whose last score sets the target of label efficiency where `full` did not run.
        fixed: the fixed rules, of which the best on a data set is the mark there; by default those named like one of
            the package, but for the reference.

    Raises:
        UserError: no run is finished, or the focus or a fixed rule has no finished run.
    """
    grid = load_grid(folder)
    comparison = compare_grid(grid.cells, focus, reference, baseline, fixed)
    sections = make_sections(grid, comparison)
    written = write_report(folder / "report", f"Comparison of strategies: {folder.resolve().name}", sections)
    console = Console()
    console.print(summary_table(comparison).terminal())
    for line in [*name_missing(grid), *(str(path) for path in written)]:
        console.print(line, soft_wrap=True, highlight=False, markup=False)


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


def make_sections(grid: Grid, comparison: Comparison) -> list[Section]:
    """All that the report says."""
    differences = comparison.differences()
    return [
        Section("Summary", [summary_table(comparison), *remarks(comparison), *name_missing(grid)]),
        *counts_section(comparison),
        curves_section(comparison),
        aulc_section(comparison),
        efficiency_section(comparison),
        focus_section(comparison, differences),
        pairs_section(comparison, differences),
        calibration_section(comparison),
        runs_section(grid, comparison),
    ]


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


def counts_section(comparison: Comparison) -> list[Section]:
    """By number of labels, where all data sets have the same few."""
    counts = label_counts(comparison)
    if not counts:
        return []
    return [
        Section("By number of labels", [counts_table(comparison, counts), count_differences_table(comparison, counts)])
    ]


def curves_section(comparison: Comparison) -> Section:
    """Over labels."""
    band = "Mean over seeds; bands are ± one standard error over seeds."
    blocks: list[str | Picture] = [
        Picture("curves", f"Test {comparison.metric} over labels. {band}", learning_curves(comparison))
    ]
    if comparison.has("macro_f1"):
        figure = learning_curves(comparison, "macro_f1")
        blocks.append(Picture("curves_macro_f1", f"Test macro-F1 over labels. {band}", figure))
    gained = gains(comparison)
    if gained is None:
        blocks.append("No curve of gains: that needs a baseline and label counts that all data sets have.")
    else:
        caption = (
            f"Test {comparison.metric} − that of {comparison.roles.baseline}, mean over data sets. "
            f"The band around {comparison.roles.focus} is ± one standard error over data sets."
        )
        blocks.append(Picture("gains", caption, gain_curves(comparison, gained)))
    return Section("Learning curves", blocks)


def aulc_section(comparison: Comparison) -> Section:
    """By data set, all rounds and the two regimes."""
    blocks: list = [Picture("aulc", f"AULC of test {comparison.metric} on each data set", sets_heat_map(comparison))]
    for name, regime, above, up_to in REGIMES:
        table = aulc_table(comparison, "score", name, regime, above, up_to)
        blocks.append(f"No table of {regime}: there are none." if table is None else table)
    if comparison.has("macro_f1"):
        blocks.append(aulc_table(comparison, "macro_f1", "aulc-macro-f1", *REGIMES[0][1:]))
    return Section("Area under the curve", blocks)


def efficiency_section(comparison: Comparison) -> Section:
    """Labels to a target."""
    table = efficiency_table(comparison)
    missing = f"No target: that needs the strategy {CEILING}, or a baseline."
    return Section("Label efficiency", [missing if table is None else table])


def focus_section(comparison: Comparison, differences: list[Difference]) -> Section:
    """The focus against the others."""
    focus, against = comparison.roles.focus, focus_differences(comparison, differences)
    if not against:
        return Section(f"{focus} against the others", ["No other strategy shares a data set and a seed with it."])
    blocks: list = [
        Picture(
            "focus",
            f"{focus} − the other strategy, AULC of test {comparison.metric}",
            focus_intervals(comparison, against),
        ),
        focus_table(comparison, against),
        equivalence(comparison),
    ]
    blocks += limits(against)
    table = sets_table(comparison)
    if table is not None:
        lost = ", ".join(lost_sets(comparison)) or "none"
        blocks += [table, f"Data sets on which {focus} is more than {BELOW} points below the best fixed rule: {lost}."]
    return Section(f"{focus} against the others", blocks)


def limits(pairs: list[Difference]) -> list[str]:
    """What the tests cannot say with so few pairs or data sets."""
    lines, most, sets = [], max(pair.pairs for pair in pairs), max(pair.sets for pair in pairs)
    if most < 6:
        lines.append(f"Pairs: {most}. The signed-rank test cannot be significant: that needs six, and more after Holm.")
    if sets == 1:
        lines.append("One data set: no clustered interval, and nothing is said about others.")
    elif sets < 6:
        lines.append(f"Data sets: {sets}. The clustered interval of so few is too narrow, a rough guide.")
    return lines


def pairs_section(comparison: Comparison, differences: list[Difference]) -> Section:
    """Every strategy against every other."""
    if not differences:
        return Section("All pairs", ["No two strategies share a data set and a seed."])
    caption = "Mean difference in AULC, row − column; * is p < 0.05 after Holm's adjustment"
    blocks: list = [Picture("pairs", caption, pairs_heat_map(comparison, differences))]
    penalty = penalty_table(comparison)
    blocks.append("No penalty matrix: that needs two seeds." if penalty is None else penalty)
    return Section("All pairs", [*blocks, pairs_table(differences)])


def calibration_section(comparison: Comparison) -> Section:
    """Expected calibration error."""
    return Section(
        "Calibration", [calibration_table(comparison)] if comparison.has("ece") else ["No run has test/ece."]
    )


def missing_runs(grid: Grid) -> list[str]:
    """Runs that the grid would have if each strategy had each data set and each seed, and that are not finished."""
    done = {(cell.data, cell.strategy, cell.seed) for cell in grid.cells}
    names = [sorted({key[place] for key in done if key[1] != CEILING}) for place in range(3)]
    absent = [
        f"{data}/{strategy}/seed_{seed:02d}"
        for data, strategy, seed in product(*names)
        if (data, strategy, seed) not in done
    ]
    return sorted({*absent, *grid.unfinished})


def name_missing(grid: Grid) -> list[str]:
    """A sentence on the runs that are left out."""
    missing = missing_runs(grid)
    if not missing:
        return []
    more = f" and {len(missing) - NAMED} more" if len(missing) > NAMED else ""
    return [f"Missing runs: {len(missing)} (begun: {len(grid.unfinished)}): {', '.join(missing[:NAMED])}{more}."]


def runs_section(grid: Grid, comparison: Comparison) -> Section:
    """The protocol, as the results show it."""
    versions = ", ".join(sorted({cell.version for cell in grid.cells}))
    cells = [cell for cell in grid.cells if cell.strategy != CEILING]
    counts = (
        f"Finished runs: {len(grid.cells)}, of lit-react {versions}. Data sets: {len(comparison.data)}; strategies: "
        f"{len(comparison.strategies)}; seeds: {len({cell.seed for cell in cells})}; runs with all labels ({CEILING}): "
        f"{len(grid.cells) - len(cells)}."
    )
    return Section("What was run", [counts, protocol_table(cells, missing_runs(grid))])
