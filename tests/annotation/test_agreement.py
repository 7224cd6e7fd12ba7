"""Agreement of annotators: known values, and those of scikit-learn."""

from math import isnan

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from lit_react.annotation.agreement import agreement
from lit_react.annotation.answers import Given


def answers_of(said):
    """Of annotator → a character a text, `.` where there is no answer."""
    rows = range(max(map(len, said.values())))
    return {
        ("pool", row): [Given("pool", row, who, None if word[row] == "." else word[row]) for who, word in said.items()]
        for row in rows
    }


def test_alpha_is_that_of_krippendorffs_example():
    """Computing Krippendorff's Alpha-Reliability (2011), section C: nominal data, four observers, 12 units."""
    said = {"A": "123321412...", "B": "1233224125.3", "C": ".3332342251.", "D": "12332441251."}
    every = agreement(answers_of(said))[0]
    assert every.alpha == pytest.approx(0.743, abs=5e-4)
    assert (every.annotators, every.texts) == (("A", "B", "C", "D"), 11)
    assert isnan(every.kappa)


def test_kappa_is_that_of_scikit_learn_on_the_texts_that_both_labeled():
    generator = np.random.default_rng(0)
    first, second = (generator.choice([*"abc."], 200, p=[0.5, 0.3, 0.1, 0.1]) for _ in range(2))
    second = np.where(generator.random(200) < 0.6, first, second)
    [found] = agreement(answers_of({"ann": "".join(first), "bob": "".join(second)}))
    both = (first != ".") & (second != ".")
    assert found.kappa == pytest.approx(cohen_kappa_score(first[both], second[both]))
    assert (found.texts, found.same) == (both.sum(), (first == second)[both].mean())


def test_pairs_are_told_where_they_share_a_text_and_one_label_alone_has_no_chance_to_beat():
    assert agreement(answers_of({"ann": "ab.", "bob": "..a"})) == []
    found = agreement(answers_of({"ann": "aaa.", "bob": "aa..", "eve": "..a."}))
    assert [(each.annotators, each.texts, each.same) for each in found] == [
        (("ann", "bob", "eve"), 3, 1.0),
        (("ann", "bob"), 2, 1.0),
        (("ann", "eve"), 1, 1.0),
    ]
    assert isnan(found[1].kappa)
    assert isnan(found[0].alpha)
