"""Multi-label classification: any number of labels for a text, none included."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import datasets
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchmetrics import Metric
from torchmetrics.classification import MultilabelExactMatch, MultilabelF1Score

from lit_react.annotation.answers import Label
from lit_react.annotation.costs import ConstantCost
from lit_react.core.errors import UserError
from lit_react.data.encoding import Batch, EncodedTable, cache_folder, tokenize
from lit_react.data.given_names import id_of
from lit_react.data.label_sets import names_in, number_label_sets
from lit_react.data.tables import Source, Split
from lit_react.tasks.classification_metrics import NamedMetrics
from lit_react.tasks.pretrained import MINILM
from lit_react.tasks.text_classification import ClassificationTask, TextClassification

THRESHOLD = 0.5
"""A label is predicted above this probability."""


class MultiLabelMetrics(NamedMetrics):
    """Micro-F1 over all (text, label) pairs, macro-F1 over labels, subset accuracy; F1 of each of the L labels.

    It is updated with probabilities float32 [b, L] and targets int64 [b, L] of 0 and 1.
    """

    def __init__(self, names: list[str]) -> None:
        count = len(names)
        metrics: dict[str, Metric] = {
            "micro_f1": MultilabelF1Score(count, threshold=THRESHOLD, average="micro"),
            "macro_f1": MultilabelF1Score(count, threshold=THRESHOLD, average="macro"),
            "subset_accuracy": MultilabelExactMatch(count, threshold=THRESHOLD),
            "per_label_f1": MultilabelF1Score(count, threshold=THRESHOLD, average="none"),
        }
        super().__init__(metrics, names)


@dataclass(frozen=True)
class MultiLabelTask(ClassificationTask):
    """Texts that have any number of L labels; a label, as JSON has it, is the sorted list of their ids."""

    labels_are_classes = False
    answer_form = "classes"
    label_column = "labels"
    shown = ("micro_f1", "macro_f1")

    separator: str = "|"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.separator.strip():
            raise UserError(f"model.separator: {self.separator!r} is no separator, expected such as '|' or ','")

    def metrics(self) -> nn.Module:
        """Those of the labels that the data or the checkpoint names."""
        return MultiLabelMetrics(self._checked_names())

    def source(self, tables: Mapping[str, Split], text: str, label: str, names: list[str] | None) -> Source:
        """Texts, and sets numbered by `number_label_sets`."""
        return number_label_sets(tables, text, label, names, self.separator)

    def encode(self, table: datasets.Dataset) -> EncodedTable:
        """Token ids, in an Arrow file."""
        options: dict[str, Any] = {"max_length": self.max_length, "cache": cache_folder()}
        return tokenize(table, self.tokenizer, targets=self._indicators, **options)

    def _indicators(self, labels: Sequence[Label]) -> Batch:
        """`labels` int64 [b, L]: 1 where a row has the label, else 0."""
        indicators = torch.zeros(len(labels), len(self.names), dtype=torch.int64)
        for row, label in enumerate(labels):
            indicators[row, label] = 1
        return {"labels": indicators}

    @property
    def default_cost(self) -> ConstantCost:
        """L for each text: so many labels are judged."""
        return ConstantCost(len(self.names))

    def class_of(self, label: Label) -> int:
        """The lowest id of the set; L where it is empty."""
        return label[0] if label else len(self.names)

    def classes_in(self, labels: Sequence[Label]) -> set[int]:
        """All labels that are in a set."""
        return set(chain.from_iterable(labels))

    def parse(self, answer: Any, row: dict[str, Any]) -> Label:
        """The sorted ids of a list of names, or of a string of names with separators."""
        given = names_in(answer, self.separator) if isinstance(answer, str) else answer
        if not isinstance(given, list):
            raise ValueError(f"{answer!r} is no list: expected one of some of {', '.join(self.names)}")
        return sorted({id_of(name, self.names, "some of") for name in given})

    def answer(self, label: Label) -> Any:
        """The labels' names."""
        return [self.names[number] for number in label]

    def describe(self, row: dict[str, Any], label: Label) -> tuple[str, str]:
        """The text and the names of its labels."""
        return row["text"], ", ".join(self.answer(label)) or "(none)"

    def prediction(self, output: dict[str, Any], row: dict[str, Any]) -> dict[str, Any]:
        """`text`, `labels` (names of those above 0.5) and `probabilities` (name → probability)."""
        shares = {name: round(float(p), 6) for name, p in zip(self.names, output["probabilities"], strict=True)}
        labels = [name for name, p in zip(self.names, output["probabilities"], strict=True) if p > THRESHOLD]
        return {"text": row["text"], "labels": labels, "probabilities": shares}


class MultiLabelClassification(TextClassification):
    """Fine-tune a pretrained model with a sigmoid for each of L labels, independent of each other.

    `[]` is the label of a text that has none. People answer with a list of names. A text costs L units by default, one
    for each label that is judged, whatever the answer is: budgets count judgements. `data.cost: ConstantCost` makes it
    1 a text.

    A text is summed up over the C = L + 1 classes "label l" and "none": their probabilities are p_l and ∏(1 − p_l),
    divided by their sum. A bought set counts as its first label in the order of the ids (state features and coverage
    of classes know one class a text). `entropy` is the mean of the labels' binary entropies, scaled to at most log C;
    `margin` the least |2p − 1| of all labels (Brinker 2006); `max_probability` the mean of max(p, 1 − p);
    `mutual_information` the sum of the labels' own.

    `pipeline("text-classification", folder, top_k=None, function_to_apply="sigmoid")` reads the exported model.

    Args:
        pretrained: a folder, a hub name (`bert-base-cased`), or `package:NAME/FOLDER` inside an installed package.
        separator: between the names where a set is one string, as in CSV files and in people's answers.
        **options: see `TextClassification`; `class_weights: balanced` weighs the texts that have a label by those
            without it / those with it, label by label, among the texts bought so far.
    """

    augmentable = frozenset({"texts"})
    task_class = MultiLabelTask
    task: MultiLabelTask

    def __init__(self, pretrained: str = MINILM, separator: str = "|", **options: Any) -> None:
        super().__init__(pretrained, **options)
        self.task = replace(self.task, separator=separator)

    def _config(self) -> dict[str, Any]:
        return super()._config() | {"problem_type": "multi_label_classification"}

    def balanced(self, labels: Sequence[Label]) -> Tensor:
        """Weights of the texts that have a label, float32 [L]; 1 for a label that none has."""
        ids = torch.tensor([number for label in labels for number in label], dtype=torch.int64)
        having = torch.bincount(ids, minlength=len(self.names)).float()
        return torch.where(having > 0, (len(labels) - having).clamp(min=1) / having.clamp(min=1), 1.0)

    def loss(self, batch: Batch) -> Tensor:
        """Binary cross-entropy, mean over texts and labels, in float32."""
        logits, labels = self.logits(batch).float(), batch["labels"].float()
        return F.binary_cross_entropy_with_logits(logits, labels, pos_weight=self._weight)

    def criterion(self, logits: Tensor, batch: Batch) -> Tensor:
        """Binary cross-entropy without weights."""
        return F.binary_cross_entropy_with_logits(logits, batch["labels"].float())

    def predicted(self, logits: Tensor) -> Tensor:
        """Probabilities of the labels, each in [0, 1]."""
        return logits.sigmoid()

    def certainty(self, logits: Tensor) -> dict[str, Tensor]:
        """See the class: `probabilities` float32 [b, L + 1]; `entropy`, `margin` and `max_probability` float32 [b]."""
        probabilities = logits.sigmoid()
        none = F.logsigmoid(-logits).sum(-1, keepdim=True).exp()
        summary = torch.cat([probabilities, none], dim=-1)
        binary = torch.special.entr(probabilities) + torch.special.entr((-logits).sigmoid())
        sure = (2 * probabilities - 1).abs()
        return {
            "probabilities": summary / summary.sum(-1, keepdim=True),
            "entropy": binary.mean(-1) / math.log(2) * math.log(logits.shape[-1] + 1),
            "margin": sure.amin(-1),
            "max_probability": (1 + sure.mean(-1)) / 2,
        }

    def _mutual_information(self, logits: Callable[[], Tensor]) -> Tensor:
        """float32 [b], the sum over labels: a sigmoid is a softmax over its logit and 0."""
        return super()._mutual_information(lambda: F.pad(logits().unsqueeze(-1), (0, 1))).sum(-1)
