"""Write a summary of a document."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from lit_react.tasks.generation_metrics import RougeScores
from lit_react.tasks.sequence_to_sequence import SequenceToSequence, WritingTask


@dataclass(frozen=True)
class SummaryTask(WritingTask):
    """Columns `document` and `summary`; ROUGE-1, ROUGE-2 and ROUGE-L against the best of a row's references."""

    text_column = "document"
    label_column = "summary"
    shown = ("rouge1", "rougeL")

    def metrics(self) -> nn.Module:
        """ROUGE of stems."""
        return RougeScores()


class Summarization(SequenceToSequence):
    """Write summaries, see `SummaryTask`. ROUGE reads ASCII words, so it serves English and its kin.

    Args:
        **options: see `SequenceToSequence`.
    """

    task_class = SummaryTask
