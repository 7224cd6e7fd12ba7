"""Metrics of generated text: BLEU and chrF by sacreBLEU, ROUGE by Google's rouge_score (the extra `generation`)."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from itertools import permutations
from types import ModuleType
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from lit_react.core.errors import UserError

ROUGE_TYPES = ("rouge1", "rouge2", "rougeL")
_INSTALL = 'expected `pip install -e ".[generation]"`'


class TranslationScores(Metric):
    """BLEU and chrF of a corpus, each equal to sacreBLEU's with its default settings, as shares of 1.

    torchmetrics has both, but not equal to sacreBLEU: its BLEU lacks exponential smoothing and takes the first
    instead of the shortest among equally close references, its chrF counts n-gram orders that a short text lacks.
    Here sacreBLEU itself counts each segment and scores the sum of the counts, so no text is kept.

    Args:
        tokenize: sacreBLEU's tokenizer for BLEU: `13a`, `zh` for Chinese, `char`, `intl` or `none`.
    """

    full_state_update = False
    bleu_counts: Tensor
    chrf_counts: Tensor

    def __init__(self, tokenize: str = "13a") -> None:
        super().__init__()
        metrics = _sacrebleu()
        # force: no remarks on tokenized text
        self.bleu, self.chrf = metrics.BLEU(tokenize=tokenize, force=True), metrics.CHRF()
        # int64: lengths of prediction and reference, then right n-grams and n-grams of each order
        self.add_state("bleu_counts", torch.zeros(2 + 2 * self.bleu.max_ngram_order).long(), dist_reduce_fx="sum")
        # int64: for each order the n-grams of the prediction, of the best reference and of both
        self.add_state("chrf_counts", torch.zeros(3 * self.chrf.order).long(), dist_reduce_fx="sum")

    def update(self, predicted: list[str], references: list[list[str]]) -> None:
        """Add predictions, each with one or more references (not necessarily equally many)."""
        self.bleu_counts += _counts(self.bleu, predicted, references).to(self.device)
        self.chrf_counts += _counts(self.chrf, predicted, references).to(self.device)

    def compute(self) -> dict[str, Tensor]:
        """`bleu` and `chrf`."""
        scores = {
            "bleu": self.bleu._compute_score_from_stats(self.bleu_counts.tolist()),
            "chrf": self.chrf._compute_score_from_stats(self.chrf_counts.tolist()),
        }
        return {name: torch.tensor(score.score / 100, device=self.device) for name, score in scores.items()}


class RougeScores(Metric):
    """ROUGE-1, ROUGE-2 and ROUGE-L F-measures, the means over items of those for the item's best reference.

    The best reference is the first one with the highest ROUGE-1, for all three measures, as in SciTLDR's
    `cal-rouge.py`. rouge_score keeps ASCII letters and digits alone, so that text in other scripts scores 0.
    Words longer than three letters are compared by their Porter stems, the usual choice in summarisation.
    """

    full_state_update = False
    sums: Tensor
    items: Tensor

    def __init__(self) -> None:
        super().__init__()
        try:
            from rouge_score.rouge_scorer import RougeScorer
        except ImportError as error:
            raise UserError(f"ROUGE: rouge_score is not installed: {_INSTALL}") from error
        self.scorer = RougeScorer(list(ROUGE_TYPES), use_stemmer=True)
        self.add_state("sums", torch.zeros(len(ROUGE_TYPES)), dist_reduce_fx="sum")
        self.add_state("items", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, predicted: list[str], references: list[list[str]]) -> None:
        """Add predictions, each with one or more references."""
        best = [
            max((self.scorer.score(one, text) for one in accepted), key=lambda scores: scores["rouge1"].fmeasure)
            for text, accepted in zip(predicted, references, strict=True)
        ]
        self.sums += torch.tensor([sum(item[name].fmeasure for item in best) for name in ROUGE_TYPES]).to(self.device)
        self.items += len(best)

    def compute(self) -> dict[str, Tensor]:
        """`rouge1`, `rouge2` and `rougeL`."""
        return dict(zip(ROUGE_TYPES, self.sums / self.items.clamp(min=1), strict=True))


def bleu_variance(texts: Sequence[str], tokenize: str = "13a") -> float:
    """How much texts that were written for one source differ: the mean of (1 - BLEU(y_i, y_j))² over i ≠ j, in [0, 1].

    BLEU is sacreBLEU's for sentences (orders that a text is too short for are left out); equal texts have 1.
    Xiao et al. 2020, "Wat zei je? Detecting Out-of-Distribution Translations with Variational Transformers"; as an
    acquisition score Gidiotis and Tsoumakas 2022, "Should We Trust This Summary? Bayesian Abstractive Summarization
    to The Rescue". Two or more texts.
    """
    bleu = _sacrebleu().BLEU(tokenize=tokenize, force=True, effective_order=True)
    similar = [1.0 if a == b else bleu.sentence_score(a, [b]).score / 100 for a, b in permutations(texts, 2)]
    return sum((1 - one) ** 2 for one in similar) / len(similar)


def _sacrebleu() -> ModuleType:
    """Its metrics, imported where they are needed: an extra."""
    try:
        return import_module("sacrebleu.metrics")
    except ImportError as error:
        raise UserError(f"BLEU and chrF: sacreBLEU is not installed: {_INSTALL}") from error


def _counts(metric: Any, predicted: list[str], references: list[list[str]]) -> Tensor:
    """The sum of what sacreBLEU's BLEU or CHRF counts in each segment, int64 [counts].

    sacreBLEU has no public call for these counts; this method is what its own `corpus_score` begins with. Some of its
    versions take an empty reference for none at all, hence the space, of which neither metric counts anything.
    """
    segments = [
        metric._extract_corpus_statistics([text], [[reference or " "] for reference in accepted])[0]
        for text, accepted in zip(predicted, references, strict=True)
    ]
    return torch.tensor(segments).sum(0) if segments else torch.tensor(0)
