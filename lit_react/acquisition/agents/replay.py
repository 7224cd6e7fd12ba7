"""Transitions (s, a, r, s') and the buffer that keeps them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Transition:
    """One purchase and what followed.

    Attributes:
        state: float32 [S].
        action: float32 [k, F], features of the samples that were bought.
        reward: in points (hundredths of the metric).
        discount: γ; 0 where the run ended.
        next_state: float32 [S].
        next_options: float32 [a, k', F], the batches that could be bought next.
        next_mask: bool [a, k'].
        next_default: bool [a], which of them are the default rule's.
        next_takes: how many of those options a decision takes.
        members: bool [members], which members of the ensemble learn from it (bootstrap).
    """

    state: Tensor
    action: Tensor
    reward: float
    discount: float
    next_state: Tensor
    next_options: Tensor
    next_mask: Tensor
    next_default: Tensor
    next_takes: int
    members: Tensor


@dataclass(frozen=True)
class TransitionBatch:
    """Transitions padded to common shapes; attributes as in `Transition` with a leading batch axis."""

    state: Tensor
    action: Tensor
    action_mask: Tensor
    reward: Tensor
    discount: Tensor
    next_state: Tensor
    next_options: Tensor
    next_mask: Tensor
    next_default: Tensor
    next_takes: Tensor
    members: Tensor


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

    def sample(self, batch_size: int, generator: torch.Generator) -> TransitionBatch:
        """`batch_size` transitions drawn with replacement."""
        drawn = torch.randint(len(self.transitions), (batch_size,), generator=generator).tolist()
        chosen = [self.transitions[index] for index in drawn]
        return TransitionBatch(
            state=torch.stack([t.state for t in chosen]),
            action=_pad([t.action for t in chosen]),
            action_mask=_pad([torch.ones(len(t.action), dtype=torch.bool) for t in chosen]),
            reward=torch.tensor([t.reward for t in chosen]),
            discount=torch.tensor([t.discount for t in chosen]),
            next_state=torch.stack([t.next_state for t in chosen]),
            next_options=_pad([t.next_options for t in chosen]),
            next_mask=_pad([t.next_mask for t in chosen]),
            next_default=_pad([t.next_default for t in chosen]),
            next_takes=torch.tensor([t.next_takes for t in chosen]),
            members=torch.stack([t.members for t in chosen]),
        )

    def state_dict(self) -> list[dict[str, Any]]:
        """Plain numbers and tensors."""
        return [asdict(transition) for transition in self.transitions]

    def load_state_dict(self, state: list[dict[str, Any]]) -> None:
        """The inverse of `state_dict`."""
        self.transitions = [Transition(**transition) for transition in state]
