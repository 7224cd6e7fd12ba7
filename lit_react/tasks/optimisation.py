"""How a fit minimises its loss: the optimiser, its parameter groups, the schedule."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import lightning as L
import torch
from lightning.pytorch.cli import OptimizerCallable
from lightning.pytorch.plugins.precision import MixedPrecision, Precision
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities import GradClipAlgorithmType
from torch import Tensor
from torch.optim.lr_scheduler import LinearLR, LRScheduler, ReduceLROnPlateau
from transformers import get_scheduler

from lit_react.core.bounds import expect
from lit_react.core.errors import UserError

Schedule = Literal["linear", "cosine", "constant_with_warmup", "plateau"]

SMALL = 50e6
"""Parameters of a small model: MiniLM has 23 million, BERT-base 110."""


def adamw_for_few_labels(parameters: Iterable[Any]) -> torch.optim.Optimizer:
    """AdamW at 2e-4, and at 2e-5 where the model is not `SMALL`: a fit of few labels is too few steps for less.

    Args:
        parameters: groups of them, or themselves.
    """
    return adamw(parameters, small=2e-4, large=2e-5)


def adamw(parameters: Iterable[Any], *, small: float, large: float) -> torch.optim.Optimizer:
    """AdamW, at one rate for a model of up to `SMALL` parameters, and at another for larger ones."""
    groups = list(parameters)
    size = sum(p.numel() for group in groups for p in (group["params"] if isinstance(group, dict) else [group]))
    return torch.optim.AdamW(groups, lr=small if size <= SMALL else large, weight_decay=0.01, fused=True)


class Optimised(L.LightningModule):
    """A module with an optimiser and a schedule.

    Args:
        optimizer: builds the optimiser from the parameters, anew in each round.
        lr_scheduler: `linear`, `cosine` and `constant_with_warmup` go by optimiser step; `plateau` is driven by the
            task's metric: it divides the rate by 10 after two validations without gain.
        warmup: share of the steps in which the learning rate rises from 0 (for `plateau` from a first step above 0).
    """

    def __init__(self, optimizer: OptimizerCallable, lr_scheduler: Schedule = "linear", warmup: float = 0.1) -> None:
        super().__init__()
        expect("model.warmup", warmup, at_least=0, below=1)
        self.optimizer, self.lr_scheduler, self.warmup = optimizer, lr_scheduler, warmup
        self._plateau: ReduceLROnPlateau | None = None

    def built_optimizer(self) -> torch.optim.Optimizer:
        """AdamW or another, without weight decay on biases and norms, its rates before any schedule."""
        trainable = [parameter for parameter in self.parameters() if parameter.requires_grad]
        decayed = {"params": [p for p in trainable if p.ndim > 1]}
        plain = {"params": [p for p in trainable if p.ndim <= 1], "weight_decay": 0.0}
        return self.optimizer([decayed, plain])

    def configure_optimizers(self) -> Any:
        """The optimiser, with the schedule chosen above."""
        optimizer = self.built_optimizer()
        steps = int(self.trainer.estimated_stepping_batches)
        rising = int(self.warmup * steps)
        schedule: LRScheduler
        if self.lr_scheduler == "plateau":
            self._plateau = ReduceLROnPlateau(optimizer, mode="max", factor=0.1, patience=1)
            schedule = LinearLR(optimizer, 1 / (rising + 1), total_iters=rising)  # then leaves the rate as it finds it
        else:
            schedule = get_scheduler(self.lr_scheduler, optimizer, num_warmup_steps=rising, num_training_steps=steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """As `Trainer.gradient_clip_val` says, of a fused optimiser's gradients too.

        Lightning refuses those in mixed precision, for they may still be scaled: a fused step divides by the scale
        itself, unless it is done before, as here.
        """
        plugin = self.trainer.precision_plugin
        fused = getattr(optimizer, "_step_supports_amp_scaling", False)
        if gradient_clip_val and fused and isinstance(plugin, MixedPrecision):
            if plugin.scaler is not None:
                plugin.scaler.unscale_(optimizer)
            algorithm = GradClipAlgorithmType(gradient_clip_algorithm or GradClipAlgorithmType.NORM)
            Precision.clip_gradients(plugin, optimizer, gradient_clip_val, algorithm)
        else:
            self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)

    def _after_validation(self, value: Tensor) -> None:
        """Tell the plateau schedule the monitored metric: after each validation, be it by epochs or by steps."""
        fitting = self.trainer.state.fn == TrainerFn.FITTING and not self.trainer.sanity_checking
        if self._plateau is not None and fitting:
            self._plateau.step(float(value))

    def _finite(self, loss: Tensor) -> Tensor:
        if not torch.isfinite(loss):
            raise UserError(
                f"the loss became {loss.item()} at step {self.global_step}: "
                "lower the learning rate (model.optimizer) or use trainer.precision 32-true or bf16-mixed"
            )
        return loss
