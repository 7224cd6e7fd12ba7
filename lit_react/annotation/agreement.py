"""How far annotators agree beyond chance, where several answered one question."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import nan

from lit_react.annotation.answers import Given, Where, written


@dataclass(frozen=True)
class Agreement:
    """The agreement of some annotators.

    Attributes:
        annotators: who is compared.
        texts: how many of them have the labels of two or more.
        same: share of these texts, in [0, 1], on which all said the same.
        alpha: Krippendorff's alpha for nominal labels: 1 is perfect, 0 is chance; NaN where only one label was given.
        kappa: Cohen's kappa of two annotators, on the same scale; NaN for more, or where both gave only one label.
    """

    annotators: tuple[str, ...]
    texts: int
    same: float
    alpha: float
    kappa: float


def agreement(answers: Mapping[Where, Sequence[Given]]) -> list[Agreement]:
    """All annotators together, then each two who labeled a text both; none where no text has two labels.

    Labels are compared as a whole: they are equal or not. Skips are no labels.

    Args:
        answers: (split, row) → the answers that hold, one for each annotator.
    """
    every = [[each for each in given if each.label is not None] for given in answers.values()]
    said = [{each.annotator: written(each.label) for each in given} for given in every if len(given) > 1]
    people = sorted({annotator for labels in said for annotator in labels})
    groups = [tuple(people), *(combinations(people, 2) if len(people) > 2 else ())]
    found = []
    for group in groups:
        common = [[labels[who] for who in group if who in labels] for labels in said]
        common = [labels for labels in common if len(labels) > 1]
        if common:
            same = sum(len(set(labels)) == 1 for labels in common) / len(common)
            kappa = cohen_kappa(common) if len(group) == 2 else nan
            found.append(Agreement(group, len(common), same, krippendorff_alpha(common), kappa))
    return found


def krippendorff_alpha(units: Sequence[Sequence[str]]) -> float:
    """1 less the disagreement over that of chance; each unit has the labels of two or more, in any order.

    K. Krippendorff, Computing Krippendorff's Alpha-Reliability, 2011, nominal data.
    """
    totals, n = Counter(label for unit in units for label in unit), sum(map(len, units))
    expected = (n**2 - sum(count**2 for count in totals.values())) / (n - 1)
    observed = sum(
        (len(unit) ** 2 - sum(count**2 for count in Counter(unit).values())) / (len(unit) - 1) for unit in units
    )
    return 1 - observed / expected if expected else nan


def cohen_kappa(pairs: Sequence[Sequence[str]]) -> float:
    """Agreement of two annotators beyond that of two who choose at random, each as often as they did (Cohen 1960)."""
    n, first, second = len(pairs), Counter(a for a, _ in pairs), Counter(b for _, b in pairs)
    observed = sum(a == b for a, b in pairs) / n
    chance = sum(count * second[label] for label, count in first.items()) / n**2
    return (observed - chance) / (1 - chance) if chance < 1 else nan
