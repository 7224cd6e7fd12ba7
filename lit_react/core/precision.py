"""Mixed precision: which numbers a machine computes with fast."""

from __future__ import annotations

import torch


def fast_precision(accelerator: str = "auto") -> str:
    """The precision in which this machine is fast.

    `bf16-mixed` on GPUs that compute in it, `16-mixed` on older ones; on CPUs `bf16-mixed` only with AVX512-BF16 or
    AMX: without them a step under autocast is 20 times slower than in float32.

    Args:
        accelerator: the Trainer's option.
    """
    if accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available():
        return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "16-mixed"
    if accelerator in ("auto", "gpu", "mps") and torch.backends.mps.is_available():
        return "32-true"
    fast = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return "bf16-mixed" if fast else "32-true"
