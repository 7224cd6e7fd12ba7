"""Metrics of named-entity recognition: whole entities are right or wrong, as the CoNLL shared tasks count them."""

from __future__ import annotations

import re
from collections import Counter
from operator import eq

import torch
from torch import Tensor
from torchmetrics import Metric

Span = tuple[str, int, int]


def spans(tags: list[str]) -> list[Span]:
    """Entities of one BIO tag sequence as (type, start, end), where tags[start:end] are the entity's.

    As `conlleval` and seqeval's default mode have it, an I- that continues no entity of its type begins one. A bare
    B or I is of type `_`.
    """
    found: list[Span] = []
    entity: tuple[str, int] | None = None
    for position, tag in enumerate([*tags, "O"]):
        prefix, _, name = tag.partition("-")
        kind = name or "_"
        if prefix == "I" and entity is not None and entity[0] == kind:
            continue
        if entity is not None:
            found.append((*entity, position))
        entity = None if prefix == "O" else (kind, position)
    return found


class EntityF1(Metric):
    """Micro precision, recall and F1 of entities and the mean F1 of their types; equal to seqeval's default mode.

    An entity counts as right if its type and both its ends are. A ratio of nothing to nothing is 0. Beside them
    `accuracy`, the share of words with the right tag, which conlleval prints too: most tags are O, so it is near 1.

    Args:
        tag_names: BIO tags by id, such as `O`, `B-PER` and `I-PER`.
    """

    full_state_update = False
    right: Tensor
    predicted: Tensor
    gold: Tensor
    tags: Tensor

    def __init__(self, tag_names: list[str]) -> None:
        super().__init__()
        for name in tag_names:
            if not re.fullmatch(r"O|[BI](-.+)?", name):
                raise ValueError(f"tag_names: {name!r} is no BIO tag: expected O, B-<type> or I-<type>")
        self.tag_names = list(tag_names)
        self.types = sorted({kind for name in tag_names for kind, _, _ in spans([name])})
        for state in ("right", "predicted", "gold"):  # int64 [types]
            self.add_state(state, torch.zeros(len(self.types), dtype=torch.long), dist_reduce_fx="sum")
        self.add_state("tags", torch.zeros(2, dtype=torch.long), dist_reduce_fx="sum")  # right ones, all

    def update(self, predicted: list[list[int]], gold: list[list[int]]) -> None:
        """Add sentences: a tag id for each word, predicted and gold."""
        right_of: Counter[str] = Counter()
        predicted_of: Counter[str] = Counter()
        gold_of: Counter[str] = Counter()
        right_tags = tags = 0
        for ours, theirs in zip(predicted, gold, strict=True):
            if len(ours) != len(theirs):
                raise ValueError(f"a sentence has {len(ours)} predicted and {len(theirs)} gold tags")
            right_tags, tags = right_tags + sum(map(eq, ours, theirs)), tags + len(ours)
            our_spans, their_spans = spans(self._names(ours)), spans(self._names(theirs))
            predicted_of.update(kind for kind, _, _ in our_spans)
            gold_of.update(kind for kind, _, _ in their_spans)
            right_of.update(kind for kind, _, _ in set(our_spans) & set(their_spans))
        self.right += self._counts(right_of)
        self.predicted += self._counts(predicted_of)
        self.gold += self._counts(gold_of)
        self.tags += torch.tensor([right_tags, tags], device=self.device)

    def compute(self) -> dict[str, Tensor]:
        """`f1`, `precision` and `recall` of all entities, `macro_f1` over types that occur in either; `accuracy`."""
        right, predicted, gold = self.right.sum(), self.predicted.sum(), self.gold.sum()
        f1, occurs = self._f1_of_types()
        return {
            "f1": 2 * right / (predicted + gold).clamp(min=1),
            "precision": right / predicted.clamp(min=1),
            "recall": right / gold.clamp(min=1),
            "macro_f1": f1[occurs].sum() / occurs.sum().clamp(min=1),
            "accuracy": self.tags[0] / self.tags[1].clamp(min=1),
        }

    def per_type_f1(self) -> dict[str, float]:
        """F1 of each type that occurs in gold or prediction, over all processes."""
        with self.sync_context():
            return self._by_type()

    def _by_type(self) -> dict[str, float]:
        f1, occurs = self._f1_of_types()
        return {kind: float(f1[i]) for i, kind in enumerate(self.types) if occurs[i]}

    def _f1_of_types(self) -> tuple[Tensor, Tensor]:
        """F1 float32 [types], and whether a type occurs, bool [types]."""
        occurring = self.predicted + self.gold
        return 2 * self.right / occurring.clamp(min=1), occurring > 0

    def _names(self, tags: list[int]) -> list[str]:
        if tags and not 0 <= min(tags) <= max(tags) < len(self.tag_names):
            raise ValueError(f"tag ids {min(tags)} to {max(tags)}: expected 0 to {len(self.tag_names) - 1}")
        return [self.tag_names[tag] for tag in tags]

    def _counts(self, of: Counter[str]) -> Tensor:
        return torch.tensor([of[kind] for kind in self.types], dtype=torch.long, device=self.device)
