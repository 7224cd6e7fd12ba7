"""Steps per second of a fit, beside plain training of the same model on the same batches.

    python scripts/benchmarks/fit.py [--steps 60] [--repeats 3] [--accelerator gpu --precision bf16-mixed]

Both fine-tune `--pretrained` as transformers' sequence classifier on BBC articles, with AdamW (fused), a linear
schedule and gradients clipped at 1, in turns; the first steps of each are not timed. The plain loop has its batches
ready on the device and computes no metric: the limit on this machine.
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import Any

import lightning as L
import torch
from transformers import AutoModelForSequenceClassification, get_scheduler

from lit_react import PoolDataModule, TextClassification
from lit_react.core.precision import fast_precision
from lit_react.core.quiet import quiet
from lit_react.data.encoding import Batch
from lit_react.tasks.pretrained import MINILM, resolve

WARM = 5
"""Steps that are not timed."""
INPUTS = ("input_ids", "attention_mask", "token_type_ids", "labels")


def now() -> float:
    """Seconds, when the device has done what it was given."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


class Clock(L.Callback):
    """The batches of a fit on their device, and when the timed steps began and ended."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self.begun = self.ended = 0.0

    def on_train_batch_start(self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Batch, _: int) -> None:
        """Keep the batch; the timed steps begin after some."""
        self.batches.append({name: batch[name] for name in INPUTS if name in batch})
        if len(self.batches) == WARM + 1:
            self.begun = now()

    def on_train_end(self, *_: Any) -> None:
        """The last step is made."""
        self.ended = now()


def fitted(data: PoolDataModule, options: argparse.Namespace) -> Clock:
    """One fit of the package's module."""
    clock = Clock()
    trainer = L.Trainer(
        max_steps=options.steps,
        accelerator=options.accelerator,
        devices=1,
        precision=options.precision,
        gradient_clip_val=1.0,
        callbacks=[clock],
        limit_val_batches=0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(TextClassification(options.pretrained, max_length=options.max_length), data)
    return clock


def trained(batches: list[Batch], classes: int, options: argparse.Namespace) -> float:
    """Seconds of the timed steps of a plain loop."""
    device, mixed = batches[0]["input_ids"].device, options.precision == "bf16-mixed"
    name = resolve(options.pretrained)
    model = AutoModelForSequenceClassification.from_pretrained(name, num_labels=classes).to(device).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-4, weight_decay=0.01, fused=True)
    schedule = get_scheduler("linear", optimizer, num_warmup_steps=len(batches) // 10, num_training_steps=len(batches))
    begun = 0.0
    for step, batch in enumerate(batches):
        if step == WARM:
            begun = now()
        with torch.autocast(device.type, torch.bfloat16, enabled=mixed):
            loss = model(**batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    return now() - begun


def main() -> None:
    """Print both, and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pretrained", default=MINILM)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--batch_size", type=int, default=16)
    parser.add_argument("--max_length", type=int, default=128)
    parser.add_argument("--accelerator", default="cpu")
    parser.add_argument("--precision", choices=["32-true", "bf16-mixed"])
    options = parser.parse_args()
    options.precision = options.precision or fast_precision(options.accelerator)
    quiet()
    labels = options.batch_size * options.steps // 4  # four epochs
    data = PoolDataModule("bbc_news", test_size=10, initial_size=min(labels, 2000), batch_size=options.batch_size)
    seconds: dict[str, list[float]] = {"fit": [], "plain": []}
    for _ in range(options.repeats):
        clock = fitted(data, options)
        seconds["fit"].append(clock.ended - clock.begun)
        seconds["plain"].append(trained(clock.batches, len(data.task.names), options))
    for way, times in seconds.items():
        print(f"{way:<6} {(options.steps - WARM) / statistics.median(times):6.2f} steps/s")
    ratios = sorted(plain / fit for fit, plain in zip(seconds["fit"], seconds["plain"], strict=True))
    print(f"ratio  {statistics.median(ratios):6.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f}), {options.precision}")


if __name__ == "__main__":
    main()
