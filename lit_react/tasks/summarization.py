"""Write a summary of a document."""

from __future__ import annotations

from torch import nn

from lit_react.tasks.generation_metrics import GenerationMetrics, RougeScores
from lit_react.tasks.sequence_to_sequence import SequenceToSequence


class Summarization(SequenceToSequence):
    """Columns `document` and `summary`; ROUGE-1, ROUGE-2 and ROUGE-L against the best of a row's references.

    The options are those of `SequenceToSequence`. ROUGE reads ASCII words, so it serves English and its kin.
    """

    text_column = "document"
    label_column = "summary"
    shown = ("rouge1", "rougeL")

    def metrics(self) -> nn.Module:
        """ROUGE of stems."""
        return GenerationMetrics(RougeScores())
