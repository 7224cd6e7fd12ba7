import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from seqeval.metrics import accuracy_score, classification_report
from seqeval.metrics.sequence_labeling import get_entities

from lit_react.tasks.entity_metrics import EntityMetrics, spans

TAGS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC", "B-time-span", "I-time-span"]
TYPES = ["PER", "LOC", "time-span"]
TAG_IDS = st.integers(0, len(TAGS) - 1)
SENTENCES = st.lists(st.lists(st.tuples(TAG_IDS, TAG_IDS), max_size=8), min_size=1, max_size=5)


def measured(predicted, gold):
    metric = EntityMetrics(TYPES)
    metric.update(predicted, gold)
    scalars, tables = metric.compute()
    return {name: float(value) for name, value in scalars.items()}, tables["per_type_f1"]


def ids(*sentences):
    return [[TAGS.index(tag) for tag in sentence.split()] for sentence in sentences]


def seqevals(predicted, gold):
    names = [[[TAGS[tag] for tag in sentence] for sentence in sentences] for sentences in (gold, predicted)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # seqeval's remarks on ratios of nothing to nothing
        report = classification_report(*names, output_dict=True)
    micro, macro = report.pop("micro avg"), report.pop("macro avg")
    report.pop("weighted avg")
    scalars = {"f1": micro["f1-score"], "precision": micro["precision"], "recall": micro["recall"]}
    scalars |= {"macro_f1": macro["f1-score"], "accuracy": accuracy_score(*names)}
    return scalars, {kind: row["f1-score"] for kind, row in report.items()}


@settings(max_examples=60, deadline=None)
@given(pairs=SENTENCES)
def test_scores_equal_seqevals(pairs):
    predicted, gold = ([[pair[side] for pair in sentence] for sentence in pairs] for side in (0, 1))
    if not any(map(spans, predicted + gold)):
        return  # seqeval fails without any entity
    scalars, types = measured(predicted, gold)
    expected_scalars, expected_types = seqevals(predicted, gold)
    assert scalars == pytest.approx(expected_scalars, abs=1e-6)
    assert types == pytest.approx(expected_types, abs=1e-6)


@settings(max_examples=100, deadline=None)
@given(tags=st.lists(TAG_IDS, max_size=10))
def test_spans_equal_seqevals_entities(tags):
    expected = get_entities([TAGS[tag] for tag in tags])
    assert spans(tags) == [(TYPES.index(kind), first, last + 1) for kind, first, last in expected]


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ("I-PER I-PER O", [("PER", 0, 2)]),
        ("O I-LOC", [("LOC", 1, 2)]),
        ("B-PER I-LOC I-LOC", [("PER", 0, 1), ("LOC", 1, 3)]),
        ("B-PER B-PER I-PER", [("PER", 0, 1), ("PER", 1, 3)]),
        ("O O", []),
        ("", []),
    ],
)
def test_an_inside_tag_that_continues_nothing_begins_an_entity(tags, expected):
    assert [(TYPES[kind], start, end) for kind, start, end in spans(*ids(tags))] == expected


def test_a_part_of_an_entity_is_no_match():
    scalars, types = measured(ids("B-PER O B-LOC"), ids("B-PER I-PER B-LOC"))
    assert scalars == {"f1": 0.5, "precision": 0.5, "recall": 0.5, "macro_f1": 0.5, "accuracy": pytest.approx(2 / 3)}
    assert types == {"PER": 0.0, "LOC": 1.0}


@pytest.mark.parametrize("sentences", [[], [[]], [[0, 0], [0]]])
def test_no_entities_at_all_score_0(sentences):
    scalars, types = measured(sentences, sentences)
    assert scalars.pop("accuracy") == any(sentences)
    assert set(scalars.values()) == {0.0}
    assert types == {}


@pytest.mark.parametrize(("predicted", "gold"), [("O O", "B-PER O"), ("B-PER O", "O O")])
def test_entities_on_one_side_only_score_0(predicted, gold):
    scalars, types = measured(ids(predicted), ids(gold))
    assert scalars.pop("accuracy") == 0.5
    assert set(scalars.values()) == {0.0}
    assert types == {"PER": 0.0}


def test_a_type_that_only_the_prediction_has_lowers_the_mean_over_types():
    scalars, types = measured(ids("B-PER B-LOC"), ids("B-PER O"))
    assert types == {"PER": 1.0, "LOC": 0.0}
    assert scalars["macro_f1"] == 0.5


def test_entities_of_different_sentences_are_different():
    assert measured(ids("B-PER", "O"), ids("O", "B-PER"))[0]["f1"] == 0


@settings(max_examples=20, deadline=None)
@given(left=SENTENCES, right=SENTENCES)
def test_two_processes_together_measure_what_one_does(left, right):
    metrics = EntityMetrics(TYPES), EntityMetrics(TYPES), EntityMetrics(TYPES)
    for metric, pairs in zip(metrics, (left, right, left + right), strict=True):
        predicted, gold = ([[pair[side] for pair in sentence] for sentence in pairs] for side in (0, 1))
        metric.update(predicted, gold)
    metrics[0].merge_state(metrics[1])
    assert metrics[0].compute() == metrics[2].compute()


def test_the_table_of_types_counts_the_other_processes_entities(monkeypatch):
    metric = EntityMetrics(TYPES)
    metric.update(ids("B-PER"), ids("B-PER"))
    counts = ([0, 0, 0], [0, 2, 0], [0, 0, 0], [0, 0])  # right, predicted, gold, tags
    others = iter(map(torch.tensor, counts))
    monkeypatch.setattr("torchmetrics.metric.gather_all_tensors", lambda ours, group: [ours, next(others)])
    metric.distributed_available_fn = lambda: True
    assert metric.compute()[1]["per_type_f1"] == {"LOC": 0.0, "PER": 1.0}


def test_reset_forgets_what_was_counted():
    metric = EntityMetrics(TYPES)
    metric.update(ids("B-PER"), ids("O"))
    metric.reset()
    metric.update(ids("B-PER"), ids("B-PER"))
    assert metric.compute()[0]["f1"] == 1


def test_sentences_of_unequal_lengths_are_refused():
    with pytest.raises(ValueError, match="longer than"):
        EntityMetrics(TYPES).update([[0]], [[0, 0]])
