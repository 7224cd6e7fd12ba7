import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu import corpus_bleu, corpus_chrf

from lit_react.core.errors import UserError
from lit_react.tasks.generation_metrics import RougeScores, TranslationScores, bleu_variance

WORDS = st.sampled_from(["the", "The", "cat", "cats", "sitting", "on", "mats", ".", ",", "3.5", "don't", "naïve", "猫"])
TEXTS = st.lists(WORDS, max_size=9).map(" ".join)
REFERENCES = st.lists(WORDS, min_size=1, max_size=9).map(" ".join)
ITEMS = st.lists(st.tuples(TEXTS, st.lists(REFERENCES, min_size=1, max_size=3)), min_size=1, max_size=5)
ROUGE = ["rouge1", "rouge2", "rougeL"]


def updated(metric, items):
    metric.update([text for text, _ in items], [references for _, references in items])
    return metric


def measured(metric, items):
    return {name: float(value) for name, value in updated(metric, items).compute().items()}


def sacrebleus(items, tokenize="13a"):
    most = max(len(references) for _, references in items)
    streams = [[texts[i] if i < len(texts) else None for _, texts in items] for i in range(most)]
    predicted = [text for text, _ in items]
    bleu = corpus_bleu(predicted, streams, tokenize=tokenize, force=True)
    return {"bleu": bleu.score / 100, "chrf": corpus_chrf(predicted, streams).score / 100}


def googles(items):
    """Google's scores, the reference chosen as in https://github.com/allenai/scitldr scripts/cal-rouge.py."""
    scorer, sums = RougeScorer(ROUGE, use_stemmer=True), dict.fromkeys(ROUGE, 0.0)
    for text, references in items:
        highest, best = -1000, None
        for reference in references:
            scores = scorer.score(reference, text)
            if highest < scores["rouge1"].fmeasure:
                highest, best = scores["rouge1"].fmeasure, scores
        sums = {name: total + best[name].fmeasure for name, total in sums.items()}
    return {name: total / len(items) for name, total in sums.items()}


@settings(max_examples=60, deadline=None)
@given(items=ITEMS)
def test_bleu_and_chrf_equal_sacrebleus(items):
    assert measured(TranslationScores(), items) == pytest.approx(sacrebleus(items), abs=1e-6)


@pytest.mark.parametrize(
    "items",
    [
        [("the cat sat on the mat today .", ["the cat sat on a mat ."])],
        [("the cat sat on a mat", ["a cat sat on the mat", "the cat is on a mat now"]), ("hi", ["hi there"])],
        [("", ["a b c d"]), ("the quick brown fox jumps", ["the quick brown fox jumps over"])],
        [("", ["a b"])],
        [("a b c d e", ["a b c d e f", "a b c d"])],  # two references equally close in length
        [("abc", ["abd"])],  # shorter than chrF's longest n-gram
        [("The colour (of 3.5) isn't it?", ["The color, of 3.5, isn't it?"])],
    ],
)
def test_bleu_and_chrf_equal_sacrebleus_on_texts_that_other_implementations_count_otherwise(items):
    assert measured(TranslationScores(), items) == pytest.approx(sacrebleus(items), abs=1e-6)


def test_an_empty_reference_is_a_text_of_no_length():
    alone = measured(TranslationScores(), [("the cat sat on the mat", ["the cat sat on the mat"])])
    items = [("the cat sat on the mat", ["the cat sat on the mat"]), ("", ["", "hello"]), ("", [""])]
    assert measured(TranslationScores(), items) == alone


def test_chinese_is_split_into_characters_for_bleu():
    items = [("我喜欢吃苹果。", ["我很喜欢吃苹果。"])]
    scores = measured(TranslationScores("zh"), items)
    assert scores == pytest.approx(sacrebleus(items, "zh"), abs=1e-6)
    assert scores["bleu"] > 0.5 > measured(TranslationScores(), items)["bleu"]


@settings(max_examples=40, deadline=None)
@given(items=ITEMS)
def test_rouge_is_the_mean_of_googles_for_scitldrs_choice_of_reference(items):
    assert measured(RougeScores(), items) == pytest.approx(googles(items), abs=1e-6)


def test_the_reference_with_the_highest_rouge_1_decides_all_three():
    scores = measured(RougeScores(), [("a b c d", ["a b x y z", "d c b a"])])
    assert scores == pytest.approx({"rouge1": 1.0, "rouge2": 0.0, "rougeL": 0.25})  # the other's would be 2/7 and 4/9


def test_rouge_compares_stems():
    items = [("sitting cats", ["sits cat"])]
    assert measured(RougeScores(), items)["rouge1"] == 1


@pytest.mark.parametrize("metric", [TranslationScores(), RougeScores()])
@pytest.mark.parametrize("items", [[], [("", ["a reference"])], [("a text", [""])], [("", [""])]])
def test_nothing_scores_0(metric, items):
    metric.reset()
    assert set(measured(metric, items).values()) == {0.0}


@pytest.mark.parametrize("metric", [TranslationScores(), RougeScores()])
def test_a_text_equal_to_a_reference_scores_1(metric):
    metric.reset()
    item = ("the cats sat on the mat", ["some other text", "the cats sat on the mat"])
    assert list(measured(metric, [item]).values()) == pytest.approx([1.0] * len(metric.compute()))


@pytest.mark.parametrize("create", [TranslationScores, RougeScores])
@settings(max_examples=15, deadline=None)
@given(left=ITEMS, right=ITEMS)
def test_two_processes_together_measure_what_one_does(create, left, right):
    ours = updated(create(), left)
    ours.merge_state(updated(create(), right))
    expected = measured(create(), left + right)
    assert {name: float(value) for name, value in ours.compute().items()} == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("create", [TranslationScores, RougeScores])
def test_batches_and_a_copy_measure_what_one_update_does(create):
    items = [("the cat sat on the mat", ["a cat sat on the mat"]), ("hello there you", ["hi", "hello there"])]
    metric = create().clone()
    for item in items:
        metric.update([item[0]], [item[1]])
    assert {k: float(v) for k, v in metric.compute().items()} == pytest.approx(measured(create(), items), abs=1e-6)


@pytest.mark.parametrize(
    ("create", "module"), [(TranslationScores, "sacrebleu.metrics"), (RougeScores, "rouge_score.rouge_scorer")]
)
def test_a_missing_library_is_named_with_its_extra(create, module, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UserError, match=r"pip install -e \"\.\[generation\]\""):
        create()


def test_bleu_variance_is_the_spread_of_the_texts() -> None:
    same, other = "a dog sees the old house", "two cats leave our small boat"
    assert bleu_variance([same, same, same]) == 0
    assert bleu_variance([same, other]) > 0.8
    assert 0 < bleu_variance([same, same, other]) < bleu_variance([same, other, "nothing here at all is alike"])
    assert bleu_variance([same, other, ""]) == pytest.approx(bleu_variance(["", same, other]))
