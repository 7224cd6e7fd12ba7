"""Multi-label classification: any number of labels for a text, none included."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import datasets
import numpy as np
import torch
from lightning.pytorch.cli import OptimizerCallable
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence
from torchmetrics import MetricCollection
from torchmetrics.classification import MultilabelExactMatch, MultilabelF1Score

from lit_react.annotation.costs import ConstantCost
from lit_react.annotation.ledger import Label
from lit_react.core.errors import UserError
from lit_react.data.encoding import Batch, EncodedTable, TokenTable, cache_folder, tokenize
from lit_react.data.label_sets import names_in, number_label_sets
from lit_react.data.tables import Source, Split
from lit_react.tasks.fine_tuning import FineTuning
from lit_react.tasks.lora import LoRA
from lit_react.tasks.optimisation import Schedule
from lit_react.tasks.text_classification import TextClassification
from lit_react.tasks.transformer import MINILM

THRESHOLD = 0.5
"""A label is predicted above this probability."""


class MultiLabelMetrics(nn.Module):
    """Micro-F1 over all (text, label) pairs, macro-F1 over labels, subset accuracy; F1 of each label beside them.

    Args:
        names: name of each of the L labels, 2 or more.
    """

    def __init__(self, names: list[str]) -> None:
        super().__init__()
        self.names, count = names, len(names)
        self.scalars = MetricCollection(
            {
                "micro_f1": MultilabelF1Score(count, threshold=THRESHOLD, average="micro"),
                "macro_f1": MultilabelF1Score(count, threshold=THRESHOLD, average="macro"),
                "subset_accuracy": MultilabelExactMatch(count, threshold=THRESHOLD),
            }
        )
        self.per_label = MultilabelF1Score(count, threshold=THRESHOLD, average="none")

    def update(self, probabilities: Tensor, targets: Tensor) -> None:
        """Add a batch: probabilities float32 [b, L], targets int64 [b, L] of 0 and 1."""
        self.scalars.update(probabilities, targets)
        self.per_label.update(probabilities, targets)

    def compute(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Scalars by name; F1 by label."""
        per_label = dict(zip(self.names, self.per_label.compute().tolist(), strict=True))
        return self.scalars.compute(), {"labels": self.names, "per_label_f1": per_label}

    def reset(self) -> None:
        """Forget what was measured."""
        self.scalars.reset()
        self.per_label.reset()


class LabelSetTable(TokenTable):
    """Token ids of a split whose labels are sets."""

    def batch(self, rows: Sequence[int] | NDArray[np.int64], labels: Sequence[Label] | None = None) -> Batch:
        """As `TokenTable`, but `labels` int64 [b, m] are the ids of each row's set, -1 after their end."""
        batch = super().batch(rows)
        if labels is not None:
            ids = [torch.tensor(label, dtype=torch.int64) for label in labels]
            batch["labels"] = pad_sequence(ids, batch_first=True, padding_value=-1)
        return batch


class MultiLabelClassification(TextClassification):
    """Fine-tune a pretrained model with a sigmoid for each of L labels, independent of each other.

    A label, as JSON has it, is the sorted list of the ids of a text's labels; `[]` is none of them. People answer with
    a list of names. A text costs L units by default, one for each label that is judged, whatever the answer is:
    budgets count judgements. `data.cost: ConstantCost` makes it 1 a text.

    A text is summed up over the C = L + 1 classes "label l" and "none": their probabilities are p_l and ∏(1 − p_l),
    divided by their sum. A bought set counts as its first label in the order of the ids (state features and coverage
    of classes know one class a text). `entropy` is the mean of the labels' binary entropies, scaled to at most log C;
    `margin` the least |2p − 1| of all labels (Brinker 2006); `max_probability` the mean of max(p, 1 − p);
    `mutual_information` the sum of the labels' own.

    `pipeline("text-classification", folder, top_k=None, function_to_apply="sigmoid")` reads the exported model.

    Args:
        pretrained: a folder, a hub name (`bert-base-cased`), or `package:NAME/FOLDER` inside an installed package.
        label_names: name of each label's id; set from the data. None: those of the checkpoint (`predict`).
        max_length: texts are cut at so many tokens.
        optimizer: builds the optimiser from the parameters, anew in each round.
        lr_scheduler: `linear`, `cosine`, `constant_with_warmup`, or `plateau` (driven by the validation metric).
        warmup: share of the steps in which the learning rate rises from 0.
        class_weights: `balanced` weighs the texts that have a label by those without it / those with it, label by
            label, among the texts bought so far.
        mc_samples: forward passes with dropout for BALD's mutual information, where a strategy needs it.
        compile: compile the transformer with `torch.compile` (worth it on GPUs, with large pools).
        lora: train low-rank adapters and the head instead of all weights (`pip install -e ".[lora]"`).
        fine_tuning: new top layers and learning rates by layer, for few labels; None: neither. Not with `lora`.
        separator: between the names where a set is one string, as in CSV files and in people's answers.
    """

    label_column = "labels"
    shown = ("micro_f1", "macro_f1")
    augmentable = frozenset({"texts"})

    def __init__(
        self,
        pretrained: str = MINILM,
        label_names: list[str] | None = None,
        max_length: int = 128,
        optimizer: OptimizerCallable = lambda p: torch.optim.AdamW(p, lr=2e-5, weight_decay=0.01, fused=True),
        lr_scheduler: Schedule = "linear",
        warmup: float = 0.1,
        class_weights: Literal["none", "balanced"] = "none",
        mc_samples: int = 10,
        compile: bool = False,
        lora: LoRA | None = None,
        fine_tuning: FineTuning | None = None,
        separator: str = "|",
    ) -> None:
        super().__init__(
            pretrained,
            label_names,
            max_length,
            optimizer,
            lr_scheduler,
            warmup,
            class_weights,
            mc_samples=mc_samples,
            compile=compile,
            lora=lora,
            fine_tuning=fine_tuning,
        )
        if not separator.strip():
            raise UserError(f"model.separator: {separator!r} is no separator, expected such as '|' or ','")
        self.separator = separator

    def metrics(self) -> MultiLabelMetrics:  # type: ignore[override]
        """Of the labels that the data or the checkpoint names."""
        self._check_classes()
        return MultiLabelMetrics(self.names)

    # ---- rows and labels ------------------------------------------------------------------------------------

    def read(
        self,
        tables: Mapping[str, Split],
        text_column: str | None = None,
        label_column: str | None = None,
        label_names: list[str] | None = None,
    ) -> Source:
        """Texts, and sets numbered by `number_label_sets`."""
        label_column = self.label_column if label_column is None else label_column
        return number_label_sets(tables, text_column or self.text_column, label_column, label_names, self.separator)

    def encode(self, table: datasets.Dataset) -> EncodedTable:
        """Token ids, in an Arrow file."""
        encoded = tokenize(table, self.tokenizer, max_length=self.max_length, cache=cache_folder())
        return LabelSetTable(encoded.tokens, pad_id=encoded.pad_id)

    @property
    def default_cost(self) -> ConstantCost:
        """L for each text: so many labels are judged."""
        return ConstantCost(len(self.names))

    def class_of(self, label: Label) -> int:
        """The lowest id of the set; L where it is empty."""
        return label[0] if label else len(self.names)

    def parse(self, answer: Any, row: dict[str, Any]) -> Label:
        """The sorted ids of a list of names, or of a string of names with separators."""
        given = names_in(answer, self.separator) if isinstance(answer, str) else answer
        if not isinstance(given, list):
            raise ValueError(f"{answer!r} is no list: expected one of some of {', '.join(self.names)}")
        unknown = next((name for name in given if name not in self.names), None)
        if unknown is not None:
            raise ValueError(f"unknown label {unknown!r}: expected some of {', '.join(self.names)}")
        return sorted({self.names.index(name) for name in given})

    def describe(self, row: dict[str, Any], label: Label) -> tuple[str, str]:
        """The text and the names of its labels."""
        return row["text"], ", ".join(self.names[number] for number in label) or "(none)"

    # ---- the model ------------------------------------------------------------------------------------------

    def _config(self) -> dict[str, Any]:
        return super()._config() | {"problem_type": "multi_label_classification"}

    def targets(self, batch: Batch) -> Tensor:
        """The sets of a batch as 0 and 1, int64 [b, L]."""
        ids, count = batch["labels"], len(self.names)
        hot = torch.zeros(len(ids), count + 1, dtype=torch.int64, device=ids.device)
        return hot.scatter_(1, torch.where(ids < 0, count, ids), 1)[:, :count]

    def on_train_start(self) -> None:
        """Weights of the texts that have a label, where they are asked for; 1 for a label that none has."""
        if self.class_weights == "balanced":
            loader = self.trainer.train_dataloader
            assert loader is not None, "a fit has a training loader"
            ids = torch.tensor([number for label in loader.dataset.labels for number in label], dtype=torch.int64)
            having = torch.bincount(ids, minlength=len(self.names)).float()
            lacking = (len(loader.dataset.labels) - having).clamp(min=1)
            self._weight = torch.where(having > 0, lacking / having.clamp(min=1), 1.0).to(self.device)

    def loss(self, batch: Batch) -> Tensor:
        """Binary cross-entropy, mean over texts and labels, in float32."""
        logits = self.logits(batch).float()
        return F.binary_cross_entropy_with_logits(logits, self.targets(batch).float(), pos_weight=self._weight)

    def evaluate(self, batch: Batch, metrics: MultiLabelMetrics) -> Tensor:  # type: ignore[override]
        """Binary cross-entropy without weights."""
        logits, targets = self.logits(batch).float(), self.targets(batch)
        metrics.update(logits.sigmoid(), targets)
        return F.binary_cross_entropy_with_logits(logits, targets.float())

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

    def outputs(self, batch: Batch) -> dict[str, Any]:
        """`probabilities` float32 [b, L], each in [0, 1]."""
        return {"probabilities": self.logits(batch).float().sigmoid()}

    def prediction(self, output: dict[str, Any], row: dict[str, Any]) -> dict[str, Any]:
        """`text`, `labels` (names of those above 0.5) and `probabilities` (name → probability)."""
        shares = {name: round(float(p), 6) for name, p in zip(self.names, output["probabilities"], strict=True)}
        labels = [name for name, p in zip(self.names, output["probabilities"], strict=True) if p > THRESHOLD]
        return {"text": row["text"], "labels": labels, "probabilities": shares}
