"""What is picked, chosen, bought and measured in fixed cases stays what it was when `write.py` wrote it down."""

import json
from pathlib import Path
from typing import Any

import pytest
from golden.cases import AGAIN, POOLS, RUNS, SIMULATED, Place, picks

TOLERANCE = {"rewards": 1e-6, "accuracies": 1e-6, "losses": 1e-3, "options": 1e-3}
"""Largest difference of floats by the name of what they are, absolute and relative."""

LOOSE = 1e-4
"""The like for all other floats. Options have features that are ranks, which the last bits may change by one."""


def kept(file: str) -> dict[str, Any]:
    return json.loads((Path(__file__).parent / f"{file}.json").read_text(encoding="utf-8"))


def assert_same(found: Any, expected: Any, where: str, tolerance: float = LOOSE) -> None:
    """Floats up to the tolerance, all else exactly; `where` names the first difference."""
    if isinstance(expected, dict) and isinstance(found, dict):
        assert found.keys() == expected.keys(), where
        for name in expected:
            assert_same(found[name], expected[name], f"{where}: {name}", TOLERANCE.get(name, tolerance))
    elif isinstance(expected, list) and isinstance(found, list):
        assert len(found) == len(expected), where
        for index, (one, other) in enumerate(zip(found, expected, strict=True)):
            assert_same(one, other, f"{where}[{index}]", tolerance)
    elif isinstance(expected, float) and isinstance(found, float):
        assert found == pytest.approx(expected, abs=tolerance, rel=tolerance), where
    else:
        assert found == expected, where


@pytest.fixture
def place(tmp_path: Path, news_csv: Path, tiny_bert: str) -> Place:
    return Place(tmp_path, news_csv, tiny_bert)


def test_the_files_hold_the_cases() -> None:
    cases = {"picks": POOLS, "simulated": SIMULATED, "runs": RUNS}
    assert {file: list(kept(file)) for file in cases} == {file: list(of) for file, of in cases.items()}


@pytest.mark.parametrize("pool", POOLS)
def test_strategies_pick_the_same_rows(pool: str) -> None:
    assert_same(picks(pool), kept("picks")[pool], pool)


@pytest.mark.parametrize("case", SIMULATED)
def test_simulated_rounds_choose_buy_and_learn_the_same(case: str, one_thread: None) -> None:
    assert_same(SIMULATED[case](), kept("simulated")[case], case)


@pytest.mark.parametrize("case", RUNS)
def test_runs_buy_and_measure_the_same(case: str, place: Place) -> None:
    assert_same(RUNS[case](place), kept("runs")[case], case)


@pytest.mark.parametrize("case", AGAIN)
def test_runs_that_stopped_end_as_if_they_had_not(case: str, place: Place) -> None:
    of, run = AGAIN[case]
    assert_same(run(place), kept("runs")[of], case)
