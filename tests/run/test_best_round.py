"""The model of a run is that of its last round, unless validation labels say that it went wrong."""

import pytest

from lit_react.run.best_round import best_round


def validated(*values: float, rows: int = 40) -> list[dict]:
    return [{"shown": ["accuracy"], "metrics": {"val/accuracy": value}, "validation": rows} for value in values]


def estimated(*values: tuple[float, float]) -> list[dict]:
    names = ("val/estimate", "val/standard_error")
    return [{"shown": ["accuracy"], "metrics": dict(zip(names, pair, strict=True)), "validation": 0} for pair in values]


@pytest.mark.parametrize(
    ("rounds", "best"),
    [
        (validated(0.5, 0.975, 0.9), 1),
        (validated(0.5, 0.975, 0.95), 2),
        (validated(0.5, 0.975, 0.95, rows=400), 1),
        (validated(0.9, 0.9), 1),
        (validated(1.0, 0.975), 1),
        (validated(1.0, 0.9), 0),
        (estimated((0.84, 0.18), (0.97, 0.1), (0.95, 0.1)), 2),
        (estimated((0.95, 0.01), (0.6, 0.1)), 1),
        ([{"shown": ["rouge"], "metrics": {}, "validation": 0}] * 3, 2),
    ],
)
def test_the_newest_round_within_its_error_of_the_best_is_kept(rounds, best) -> None:
    assert best_round(rounds) == best


def test_the_test_metric_has_no_say() -> None:
    rounds = validated(0.5, 0.9)
    rounds[0]["metrics"]["test/accuracy"], rounds[1]["metrics"]["test/accuracy"] = 0.9, 0.1
    assert best_round(rounds) == 1


def test_a_model_that_was_thrown_away_is_never_wanted_later() -> None:
    values = [0.5, 0.9, 0.8, 0.95, 0.85, 0.97, 0.7, 0.96, 1.0, 0.6]
    for rows in (10, 40, 160):
        kept = [best_round(validated(*values[: count + 1], rows=rows)) for count in range(len(values))]
        assert kept == sorted(kept)
