import re
from collections import Counter, defaultdict

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lit_react.tasks.relation_metrics import relation_f1

NAMES = ["Other", *(f"{name}({pair})" for name in ("Cause-Effect", "Message-Topic") for pair in ("e1,e2", "e2,e1"))]
LABELS = st.integers(0, len(NAMES) - 1)
PAIRS = st.lists(st.tuples(LABELS, LABELS), min_size=1, max_size=30)


def measured(predicted, gold, names=NAMES, **options):
    confusion = torch.zeros(len(names), len(names), dtype=torch.long)
    for ours, theirs in zip(predicted, gold, strict=True):
        confusion[theirs, ours] += 1
    scalars, relations = relation_f1(confusion, names, **options)
    return {name: float(value) for name, value in scalars.items()}, relations


def named(*names):
    return [NAMES.index(name) for name in names]


def official(proposed_labels, answer_labels):
    """The third evaluation of `semeval2010_task8_scorer-v1.2.pl` (Preslav Nakov, in SemEval2010_task8_all_data.zip)."""
    confusion = defaultdict(Counter)
    all_proposed, all_answer = Counter(), Counter()
    for proposed, answer in zip(proposed_labels, answer_labels, strict=True):  # 2.4 and 3.2
        proposed_relation, answer_relation = (re.sub(r"\(e[12],e[12]\)$", "", label) for label in (proposed, answer))
        if proposed != answer and proposed_relation == answer_relation:
            confusion["WRONG_DIR"][answer_relation] += 1
            all_proposed["WRONG_DIR"] += 1
        else:
            confusion[proposed_relation][answer_relation] += 1
            all_proposed[proposed_relation] += 1
        all_answer[answer_relation] += 1
    sums = Counter({"precision": 0.0, "recall": 0.0, "f1": 0.0})
    for label in all_answer:  # 8
        right, wrong_direction = confusion[label][label], confusion["WRONG_DIR"][label]
        precision = 0 if all_proposed[label] == 0 else 100 * right / (all_proposed[label] + wrong_direction)
        recall = 100 * right / all_answer[label]
        f1 = 0 if precision + recall == 0 else 2 * precision * recall / (precision + recall)
        if label != "Other":
            sums.update({"precision": precision, "recall": recall, "f1": f1})
    distinct = len(all_answer) - ("Other" in all_answer)  # 10
    return {name: value / distinct / 100 for name, value in sums.items()} if distinct else dict.fromkeys(sums, 0)


@settings(max_examples=100, deadline=None)
@given(pairs=PAIRS)
def test_scores_equal_the_official_scorers(pairs):
    predicted, gold = zip(*pairs, strict=True)
    expected = official([NAMES[label] for label in predicted], [NAMES[label] for label in gold])
    assert measured(predicted, gold)[0] == pytest.approx(expected, abs=1e-6)


def test_the_right_relation_in_the_wrong_direction_counts_against_precision_and_recall():
    gold = named("Cause-Effect(e1,e2)", "Cause-Effect(e1,e2)")
    scalars, relations = measured(named("Cause-Effect(e1,e2)", "Cause-Effect(e2,e1)"), gold)
    assert scalars == {"f1": 0.5, "precision": 0.5, "recall": 0.5}
    assert relations == {"Cause-Effect": 0.5, "Message-Topic": 0.0}


def test_directions_are_averaged_as_one_relation():
    gold = named("Cause-Effect(e1,e2)", "Cause-Effect(e1,e2)", "Cause-Effect(e2,e1)", "Message-Topic(e1,e2)")
    predicted = named("Cause-Effect(e1,e2)", "Cause-Effect(e1,e2)", "Other", "Message-Topic(e1,e2)")
    scalars, _ = measured(predicted, gold)
    assert scalars["f1"] == pytest.approx((0.8 + 1) / 2)  # not the mean of 1, 0 and 1 over three directed classes


def test_other_counts_only_where_it_is_confused_with_a_relation():
    scalars, _ = measured(named("Other", "Cause-Effect(e1,e2)"), named("Other", "Cause-Effect(e1,e2)"))
    assert scalars == {"f1": 1.0, "precision": 1.0, "recall": 1.0}
    scalars, _ = measured(named("Cause-Effect(e1,e2)", "Cause-Effect(e1,e2)"), named("Other", "Cause-Effect(e1,e2)"))
    assert scalars == pytest.approx({"f1": 2 / 3, "precision": 0.5, "recall": 1.0})


def test_a_relation_that_only_the_prediction_has_is_not_in_the_mean():
    scalars, _ = measured(named("Message-Topic(e1,e2)", "Cause-Effect(e1,e2)"), named("Other", "Cause-Effect(e1,e2)"))
    assert scalars["f1"] == 1


@pytest.mark.parametrize("gold", [[], [0, 0]])
def test_gold_labels_without_a_relation_score_0(gold):
    assert measured([1] * len(gold), gold)[0] == {"f1": 0.0, "precision": 0.0, "recall": 0.0}


def test_names_without_direction_are_relations_and_none_is_ignored_unless_it_occurs():
    names = ["USED-FOR", "PART-OF", "No(e1)"]
    scalars, relations = measured([0, 0, 2], [0, 1, 2], names)
    assert relations == pytest.approx({"USED-FOR": 2 / 3, "PART-OF": 0.0, "No(e1)": 1.0})
    assert scalars["f1"] == pytest.approx(5 / 9)
    assert measured([0, 0, 2], [0, 1, 2], names, ignored="No(e1)")[0]["f1"] == pytest.approx(1 / 3)
    assert measured([0, 0], [0, 0], ["Other", "PART-OF"], ignored=None)[0]["f1"] == 1
