"""The scripts behind tables of the documents, on grids whose differences are known."""

import json
from pathlib import Path

import pytest
from grids import printed, write_cell

from lit_react.run.results import read_results

LABELS = (10, 50)


@pytest.fixture
def grid(tmp_path: Path) -> Path:
    """Two sets and two seeds: `better` has 1 and 3 points more in the sets at 10 labels, 2 in both at 50."""
    gains = {"plain": ((0, 0), (0, 0)), "better": ((1, 2), (3, 2)), "longer": ((0, 0, 0), (0, 0, 0))}
    for way, sets in gains.items():
        for name, gain in zip(("one", "two"), sets, strict=True):
            for seed in range(2):
                accuracy = [0.5 + 0.1 * seed + points / 100 for points in gain]
                write_cell(tmp_path / "grid" / name / way / f"seed_{seed:02d}", (*LABELS, 90)[: len(gain)], accuracy)
    write_cell(tmp_path / "grid" / "one" / "begun" / "seed_00", LABELS, [0.5, 0.5])
    return tmp_path / "grid"


def test_the_table_of_parts_has_the_mean_and_the_error_over_sets(grid) -> None:
    lines = printed("parts.py", grid).splitlines()
    assert lines[1] == "| difference to `plain` | 10 labels | 50 labels |"
    assert lines[3] == "| `plain` itself | 55.0 | 55.0 |"
    assert lines[4] == "| `better` | +2.0 ± 1.0 | +2.0 ± 0.0 |"
    assert lines[-1].endswith(": begun, longer")
    assert not any("trust" in line for line in lines)


def test_the_table_of_parts_tells_how_good_generated_labels_are(grid) -> None:
    for name in ("one", "two"):
        for seed in range(2):
            folder = grid / name / "better" / f"seed_{seed:02d}"
            results = read_results(folder)
            for number, entry in enumerate(results["rounds"]):
                entry["metrics"]["val/accuracy"] = 0.7
                shares = {"generated_accuracy": 0.6, "generated_accuracy_all": 0.5, "trust": 0.2 + 0.4 * seed}
                entry["augmentation"] = shares if number else {"trust": 0.0}  # nothing counted in the first round
            (folder / "result.json").write_text(json.dumps(results))
    table = printed("parts.py", grid)
    for line in ("that count | – | 60", "of all | – | 50", "trust | 0 | 40", "the model's own | 70 | 70"):
        assert f"| `better`: {line} |" in table
    assert "Warning" not in table


def test_the_table_of_parts_says_what_the_baseline_lacks(grid) -> None:
    assert "error: " in (said := printed("parts.py", grid, "--baseline", "begun", "--data", "one", "two"))
    assert "begun lacks runs" in said


def test_two_ways_are_paired_at_the_costs_that_both_have(grid) -> None:
    lines = printed("equal_cost.py", grid / "better", grid / "longer").splitlines()
    assert "4 pairs of 2 data sets" in lines[0] + lines[1]
    values = [line.split() for line in lines if line.strip()[:3] in ("110", "150")]
    assert [line[:6] for line in values] == [
        ["110", "57.0", "55.0", "+2.0", "±", "0.6"],
        ["150", "57.0", "55.0", "+2.0", "±", "0.0"],
    ]


def test_a_way_that_was_not_run_is_named(grid) -> None:
    said = printed("equal_cost.py", grid / "better", grid / "beter")
    assert said.startswith(f"error: {grid / 'beter'}: no finished cells"), said


def test_the_share_of_the_reachable_gain_is_of_means_and_by_the_rows_that_the_oracle_did_not_see(tmp_path) -> None:
    gains = {"random": (0, 0), "margin": (1, 2), "BoSS": (4, 8)}  # on unseen rows, and on seen ones
    for rule, (unseen, seen) in gains.items():
        for seed in range(2):
            path = tmp_path / "one" / rule / f"seed_{seed:02d}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            curves = {"unseen": [0.5, 0.5 + unseen / 100, 0.5, 0.5 + unseen / 100], "seen": [0.6 + seen / 100] * 4}
            path.write_text(json.dumps(curves))
    options = ("--folder", tmp_path, "--data", "one", "--rules", "margin", "--seeds", 2)
    lines = [line.split() for line in printed("reachable_gain.py", *options).splitlines()]
    assert ["margin", "50.5", "+0.5", "±", "0.0", "0.25", "0.25", "0.25"] in lines
    assert ["BoSS", "52.0", "+2.0", "±", "0.0", "1.00", "1.00", "1.00"] in lines
