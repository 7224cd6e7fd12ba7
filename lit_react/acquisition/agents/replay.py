"""Transitions (s, a, r, s') and the buffer that keeps them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Transition:
    """One purchase and what followed."""

    state: Tensor  # float32 [S]
    action: Tensor  # float32 [k, F], features of the samples that were bought
    reward: float  # in points (hundredths of the metric)
    discount: float  # γ; 0 where the run ended
    next_state: Tensor  # float32 [S]
    next_options: Tensor  # float32 [a, k', F], the batches that could be bought next
    next_mask: Tensor  # bool [a, k']
    next_default: Tensor  # bool [a], which of them are the default rule's
    next_takes: int  # how many of those options a decision takes
    members: Tensor  # bool [members], which members of the ensemble learn from it (bootstrap)
    weight: float = 1.0  # in the loss


def _pad(tensors: Sequence[Tensor]) -> Tensor:
    """Stack tensors of equal rank, zeros (False) where one is smaller."""
    shape = [max(sizes) for sizes in zip(*(t.shape for t in tensors), strict=True)]
    padded = tensors[0].new_zeros((len(tensors), *shape))
    for target, tensor in zip(padded, tensors, strict=True):
        target[tuple(slice(0, size) for size in tensor.shape)] = tensor
    return padded


class ReplayBuffer:
    """All transitions of a run, which has one for each purchase."""

    def __init__(self) -> None:
        self.transitions: list[Transition] = []

    def __len__(self) -> int:
        return len(self.transitions)

    def add(self, transition: Transition) -> None:
        """Keep a transition."""
        self.transitions.append(transition)

    def sample(self, batch_size: int, generator: torch.Generator) -> dict[str, Tensor]:
        """`batch_size` transitions drawn with replacement, each field padded to a common shape; and `action_mask`."""
        drawn = torch.randint(len(self.transitions), (batch_size,), generator=generator).tolist()
        chosen = [self.transitions[index] for index in drawn]
        columns = {
            field.name: _pad([torch.as_tensor(getattr(transition, field.name)) for transition in chosen])
            for field in fields(Transition)
        }
        return columns | {"action_mask": _pad([torch.ones(len(t.action), dtype=torch.bool) for t in chosen])}

    def state_dict(self) -> list[dict[str, Any]]:
        """Plain numbers and tensors."""
        return [asdict(transition) for transition in self.transitions]

    def load_state_dict(self, state: list[dict[str, Any]]) -> None:
        """The inverse of `state_dict`."""
        self.transitions = [Transition(**transition) for transition in state]
