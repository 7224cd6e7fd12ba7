"""Metrics of named-entity recognition: whole entities are right or wrong, as the CoNLL shared tasks count them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric


def spans(tags: Sequence[int]) -> list[tuple[int, int, int]]:
    """Entities of one sentence as (type, start, end), where tags[start:end] are the entity's.

    As `conlleval` and seqeval's default mode have it, an I that continues no entity of its type begins one.

    Args:
        tags: ids; 0 is O, 2k + 1 and 2k + 2 are B and I of type k.
    """
    found: list[tuple[int, int, int]] = []
    entity: tuple[int, int] | None = None
    for position, tag in enumerate([*tags, 0]):
        kind, is_inside = (tag - 1) // 2, tag > 0 and tag % 2 == 0
        if is_inside and entity is not None and entity[0] == kind:
            continue
        if entity is not None:
            found.append((*entity, position))
        entity = (kind, position) if tag else None
    return found


class EntityMetrics(Metric):
    """Micro precision, recall and F1 of entities and the mean F1 of their types; equal to seqeval's default mode.

    An entity counts as right if its type and both its ends are. A ratio of nothing to nothing is 0. Beside them
    `accuracy`, the share of words with the right tag, which conlleval prints too: most tags are O, so it is near 1.

    Args:
        types: names of the types, in the order of their tags.
    """

    full_state_update = False
    right: Tensor
    predicted: Tensor
    gold: Tensor
    tags: Tensor

    def __init__(self, types: list[str]) -> None:
        super().__init__()
        self.types = types
        for state in ("right", "predicted", "gold"):  # int64 [types]
            self.add_state(state, torch.zeros(len(types), dtype=torch.long), dist_reduce_fx="sum")
        self.add_state("tags", torch.zeros(2, dtype=torch.long), dist_reduce_fx="sum")  # right ones, all

    def update(self, predicted: list[list[int]], gold: list[list[int]]) -> None:
        """Add sentences: a tag id for each word, predicted and gold."""
        ours, theirs = (
            {(row, *span) for row, tags in enumerate(rows) for span in spans(tags)} for rows in (predicted, gold)
        )
        self.right += self._counts(ours & theirs)
        self.predicted += self._counts(ours)
        self.gold += self._counts(theirs)
        pairs = [pair for both in zip(predicted, gold, strict=True) for pair in zip(*both, strict=True)]
        self.tags += torch.tensor([sum(our == their for our, their in pairs), len(pairs)], device=self.device)

    def compute(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """`f1`, `precision`, `recall`, `macro_f1` over types that occur in either, `accuracy`; and `per_type_f1`."""
        right, predicted, gold = self.right.sum(), self.predicted.sum(), self.gold.sum()
        occurring = self.predicted + self.gold
        f1, occurs = 2 * self.right / occurring.clamp(min=1), occurring > 0
        scalars = {
            "f1": 2 * right / (predicted + gold).clamp(min=1),
            "precision": right / predicted.clamp(min=1),
            "recall": right / gold.clamp(min=1),
            "macro_f1": f1[occurs].sum() / occurs.sum().clamp(min=1),
            "accuracy": self.tags[0] / self.tags[1].clamp(min=1),
        }
        per_type = {kind: float(f1[i]) for i, kind in enumerate(self.types) if occurs[i]}
        return scalars, {"labels": self.types, "per_type_f1": per_type}

    def _counts(self, found: set[tuple[int, int, int, int]]) -> Tensor:
        kinds = torch.tensor([kind for _, kind, *_ in found], dtype=torch.long, device=self.device)
        return torch.bincount(kinds, minlength=len(self.types))
