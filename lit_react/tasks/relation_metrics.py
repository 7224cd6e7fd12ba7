"""The metric of relation classification: the official score of SemEval-2010 Task 8."""

from __future__ import annotations

import re

import torch
from torch import Tensor
from torchmetrics import Metric

DIRECTION = re.compile(r"\(e[12],e[12]\)$")


class RelationF1(Metric):
    """Macro-averaged F1 of relations, direction taken into account, as `semeval2010_task8_scorer-v1.2.pl` has it.

    The two directions of a relation, `Cause-Effect(e1,e2)` and `Cause-Effect(e2,e1)`, are one relation; the right
    relation in the wrong direction counts against its precision and its recall. The mean is over the relations that
    occur in the gold labels. A ratio of nothing to nothing is 0.

    Args:
        label_names: class names by label; one without a direction is a relation of its own.
        ignored: the class that is no relation and has no part in the mean, if there is such a class.
    """

    full_state_update = False
    relation_of: Tensor
    right: Tensor
    predicted: Tensor
    gold: Tensor

    def __init__(self, label_names: list[str], ignored: str | None = "Other") -> None:
        super().__init__()
        undirected = [DIRECTION.sub("", name) for name in label_names]
        relations = sorted({*undirected} - {ignored})
        self.relations = relations
        ids = {name: i for i, name in enumerate([*relations, ignored])}  # the ignored class comes last
        self.register_buffer("relation_of", torch.tensor([ids[name] for name in undirected]), persistent=False)
        for state in ("right", "predicted", "gold"):  # int64 [relations]
            self.add_state(state, torch.zeros(len(relations), dtype=torch.long), dist_reduce_fx="sum")

    def update(self, predicted: Tensor, labels: Tensor) -> None:
        """Add a batch: predicted labels, int64 [b], or probabilities, [b, C]; and gold labels, int64 [b]."""
        predicted = predicted.argmax(-1) if predicted.ndim == 2 else predicted
        self.right += self._counts(labels[predicted == labels])
        self.predicted += self._counts(predicted)
        self.gold += self._counts(labels)

    def compute(self) -> dict[str, Tensor]:
        """Means over relations: the official score is `f1`; `precision` and `recall` are those printed beside it."""
        occurs = self.gold > 0

        def mean(values: Tensor) -> Tensor:
            return values[occurs].sum() / occurs.sum().clamp(min=1)

        return {
            "f1": mean(self._f1_of_relations()),
            "precision": mean(self.right / self.predicted.clamp(min=1)),
            "recall": mean(self.right / self.gold.clamp(min=1)),
        }

    def per_relation_f1(self) -> dict[str, float]:
        """F1 of each relation, 0 where it does not occur, over all processes."""
        with self.sync_context():
            return dict(zip(self.relations, self._f1_of_relations().tolist(), strict=True))

    def _f1_of_relations(self) -> Tensor:
        return 2 * self.right / (self.predicted + self.gold).clamp(min=1)

    def _counts(self, labels: Tensor) -> Tensor:
        """How often each relation occurs among the labels, int64 [relations]."""
        count = len(self.relations)
        return torch.bincount(self.relation_of[labels], minlength=count + 1)[:count]
