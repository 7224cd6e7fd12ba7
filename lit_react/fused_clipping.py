"""Gradient clipping that works with fused optimisers too."""

from __future__ import annotations

import lightning as L
import torch
from lightning.pytorch.plugins.precision import MixedPrecision, Precision
from lightning.pytorch.utilities import GradClipAlgorithmType


class FusedClipping(L.LightningModule):
    """A module whose Trainer may have both `gradient_clip_val` and a fused optimiser, in any precision."""

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """As `Trainer.gradient_clip_val` says.

        Lightning refuses a fused optimiser's gradients in mixed precision, for they may still be scaled: a fused step
        divides by the scale itself, unless it is done before, as here.
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
