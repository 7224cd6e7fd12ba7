import re
import string
from collections import Counter

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from nltk.tokenize import NLTKWordTokenizer

from lit_react.tasks.answer_metrics import AnswerScores, cmrc_units

ENGLISH = ["the", "The", "a", "an", "cat", "cats'", "don't", ",", ".", '"', "-", "3.5", "naïve", "(sat)", "U.S.", "\t"]
CHINESE = [*"北京大学，。《“”…·—", "……", "Apple", "cannot", "don't", "'s", "3.5", "1,000", "...", *",.!()[%$'\"-~«é"]
LANGUAGES = {"en": ENGLISH, "zh": CHINESE}


def texts(language):
    pieces = st.tuples(st.sampled_from(LANGUAGES[language]), st.sampled_from(["", " "]))
    return st.lists(pieces.map("".join), max_size=7).map("".join)


def items(language):
    return st.lists(st.tuples(texts(language), st.lists(texts(language), min_size=1, max_size=3)), max_size=4)


def measured(questions, language):
    metric = AnswerScores(language)
    metric.update([predicted for predicted, _ in questions], [answers for _, answers in questions])
    return {name: float(value) for name, value in metric.compute()[0].items()}


class Squad:
    """https://rajpurkar.github.io/SQuAD-explorer/ evaluate-v2.0.py: normalize_answer to get_raw_scores."""

    @staticmethod
    def normalize(s):
        s = "".join(ch for ch in s.lower() if ch not in set(string.punctuation))
        return " ".join(re.sub(re.compile(r"\b(a|an|the)\b", re.UNICODE), " ", s).split())

    @classmethod
    def f1(cls, a_gold, a_pred):
        gold_toks, pred_toks = cls.normalize(a_gold).split(), cls.normalize(a_pred).split()
        num_same = sum((Counter(gold_toks) & Counter(pred_toks)).values())
        if len(gold_toks) == 0 or len(pred_toks) == 0:
            return int(gold_toks == pred_toks)
        if num_same == 0:
            return 0
        precision, recall = 1.0 * num_same / len(pred_toks), 1.0 * num_same / len(gold_toks)
        return (2 * precision * recall) / (precision + recall)

    @classmethod
    def scores(cls, prediction, answers):
        golds = [answer for answer in answers if cls.normalize(answer)] or [""]
        exact = max(int(cls.normalize(gold) == cls.normalize(prediction)) for gold in golds)
        return exact, max(cls.f1(gold, prediction) for gold in golds)


class Cmrc:
    """https://github.com/ymcui/cmrc2018 squad-style-data/cmrc2018_evaluate.py, without Punkt's sentences."""

    left_out = [*"-:_*^/\\~`+=，。：？！“”；’《》", "……", *"·、「」（）－～『』"]  # noqa: RUF012

    @classmethod
    def segments(cls, in_str):
        segs_out, temp_str = [], ""
        for char in in_str.lower().strip():
            if char in cls.left_out:
                continue
            if re.search(r"[\u4e00-\u9fa5]", char):
                segs_out += [*NLTKWordTokenizer().tokenize(temp_str), char]
                temp_str = ""
            else:
                temp_str += char
        return segs_out + NLTKWordTokenizer().tokenize(temp_str)

    @classmethod
    def remove_punctuation(cls, in_str):
        return "".join(char for char in in_str.lower().strip() if char not in cls.left_out)

    @staticmethod
    def lcs(s1, s2):
        m = [[0] * (len(s2) + 1) for _ in range(len(s1) + 1)]
        for i, j in ((i, j) for i in range(len(s1)) for j in range(len(s2))):
            m[i + 1][j + 1] = m[i][j] + 1 if s1[i] == s2[j] else 0
        return max(map(max, m))

    @classmethod
    def scores(cls, prediction, answers):
        f1s, ours = [], cls.segments(prediction)
        for answer in answers:
            gold = cls.segments(answer)
            if (common := cls.lcs(gold, ours)) == 0:
                f1s.append(0)
                continue
            precision, recall = common / len(ours), common / len(gold)
            f1s.append(2 * precision * recall / (precision + recall))
        cleaned = [cls.remove_punctuation(answer) for answer in answers]
        return int(cls.remove_punctuation(prediction) in cleaned), max(f1s)


def expected(questions, official):
    scores = [official.scores(predicted, answers) for predicted, answers in questions]
    exact, f1 = (sum(column) / len(scores) for column in zip(*scores, strict=True)) if scores else (0, 0)
    return pytest.approx({"exact_match": exact, "f1": f1}, abs=1e-6)


@settings(max_examples=100, deadline=None)
@given(questions=items("en"))
def test_english_scores_equal_squads(questions):
    assert measured(questions, "en") == expected(questions, Squad)


@settings(max_examples=100, deadline=None)
@given(questions=items("zh"))
def test_chinese_scores_equal_cmrcs(questions):
    every = [text for predicted, answers in questions for text in (predicted, *answers)]
    assume(not any(re.search(r"\.\s", Cmrc.remove_punctuation(text)) for text in every))  # no second sentence
    assert measured(questions, "zh") == expected(questions, Cmrc)


@pytest.mark.parametrize(
    ("language", "predicted", "answers", "exact", "f1"),
    [
        ("en", "The cat.", ["a cat"], 1, 1),
        ("en", "black cat sat", ["dog", "the black cat"], 0, 0.8),
        ("en", "cat cat", ["cat"], 0, 2 / 3),
        ("en", "", ["cat"], 0, 0),
        ("en", "cat", [], 0, 0),
        ("en", "", [], 1, 1),
        ("en", "the", ["", "..."], 1, 1),
        ("en", "", ["the", "cat"], 0, 0),  # SQuAD leaves out a gold answer of nothing but articles
        ("zh", "北京大学。", ["《北京大学》"], 1, 1),
        ("zh", "在北京大学", ["上海", "北京大学"], 0, 8 / 9),
        ("zh", "北大京学", ["北京大学"], 0, 0.25),  # a run, not a subsequence: one character of four and four
        ("zh", "Apple公司", ["apple 公司"], 0, 1),  # units equal, but the exact match keeps spaces
        ("zh", "", ["北京"], 0, 0),
        ("zh", "北京", [""], 0, 0),
        ("zh", "。", ["，"], 1, 0),  # as the official script has it
        ("zh", "", [], 1, 0),
    ],
)
def test_single_answers_score_as_their_scripts_say(language, predicted, answers, exact, f1):
    assert measured([(predicted, answers)], language) == pytest.approx({"exact_match": exact, "f1": f1})


@pytest.mark.parametrize(
    ("text", "units"),
    [
        ("1990年apple公司", ["1990", "年", "apple", "公", "司"]),
        ("he left. she stayed.", ["he", "left", ".", "she", "stayed", "."]),
        ("st. louis", ["st.", "louis"]),
        ("j. smith", ["j.", "smith"]),
        ("u.s. army", ["u.s.", "army"]),
    ],
)
def test_words_between_chinese_characters_are_units(text, units):
    assert cmrc_units(text) == units  # checked against Punkt's English model once, see SENTENCE_END


@pytest.mark.parametrize("language", LANGUAGES)
def test_two_processes_together_measure_what_one_does(language):
    left, right = [("the cat 北京", ["cat 北", "x"]), ("x", ["x"])], [("", ["x"])]
    ours, theirs = AnswerScores(language), AnswerScores(language)
    for metric, questions in ((ours, left), (theirs, right)):
        metric.update(*(list(column) for column in zip(*questions, strict=True)))
    ours.merge_state(theirs)
    assert {name: float(value) for name, value in ours.compute()[0].items()} == measured(left + right, language)
    ours.reset()
    ours.update(["x"], [["x"]])
    assert ours.compute() == ({"exact_match": 1, "f1": 1}, {"questions": 1})
