"""Long work says in the log how long it takes."""

import logging

import pytest

from lit_react.core import progress
from lit_react.core.progress import followed


@pytest.fixture
def seconds(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The clock, a list of one number that tests move."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


@pytest.mark.parametrize(
    ("of_a_part", "parts", "said"),
    [
        (1.0, 20, ["Reading: about 16 s left"]),
        (5.0, 61, ["Reading: about 5 min left"]),
        (1.0, 8, []),
        (0.1, 30, []),
    ],
)
def test_an_estimate_is_told_once_where_much_is_left(of_a_part, parts, said, seconds, caplog) -> None:
    caplog.set_level(logging.INFO, "lit_react")
    for _ in followed(range(parts), "Reading", parts, bar=False):
        seconds[0] += of_a_part
    assert caplog.messages == said


def test_a_bar_needs_no_line(seconds, caplog, capsys) -> None:
    caplog.set_level(logging.INFO, "lit_react")
    for _ in followed(range(20), "Reading", 20, bar=True):
        seconds[0] += 1
    assert not caplog.messages
    assert "Reading" in capsys.readouterr().err
