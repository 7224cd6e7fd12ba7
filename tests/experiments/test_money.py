"""What a report says of money: annotators, the score over cost, what random costs for the same."""

import re

import numpy as np
import pytest
from grids import read, write_cell

from lit_react.annotation.answers import Given
from lit_react.annotation.ledger import Ledger, Query
from lit_react.experiments.annotators import annotators_table, read_answers
from lit_react.experiments.cells import load_grid
from lit_react.experiments.money import grid_blocks
from lit_react.experiments.report import report

HOSTILE = "<img src=x onerror=alert(1)>|[x](javascript:1)\x1b[31m\nann`$x$"


def bought(folder, answers, rows=6, wanted=2):
    """A ledger with these answers, each `(row, annotator, label, more)`."""
    folder.mkdir(parents=True, exist_ok=True)
    with Ledger(folder / "ledger.sqlite", budget=100, fingerprint="data") as ledger:
        ledger.ask(0, [Query("pool", row, wanted * 1.5, "initial", wanted=wanted) for row in range(rows)])
        for row, annotator, label, more in answers:
            ledger.record([Given("pool", row, annotator, label, **more)])


SAID = [
    (0, "ann", 1, {"seconds": 10.0}),
    (0, "ann", 0, {"seconds": 20.0}),  # a correction costs nothing
    (1, "ann", 1, {"seconds": 30.0}),
    (2, "ann", None, {"seconds": 60.0}),
    (3, "ann", 1, {}),
    (3, "ann", None, {"undo": True}),
    (0, "bob", 0, {}),
    (1, "bob", 0, {"cost": 0.25}),
]


def shown(table):
    return {
        row[0].text: dict(zip(table.header[1:], [entry.text for entry in row[1:]], strict=True))
        for row in table.entries()
    }


def test_each_annotator_has_labels_money_time_and_agreement(tmp_path):
    bought(tmp_path, SAID)
    ann, bob = shown(annotators_table([read_answers(tmp_path / "ledger.sqlite")])).values()
    assert ann == {
        "labels": "2",
        "skips": "1",
        "corrections": "2",
        "cost": "4.5",
        "cost / label": "2.25",
        "median seconds": "25.0",
        "labels / hour": "60",
        "agreement, %": "50",
    }
    assert (bob["cost"], bob["labels / hour"], bob["median seconds"]) == ("1.75", "–", "–")


def test_runs_are_added_up_and_labels_of_the_data_are_no_annotators(tmp_path):
    bought(tmp_path, SAID)
    run = read_answers(tmp_path / "ledger.sqlite")
    assert shown(annotators_table([run, run]))["ann"]["labels"] == "4"
    bought(tmp_path / "gold", [(0, "gold", 1, {})])
    assert annotators_table([read_answers(tmp_path / "gold" / "ledger.sqlite")]) is None


def test_the_report_of_a_run_has_its_annotators_its_curve_and_no_figure_of_a_random_run(tmp_path, capsys):
    run = tmp_path / "run"
    write_cell(run, (10, 20, 40), (0.5, 0.7, 0.8), stopped=None)
    bought(run, [(0, HOSTILE, 1, {}), (1, "bob", 1, {})])
    report(run)
    pages = {kind: (run / "report" / f"report.{kind}").read_text() for kind in ("md", "html", "tex")}
    out = capsys.readouterr().out
    assert "+2.00" in pages["md"], "20 points for 10 cost units"
    assert "compare this strategy with random" in pages["md"]
    assert {path.name for path in (run / "report").iterdir()} >= {"money.png", "money.svg"}
    for text in (*pages.values(), out):
        assert "\x1b[31m" not in text
    assert "<img src=x" not in pages["html"] + pages["md"]
    assert not re.search(r"(?<!\\)\[x\]\(java", pages["md"])
    assert "bob" in out


def test_a_run_that_waits_for_its_first_labels_is_told_of(tmp_path, capsys):
    bought(tmp_path, SAID)
    report(tmp_path)
    assert "No round has ended yet." in capsys.readouterr().out


def grid(folder, last, seeds, costs=(10, 20, 30)):
    for name, curves in last.items():
        for seed in range(seeds):
            here = folder / "news" / name / f"seed_{seed:02d}"
            write_cell(here, costs, [value + 0.01 * seed for value in curves], costs=costs)
            bought(here, [(0, "LLM", 1, {"cost": 0.02})])


def blocks_of(folder):
    return grid_blocks(folder, load_grid(folder).cells, read(folder))


def row_of(folder, name):
    row = shown_with_spread(
        next(block for block in blocks_of(folder) if getattr(block, "name", "") == "money-baseline")
    )
    return row[name]


def shown_with_spread(table):
    return {row[0].text: [f"{entry.text} {entry.spread}".strip() for entry in row[1:]] for row in table.entries()}


def test_a_grid_tells_what_random_costs_for_the_score_that_both_reach(tmp_path):
    grid(tmp_path, {"policy": (0.4, 0.6, 0.8), "random": (0.4, 0.5, 0.6)}, seeds=3)
    assert row_of(tmp_path, "policy") == [
        "news",
        "61.0",
        "20 (20 … 20)",
        "30 (30 … 30)",
        "1.5 (1.5 … 1.5)",
        "81.0",
        "> 30 (> 30 … > 30)",
    ]
    report(tmp_path)
    text = (tmp_path / "report" / "report.md").read_text()
    assert "| LLM | 6 |" in text.split("## Money")[1]
    assert "(money.png)" in text


def test_where_random_had_more_money_its_cost_is_a_number(tmp_path):
    grid(tmp_path, {"policy": (0.4, 0.5, 0.6)}, seeds=1)
    grid(tmp_path, {"random": (0.4, 0.5, 0.8)}, seeds=1, costs=(10, 20, 50))
    row = row_of(tmp_path, "policy")
    assert row[1:4] == ["60.0", "30", "30"]
    assert row[-1] == "30", "one seed, no interval"


@pytest.mark.filterwarnings("error")
def test_the_interval_comes_from_the_seeds(tmp_path):
    generator = np.random.default_rng(0)
    for name, end in (("policy", 0.8), ("random", 0.7)):
        for seed in range(5):
            here = tmp_path / "news" / name / f"seed_{seed:02d}"
            write_cell(here, (10, 20, 30), [0.4, (0.4 + end) / 2, end + generator.normal(0, 0.03)])
            bought(here, [(0, "LLM", 1, {})])
    low, high = map(float, re.search(r"\((\S+) … (\S+)\)", row_of(tmp_path, "policy")[2]).groups())
    assert 110 <= low < high <= 130


def test_a_grid_without_random_or_without_annotators_says_no_figure(tmp_path):
    grid(tmp_path / "one", {"policy": (0.4, 0.6, 0.8)}, seeds=1)
    assert "no finished run of" in blocks_of(tmp_path / "one")[-1]
    write_cell(tmp_path / "gold" / "news" / "policy" / "seed_00", (10, 20), (0.4, 0.5))
    assert blocks_of(tmp_path / "gold") == []
