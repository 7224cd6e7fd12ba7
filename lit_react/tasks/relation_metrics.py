"""The metric of relation classification: the official score of SemEval-2010 Task 8."""

from __future__ import annotations

import re

import torch
from torch import Tensor

DIRECTION = re.compile(r"\(e[12],e[12]\)$")


def relation_f1(
    confusion: Tensor, names: list[str], ignored: str | None = "Other"
) -> tuple[dict[str, Tensor], dict[str, float]]:
    """Macro-averaged F1 of relations, direction taken into account, as `semeval2010_task8_scorer-v1.2.pl` has it.

    The two directions of a relation, `Cause-Effect(e1,e2)` and `Cause-Effect(e2,e1)`, are one relation; the right
    relation in the wrong direction counts against its precision and its recall; a class without a direction is a
    relation of its own, and the `ignored` one is none. The mean is over the relations that occur in the gold labels. A
    ratio of nothing to nothing is 0. `confusion` is int64 [C, C]: how often each class (row) was taken for each
    (column).

    Returns:
        the official score `f1`, and `precision` and `recall`, which the script prints beside it; F1 of each relation,
        0 where it does not occur.
    """
    undirected = [DIRECTION.sub("", name) for name in names]
    relations = sorted({*undirected} - {ignored})
    belongs = torch.tensor([[one == relation for one in undirected] for relation in relations], device=confusion.device)
    counts = torch.stack([confusion.diagonal(), confusion.sum(0), confusion.sum(1)])
    right, predicted, gold = (belongs.long().unsqueeze(1) * counts).sum(-1).T
    f1, occurs = 2 * right / (predicted + gold).clamp(min=1), gold > 0

    def mean(values: Tensor) -> Tensor:
        return values[occurs].sum() / occurs.sum().clamp(min=1)

    scalars = {
        "f1": mean(f1),
        "precision": mean(right / predicted.clamp(min=1)),
        "recall": mean(right / gold.clamp(min=1)),
    }
    return scalars, dict(zip(relations, f1.tolist(), strict=True))
