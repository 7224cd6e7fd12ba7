"""Classes that annotators found: each is a skip whose note names it, until the run has the class."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress

from lit_react.annotation.answers import Given, Where
from lit_react.annotation.desk import Desk, name_of
from lit_react.annotation.oracles import Answer

LONGEST = 60
"""Characters of a name."""


def found_classes(answers: Mapping[Where, Sequence[Given]]) -> Counter[str]:
    """The names that the answers that hold give no class yet, and of how many texts."""
    return Counter(name for given in answers.values() for name in {each.new_class for each in given} if name)


def join_classes(answers: Iterable[Given], desk: Desk) -> None:
    """Make labels of those answers whose class the run has by now: corrections, which cost nothing more."""
    for given in answers:
        if given.new_class:
            label = Answer(name_of(given.split, given.row), given.new_class, given.annotator, note=given.remark)
            with suppress(ValueError):  # no class yet
                desk.take([label])


def advice(found: Mapping[str, int]) -> str:
    """What to do about the classes that were found, in one line; nothing where there are none."""
    if not found:
        return ""
    names = ", ".join(f"{name!r} ({texts} text{'s' * (texts != 1)})" for name, texts in found.items())
    return (
        f"Annotators named classes that the run has not: {names}. Add those that you want at the end of "
        "data.label_names: the same command learns their texts with the next round that it buys"
    )
