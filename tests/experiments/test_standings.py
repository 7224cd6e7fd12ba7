"""What a report computes of a grid: scores, standings, differences."""

import shutil

import numpy as np
import pandas as pd
import pytest
from grids import FLAT, FOUR, LABELS, bold, read, write_cell, write_flat, write_grid

from lit_react.core.errors import UserError
from lit_react.experiments.cells import load_grid
from lit_react.experiments.comparison import choose_roles
from lit_react.experiments.efficiency import efficiency_table, labels_needed, targets
from lit_react.experiments.figures import gains, learning_curves
from lit_react.experiments.label_counts import label_counts
from lit_react.experiments.pairs import equivalence, focus_differences, lost_sets, penalty_table, sets_table
from lit_react.experiments.report import make_sections, remarks, report
from lit_react.experiments.standings import aulc_table, over_sets, summary_table


def column(table, name):
    place = table.header.index(name)
    return {row[0].text: row[place].text for row in table.entries()}


# ---- the grid


def test_unfinished_runs_are_named_and_left_out(tmp_path):
    write_flat(tmp_path, FLAT)
    write_cell(tmp_path / "a" / "badge" / "seed_02", (100,), (0.5,), stopped=None)
    (tmp_path / "a" / "random" / "seed_02").mkdir()
    (tmp_path / "report").mkdir()
    (tmp_path / "a" / "random" / "notes").mkdir()
    grid = load_grid(tmp_path)
    assert len(grid.cells) == 6
    assert grid.unfinished == ["a/badge/seed_02", "a/random/seed_02"]
    assert grid.missing == grid.unfinished


def test_runs_that_others_have_are_missing(tmp_path):
    write_flat(tmp_path, FLAT, sets=("a", "b"))
    shutil.rmtree(tmp_path / "b" / "badge" / "seed_01")
    write_cell(tmp_path / "a" / "full" / "seed_07", (3000,), (0.9,))
    assert load_grid(tmp_path).missing == ["b/badge/seed_01"]


@pytest.mark.parametrize("begun", [False, True])
def test_no_finished_run_is_an_error(tmp_path, begun):
    if begun:
        write_cell(tmp_path / "a" / "badge" / "seed_00", (100,), (0.5,), stopped=None)
    with pytest.raises(UserError, match=r"expected finished runs in .*result\.json"):
        report(tmp_path)


def test_unknown_strategies_are_an_error(tmp_path):
    write_flat(tmp_path, FLAT)
    with pytest.raises(UserError, match="focus: agent has no finished run, expected one of badge, policy, random"):
        report(tmp_path, focus="agent")
    with pytest.raises(UserError, match="fixed: coreset has no finished run"):
        report(tmp_path, fixed=["coreset"])


def test_runs_without_a_test_split_are_an_error(tmp_path):
    write_cell(tmp_path / "a" / "policy" / "seed_00", (100,), (0.5,), metrics=())
    with pytest.raises(UserError, match=r"a/policy/seed_00: a round without test/accuracy"):
        report(tmp_path)


# ---- roles and scores


def test_fixed_rules_are_those_of_the_package_but_focus_and_reference():
    names = ["albl", "badge", "contextual", "facility_location", "policy", "random", "static", "tailor"]
    assert choose_roles(names, "policy", "facility_location", "random").fixed == ["badge", "random"]
    assert choose_roles(names, "policy", "none", "none", ["badge", "facility_location"]).fixed == [
        "badge",
        "facility_location",
    ]
    assert choose_roles(names, "policy", "policy", "random").reference is None


def test_scores_are_means_over_the_rounds_of_a_regime(tmp_path):
    write_cell(tmp_path / "a" / "policy" / "seed_00", (64, 128, 192, 256), (0.1, 0.3, 0.5, 0.7))
    comparison = read(tmp_path)
    assert comparison.scores().loc[("a", 0), "policy"] == pytest.approx(40)
    assert comparison.scores(up_to=128).loc[("a", 0), "policy"] == pytest.approx(20)
    assert comparison.scores(above=128).loc[("a", 0), "policy"] == pytest.approx(60)


def by_length(folder, sets=("a",), steps=(20, 40)):
    """`long` buys 20 labels a round for 300 tokens, `random` 40; at equal labels `long` is the better one."""
    for data in sets:
        for name, step, at in zip(("long", "random"), steps, (0.5, 0.45), strict=True):
            labels = [10, 10 + step, 10 + 2 * step]
            scores = [at + 0.1 * (count - 10) / 20 for count in labels]
            write_cell(folder / data / name / "seed_00", labels, scores, costs=[1000.0, 1300.0, 1600.0 + step])
    return read(folder, focus="long")


def test_where_labels_cost_by_length_strategies_are_compared_for_the_same_money(tmp_path):
    comparison = by_length(tmp_path)
    assert comparison.by_cost == ["a"]
    assert comparison.read_off == 0
    curves = comparison.points["score"].unstack("strategy").droplevel(["data", "seed"])
    assert curves.index.tolist() == [1000, 1315, 1630]
    assert curves["long"].tolist() == pytest.approx([50, 60 + 10 * 15 / 320, 70])
    assert curves["random"].iloc[-1] == pytest.approx(65 + 20 * 330 / 340)
    assert comparison.means().loc["a", "random"] > comparison.means().loc["a", "long"]
    assert "/ random" not in efficiency_table(comparison).header
    assert make_sections(load_grid(tmp_path), comparison)


def test_a_set_that_is_compared_by_cost_has_no_part_in_tables_by_number_of_labels(tmp_path):
    by_length(tmp_path)
    for name in ("long", "random"):
        write_cell(tmp_path / "b" / name / "seed_00", (100, 200), (0.4, 0.5))
    comparison = read(tmp_path, focus="long")
    assert comparison.data == ["a", "b"]
    assert comparison.means(above=0, up_to=128).index.tolist() == ["b"]
    assert label_counts(comparison) == []
    assert gains(comparison) is None
    assert column(efficiency_table(comparison), "/ random")["long"] == "1.00", "of the set that is compared by labels"
    assert any("Compared at equal cost" in line and ": a." in line for line in remarks(comparison))
    text = learning_curves(comparison).get_supxlabel()
    assert text == "cost of all labels; labels bought from the pool on b (logarithmic)"
    report(tmp_path, focus="long")
    assert "Compared at equal cost" in (tmp_path / "report" / "report.md").read_text()


def test_cost_units_may_be_small(tmp_path):
    for name in ("policy", "random"):
        costs = [1e-5 * count for count in ((1000, 1330, 1600) if name == "random" else (1000, 1300, 1600))]
        write_cell(tmp_path / "a" / name / "seed_00", (10, 30, 50), (0.5, 0.6, 0.7), costs=costs)
    comparison = read(tmp_path)
    assert comparison.points.index.unique("labels").tolist() == pytest.approx([0.01, 0.013, 0.016])
    needed = column(efficiency_table(comparison), "a")
    assert needed["policy"] == needed["random"] == "0.015", "0.01495 and 0.01504"


def test_labels_that_all_cost_two_are_counted_as_labels(tmp_path):
    for name, score in (("policy", 0.6), ("random", 0.5)):
        write_cell(tmp_path / "a" / name / "seed_00", (10, 20), (score, score), costs=[220.0, 240.0])
    comparison = read(tmp_path)
    assert comparison.by_cost == []
    assert comparison.points.index.unique("labels").tolist() == [10, 20]


def test_other_label_counts_are_read_off_at_those_of_most_runs(tmp_path):
    write_flat(tmp_path, FLAT)
    shutil.rmtree(tmp_path / "a" / "policy" / "seed_01")
    write_cell(tmp_path / "a" / "policy" / "seed_01", (50, 150), (0.4, 0.6))
    comparison = read(tmp_path)
    assert comparison.read_off == 1
    assert comparison.points.loc[("a", "policy", 1), "score"].to_dict() == pytest.approx({100: 50, 200: 60})


def test_only_seeds_that_all_have_are_averaged_and_pairs_take_all_they_share(tmp_path):
    write_flat(tmp_path, FLAT, seeds=3)
    shutil.rmtree(tmp_path / "a" / "random" / "seed_02")
    shutil.rmtree(tmp_path / "a" / "policy" / "seed_02")
    write_cell(tmp_path / "a" / "policy" / "seed_02", (100, 200), (0.9, 0.9))
    comparison = read(tmp_path)
    assert comparison.means().loc["a", "policy"] == pytest.approx(50), "not seed 2, which random lacks"
    pairs = {frozenset((pair.first, pair.second)): pair for pair in comparison.differences()}
    assert pairs[frozenset(("policy", "badge"))].pairs == 3
    assert pairs[frozenset(("policy", "random"))].pairs == 2


def test_a_data_set_without_a_common_seed_is_left_out(tmp_path):
    write_flat(tmp_path, FLAT, sets=("a", "b"), seeds=2)
    shutil.rmtree(tmp_path / "b" / "badge" / "seed_00")
    shutil.rmtree(tmp_path / "b" / "random" / "seed_01")
    comparison = read(tmp_path)
    assert comparison.data == ["a"]
    assert "common to all strategies there: b." in " ".join(remarks(comparison))
    shutil.rmtree(tmp_path / "a")
    with pytest.raises(UserError, match="no data set has a seed that all its strategies have finished"):
        read(tmp_path)


def test_a_strategy_without_all_data_sets_has_no_mean(tmp_path):
    write_flat(tmp_path, FLAT, sets=("a", "b"))
    shutil.rmtree(tmp_path / "b" / "badge")
    table = summary_table(read(tmp_path))
    assert column(table, "AULC") == {"policy": "50.0", "random": "40.0", "badge": "–"}
    assert column(table, "rank") == {"policy": "1.0", "random": "2.0", "badge": "–"}
    assert column(table, "worst regret")["policy"] == "10.0", "badge is the best fixed rule of a"


# ---- tables


def test_standings_by_hand(tmp_path):
    write_flat(tmp_path / "grid", FLAT, sets=("a",))
    write_flat(tmp_path / "grid", {"policy": 0.7, "badge": 0.5, "random": 0.6}, sets=("b",))
    comparison = read(tmp_path / "grid")
    assert comparison.strategies == ["policy", "badge", "random"]
    table = aulc_table(comparison, "score", "aulc", "all rounds", 0, np.inf)
    assert column(table, "a") == {
        "policy": "50.0",
        "badge": "60.0",
        "random": "40.0",
        "best fixed, in hindsight": "60.0",
        "best fixed, picked on other seeds": "60.0",
    }
    assert column(table, "mean")["best fixed, in hindsight"] == "60.0"
    assert column(table, "rank") == column(table, "rank") | {"policy": "1.5", "badge": "2.0", "random": "2.5"}
    assert column(table, "regret") == column(table, "regret") | {"policy": "10.0", "badge": "10.0", "random": "20.0"}
    assert bold(table, "a") == {"badge"}
    assert bold(table, "b") == {"policy"}
    assert lost_sets(comparison) == ["a"]
    assert over_sets(comparison, comparison.means().loc[["b"]])["regret"].to_dict() == pytest.approx(
        {"policy": -10, "badge": 10, "random": 0}
    ), "negative where it is ahead on every set"
    assert column(sets_table(comparison), "which") == {"a": "badge", "b": "random"}
    assert column(sets_table(comparison), "difference") == {"a": "−10.00", "b": "+10.00"}


def test_targets_come_from_full_where_it_ran(tmp_path):
    write_grid(tmp_path, FOUR, sets=2)
    write_cell(tmp_path / "set_00" / "full" / "seed_00", (3000,), (0.8,))
    comparison = read(tmp_path)
    wanted = targets(comparison)
    last = comparison.points["score"].xs(("set_01", "random"))[:, LABELS[-1]].mean()
    assert wanted.to_dict() == pytest.approx({"set_00": 0.95 * 80, "set_01": 0.95 * last})
    assert "full" not in comparison.strategies
    note = efficiency_table(comparison).note
    assert "all labels (set_00); elsewhere the accuracy of random after its last round" in note


def test_labels_to_a_target_that_is_not_reached_are_more_than_the_last(tmp_path):
    for name, curve in {"policy": (0.5, 0.9), "random": (0.5, 0.7), "badge": (0.86, 0.9)}.items():
        write_cell(tmp_path / "a" / name / "seed_00", (100, 200), curve)
    write_cell(tmp_path / "a" / "full" / "seed_00", (1000,), (0.9,))
    comparison = read(tmp_path)
    table = efficiency_table(comparison)
    assert column(table, "a") == {"target, %": "85.5", "policy": "189", "random": "> 200", "badge": "≤ 100"}
    assert bold(table, "a") == {"badge"}
    assert labels_needed(comparison, targets(comparison)).loc["random", "a"] == np.inf


def test_without_a_reference_there_is_no_target(tmp_path):
    write_flat(tmp_path, FLAT)
    assert efficiency_table(read(tmp_path, baseline="nobody")) is None


# ---- differences


def test_a_known_effect_is_found_and_none_is_not(tmp_path):
    comparison = read(write_grid(tmp_path, FOUR, sets=6, seeds=5, noise=0.006))
    against = {pair.second: pair for pair in focus_differences(comparison, comparison.differences())}
    assert against["random"].adjusted < 0.001
    assert against["badge"].adjusted < 0.001
    assert 1 < against["random"].mean < 3.5
    assert against["random"].paired[0] > 0
    assert against["random"].clustered[0] > 0
    assert against["facility_location"].adjusted > 0.05
    assert against["facility_location"].paired[0] < 0 < against["facility_location"].paired[1]
    text = equivalence(comparison)
    assert "over 30 pairs" in text
    assert text.count("equivalent") >= 1
    assert lost_sets(comparison) == []


def test_names_and_order_of_strategies_and_seeds_do_not_matter(tmp_path):
    one, other = write_grid(tmp_path / "one", FOUR, sets=3, seeds=4), tmp_path / "other"
    seeds, names = {0: 2, 1: 0, 2: 3, 3: 1}, {"badge": "zebra"}
    for cell in load_grid(one).cells:
        old = one / cell.data / cell.strategy / f"seed_{cell.seed:02d}"
        strategy = names.get(cell.strategy, cell.strategy)
        shutil.copytree(old, other / cell.data / strategy / f"seed_{seeds[cell.seed]:02d}")
    first, second = read(one), read(other)
    assert [names.get(name, name) for name in first.strategies] == second.strategies
    for pair, same in zip(first.differences(), second.differences(), strict=True):
        assert (names.get(pair.first, pair.first), names.get(pair.second, pair.second)) == (same.first, same.second)
        for attribute in ("mean", "wins", "p", "adjusted"):
            assert getattr(pair, attribute) == pytest.approx(getattr(same, attribute))
        if "badge" not in (pair.first, pair.second):  # a new name may turn a pair round, and its resamples with it
            assert pair.paired == pytest.approx(same.paired)
            assert pair.clustered == pytest.approx(same.clustered)
    pd.testing.assert_frame_equal(first.means().rename(columns=names)[sorted(second.strategies)], second.means())


def test_penalties_count_significant_rounds(tmp_path):
    write_flat(tmp_path, FLAT, sets=("a", "b"))
    table = penalty_table(read(tmp_path))
    assert column(table, "random") == {"badge": "2.0", "policy": "2.0", "random": "", "mean penalty": "1.33"}
    assert column(table, "badge")["mean penalty"] == "0.00"
