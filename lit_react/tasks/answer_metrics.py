"""Metrics of extractive question answering: exact match and F1 by the rules of SQuAD and of CMRC 2018."""

from __future__ import annotations

import re
import string
from collections import Counter
from difflib import SequenceMatcher
from typing import Any, Literal

import torch
from torch import Tensor
from torchmetrics import Metric

# What CMRC 2018 leaves out. Its list also has the two-character "……", which no single character equals: … stays.
CMRC_LEFT_OUT = frozenset("-:_*^/\\~`+=，。：？！“”；’《》·、「」（）－～『』")
HAN = re.compile("([\u4e00-\u9fa5])")

# nltk.word_tokenize's rules (NLTK 3.6 and later) in its order, less those for characters that a run of CMRC answers
# never has: capitals and CMRC_LEFT_OUT.
WORD_RULES = [
    (re.compile(pattern), replacement)
    for pattern, replacement in [
        (r"([«‘„])", r" \1 "),  # opening quotes
        (r'^"', "``"),
        (r"(``)", r" \1 "),
        (r"([ (\[{<])(\"|'{2})", r"\1 `` "),
        (r"(?<!\w)(')(?!(?:re|ve|ll|m|t|s|d|n)\b)(?=\w)", r"\1 "),
        (r"([^.])(\.)([\])}>\"'» ]*)\s*$", r"\1 \2 \3 "),  # punctuation
        (r"(,)([^\d])", r" \1 \2"),
        (r"(,)$", r" \1 "),
        (r"\.{2,}|[;@#$%&\u2012-\u2015]", r" \g<0> "),
        (r"([^.])(\.)([\])}>\"']*)\s*$", r"\1 \2\3 "),
        (r"[?!]", r" \g<0> "),
        (r"([^'])' ", r"\1 ' "),
        (r"[\]\[(){}<>]", r" \g<0> "),
        (r"^|$", " "),  # closing quotes and endings
        ("»", " » "),
        ("''", " '' "),
        ('"', " '' "),
        (r"\s+", " "),
        (r"([^' ])('[smd]|') ", r"\1 \2 "),
        (r"([^' ])('ll|'re|'ve|n't) ", r"\1 \2 "),
        *((rf"\b({a})({b})\b", r" \1 \2 ") for a, b in [("can", "not"), ("d", "'ye"), ("gim", "me"), ("gon", "na")]),
        *((rf"\b({a})({b})\b", r" \1 \2 ") for a, b in [("got", "ta"), ("lem", "me"), ("more", "'n")]),
        (r"\b(wan)(na)(?=\s)", r" \1 \2 "),
        (r" ('t)(is|was)\b", r" \1 \2 "),
    ]
]
# Where NLTK's Punkt would end a sentence, nearly: after a period that follows neither a single letter, nor a number,
# nor one of the commonest abbreviations.
SENTENCE_END = re.compile(
    r"(?<=[^\W\d]{2}\.)(?<!\b(?:co|dr|jr|mr|ms|sr|st|vs)\.)(?<!\b(?:col|gen|inc|ltd|mrs|rep|sen)\.)(?<!\bprof\.)\s+"
)

Language = Literal["en", "zh"]


class AnswerScores(Metric):
    """Exact match and F1 of answers, each the mean over questions of the best gold answer's.

    `en` has SQuAD's rules (`evaluate-v2.0.py`, which equals v1.1 except that an answer may be empty): lower case,
    no punctuation and articles, F1 of the words that both have. `zh` has CMRC 2018's (`cmrc2018_evaluate.py`): lower
    case, no punctuation, F1 of the longest run of Han characters and other words that both have.

    Args:
        language: of the answers, `en` or `zh`.
    """

    full_state_update = False
    exact_match: Tensor
    f1: Tensor
    questions: Tensor

    def __init__(self, language: Language = "en") -> None:
        super().__init__()
        self.language = language
        self.add_state("exact_match", torch.tensor(0), dist_reduce_fx="sum")
        self.add_state("f1", torch.tensor(0.0), dist_reduce_fx="sum")
        self.add_state("questions", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, predicted: list[str], answers: list[list[str]]) -> None:
        """Add questions: the predicted answer and the gold ones of each; a question without any has the empty one."""
        score = squad_scores if self.language == "en" else cmrc_scores
        scores = [score(ours, theirs) for ours, theirs in zip(predicted, answers, strict=True)]
        self.exact_match += sum(exact for exact, _ in scores)
        self.f1 += sum(f1 for _, f1 in scores)
        self.questions += len(scores)

    def compute(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """`exact_match` and `f1`; and the number of `questions`."""
        count = self.questions.clamp(min=1)
        return {"exact_match": self.exact_match / count, "f1": self.f1 / count}, {"questions": int(self.questions)}


def squad_scores(predicted: str, answers: list[str]) -> tuple[int, float]:
    """Exact match and F1 of one question; gold answers of nothing but articles and punctuation are left out."""
    ours = _squad_words(predicted)
    golds = [words for words in map(_squad_words, answers) if words] or [[]]
    f1 = max(
        _f1((Counter(ours) & Counter(gold)).total(), ours, gold) if ours and gold else float(ours == gold)
        for gold in golds
    )
    return int(ours in golds), f1


def cmrc_scores(predicted: str, answers: list[str]) -> tuple[int, float]:
    """Exact match and F1 of one question; nothing has an F1 of 0 with nothing, and yet is an exact match."""
    ours, golds = _without_punctuation(predicted), [_without_punctuation(answer) for answer in answers or [""]]
    units = cmrc_units(ours)
    return int(ours in golds), max(_f1(_common_run(units, gold), units, gold) for gold in map(cmrc_units, golds))


def cmrc_units(text: str) -> list[str]:
    """The units that CMRC 2018 compares: each Han character, and between them the words that NLTK would make.

    Equal to NLTK's but for sentences within a run: their ends are told by a simple rule in place of a trained model,
    which decides only whether a period within the run is a unit of its own. The text is in lower case, without
    CMRC_LEFT_OUT.
    """
    units: list[str] = []
    for run in HAN.split(text):
        for sentence in SENTENCE_END.split(run):
            for pattern, replacement in WORD_RULES:
                sentence = pattern.sub(replacement, sentence)
            units += sentence.split()
    return units


def _squad_words(text: str) -> list[str]:
    unpunctuated = "".join(character for character in text.lower() if character not in string.punctuation)
    return re.sub(r"\b(a|an|the)\b", " ", unpunctuated).split()


def _without_punctuation(text: str) -> str:
    return "".join(character for character in text.lower().strip() if character not in CMRC_LEFT_OUT)


def _common_run(ours: list[str], gold: list[str]) -> int:
    """Length of the longest run of units that both have."""
    return SequenceMatcher(None, ours, gold, autojunk=False).find_longest_match().size


def _f1(common: int, ours: list[str], gold: list[str]) -> float:
    return 2 * common / (len(ours) + len(gold)) if common else 0.0
