"""What is learned in pretraining, and how."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from lit_react.core.bounds import expect


@dataclass
class Objective:
    """What is learned.

    Args:
        next_sentence: whether one passage follows another, beside the masked tokens.
        whole_word: mask all pieces of a word together.
        mask_share: of the tokens that are masked.
        max_length: tokens of an example, special tokens included.
    """

    next_sentence: bool = True
    whole_word: bool = False
    mask_share: float = 0.15
    max_length: int = 128

    def __post_init__(self) -> None:
        expect("objective.max_length", self.max_length, at_least=8)
        expect("objective.mask_share", self.mask_share, above=0, below=1)


@dataclass
class Training:
    """How it is learned.

    Args:
        steps: of the optimiser.
        batch_size: examples per step, of all processes together.
        learning_rate: of AdamW, at the end of the warm-up; it falls to 0 with the last step.
        warmup: share of the steps in which it rises from 0.
        validations: how often the held-out loss is measured and a checkpoint is written.
        precision: None: what the machine is fast in, see `fast_precision`.
        accelerator: `cpu`, `gpu` …; `auto` takes a GPU where there is one. Each process has one device.
    """

    steps: int = 1000
    batch_size: int = 32
    learning_rate: float = 1e-4
    warmup: float = 0.1
    validations: int = 10
    precision: Literal["bf16-mixed", "16-mixed", "32-true"] | None = None
    accelerator: str = "auto"

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "validations"):
            expect(f"training.{name}", getattr(self, name), at_least=1)
        expect("training.warmup", self.warmup, at_least=0, below=1)

    @property
    def stretch(self) -> int:
        """Steps between two validations."""
        return -(-self.steps // self.validations)


def made_of(objective: Objective, training: Training) -> dict[str, Any]:
    """What of the options decides a result: not the machine."""
    return {"objective": asdict(objective), "training": asdict(training) | {"accelerator": None}}
