"""Tables by number of labels, checked by hand."""

import numpy as np
import pytest
from grids import write_cell, write_grid

from lit_react.experiments.cells import load_grid
from lit_react.experiments.comparison import compare_grid
from lit_react.experiments.label_counts import (
    count_differences_table,
    counts_table,
    differences_at,
    label_counts,
    scores_at,
)
from lit_react.experiments.pages import as_markdown
from lit_react.experiments.report import make_sections


def comparison(folder, focus="ours", baseline="plain"):
    return compare_grid(load_grid(folder).cells, focus, "none", baseline)


@pytest.fixture
def two_counts(tmp_path):
    """At 10 labels `ours` is 4 points better on one set and 2 worse on the other; at 50 always 1 better."""
    for seed in range(6):
        for data, at_ten in (("a", 0.04), ("b", -0.02)):
            level = 0.5 + seed / 100
            write_cell(tmp_path / data / "plain" / f"seed_{seed:02d}", (10, 50), [level, level + 0.2])
            write_cell(tmp_path / data / "ours" / f"seed_{seed:02d}", (10, 50), [level + at_ten, level + 0.21])
    return comparison(tmp_path)


def test_each_label_count_has_its_own_scores(two_counts):
    assert label_counts(two_counts) == [10, 50]
    at_ten = scores_at(two_counts, 10)
    assert at_ten.loc[("a", 0), "plain"] == pytest.approx(50)
    assert at_ten.loc[("a", 0), "ours"] == pytest.approx(54)
    found = {row[0].text: [entry.text for entry in row[1:]] for row in counts_table(two_counts, [10, 50]).entries()}
    assert found == {"plain": ["52.5", "72.5"], "ours": ["53.5", "73.5"]}


def test_differences_are_of_one_label_count_and_adjusted_over_all(two_counts):
    pairs = differences_at(two_counts, [10, 50])
    assert pairs["plain", 10].mean == pytest.approx(1)
    assert pairs["plain", 50].mean == pytest.approx(1)
    assert pairs["plain", 50].adjusted == pytest.approx(2 * pairs["plain", 50].p)
    (row,) = count_differences_table(two_counts, [10, 50]).entries()
    assert row[0].text == "plain"
    assert row[1].text == "+1.0"
    assert row[1].spread.startswith("(−2.0")
    assert row[2].bold
    assert not row[1].bold


def test_many_label_counts_and_different_ones_have_no_such_tables(tmp_path):
    write_grid(tmp_path / "many", {"ours": 1.0, "plain": 0.0})
    assert label_counts(comparison(tmp_path / "many")) == []
    for data, counts in (("a", (10, 50)), ("b", (20, 50))):
        for name in ("ours", "plain"):
            write_cell(tmp_path / "different" / data / name / "seed_00", counts, np.array([0.5, 0.6]).tolist())
    assert label_counts(comparison(tmp_path / "different")) == []


def test_the_report_has_the_section_where_label_counts_are_few(tmp_path):
    write_grid(tmp_path, {"ours": 1.0, "plain": 0.0}, labels=(10, 50, 100))
    text = as_markdown("few", make_sections(load_grid(tmp_path), comparison(tmp_path)))
    assert "By number of labels" in text
    assert "| strategy | 10 labels | 50 labels | 100 labels |" in text
