"""Dawid-Skene: crowd-kit's labels where there is enough to estimate, and no harm where there is not."""

import numpy as np
import pandas as pd
import pytest
from crowdkit.aggregation import DawidSkene

from lit_react.annotation.answers import Given, majority
from lit_react.annotation.dawid_skene import dawid_skene


def crowd(seed, rows, qualities, classes, per_row):
    """Answers of annotators who are right with the probability of their quality, else guess; and the truth."""
    generator = np.random.default_rng(seed)
    truth = generator.choice(classes, rows)
    answers = {}
    for row in range(rows):
        answers["pool", row] = []
        for annotator in generator.permutation(len(qualities))[:per_row]:
            right = generator.random() < qualities[annotator]
            label = int(truth[row] if right else generator.integers(classes))
            answers["pool", row].append(Given("pool", row, f"annotator {annotator}", label))
    return answers, truth


def share_right(labels, truth):
    return np.mean([labels["pool", row] == label for row, label in enumerate(truth)])


@pytest.mark.filterwarnings("ignore::Warning:crowdkit")
def test_its_labels_are_those_of_crowd_kit():
    answers, _ = crowd(1, 400, [0.95, 0.9, 0.8, 0.5, 0.4], 3, per_row=5)
    table = pd.DataFrame(
        [(row, given.annotator, given.label) for (_, row), each in answers.items() for given in each],
        columns=["task", "worker", "label"],
    )
    expected = DawidSkene(n_iter=30).fit_predict(table)
    assert dawid_skene(answers) == {("pool", row): label for row, label in expected.items()}


def test_who_errs_much_counts_little():
    answers, truth = crowd(0, 300, [0.95, 0.3, 0.3], 4, 3)
    assert share_right(dawid_skene(answers), truth) > share_right(majority(answers), truth) + 0.1


def test_a_single_answer_stands_however_rare_its_class_and_few_second_ones_do_no_harm():
    answers = {("pool", row): [Given("pool", row, "ann", int(row == 7))] for row in range(200)}
    assert dawid_skene(answers) == majority(answers)
    answers["pool", 3].append(Given("pool", 3, "bob", 0))
    answers["pool", 200] = [Given("pool", 200, "eve", 2)]
    assert dawid_skene(answers) == majority(answers)


def test_of_equally_likely_labels_the_first_that_was_given_is_taken_and_skips_are_none():
    skip = Given("pool", 0, "eve", None)
    answers = {("pool", 0): [Given("pool", 0, "ann", "b"), skip, Given("pool", 0, "bob", "a")], ("pool", 1): [skip]}
    assert dawid_skene(answers) == {("pool", 0): "b"}
    assert dawid_skene({}) == {}
