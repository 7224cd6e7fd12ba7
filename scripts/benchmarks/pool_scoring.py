"""Texts and real tokens per second of the pool pass, beside a bare PyTorch loop and padding to the maximum length.

    python scripts/benchmarks/pool_scoring.py [--rows 1000] [--repeats 3] [--precision bf16-mixed] [--accelerator gpu]

All three score the same texts with the same weights in the same precision, in turns; ratios are of medians. The bare
loop has its length-sorted batches ready in memory and computes nothing but logits: the limit on this machine. A second
table says where the time of a whole round goes. Data: the BBC articles; AG News too where $LIT_REACT_DATA has it.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import datasets
import lightning as L
import numpy as np
import torch
from lightning.fabric.utilities import move_data_to_device

from lit_react.acquisition.scoring import collect_signals
from lit_react.cli import main as lit_react
from lit_react.data.pool import in_order
from lit_react.data.sources import load_texts
from lit_react.run.results import read_results
from lit_react.tasks import TextClassification

NO_SIGNALS: frozenset[str] = frozenset()


def sources() -> dict[str, datasets.Dataset]:
    found = {"bbc_news": load_texts("bbc_news")}
    ag_news = Path(os.environ.get("LIT_REACT_DATA", "")) / "ag_news" / "test.parquet"
    if ag_news.is_file():
        found["ag_news"] = load_texts(str(ag_news))
    return found


def seconds(function: Callable[[], Any]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def compare(table: datasets.Dataset, options: argparse.Namespace) -> tuple[dict[str, list[float]], int]:
    """Seconds of each way, per repeat, and the number of real tokens."""
    module = TextClassification(max_length=options.max_length)
    module = module.fresh(module.task.named(["a", "b", "c", "d"]))
    module.configure_model()
    module.eval()
    encoded = module.task.encode(table)
    quiet: dict[str, Any] = {
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    trainer = L.Trainer(
        accelerator=options.accelerator, devices=1, precision=options.precision, barebones=False, **quiet
    )
    module.to(device := trainer.strategy.root_device)
    loader = in_order(encoded, np.arange(len(encoded)), None, options.batch_size)
    sorted_batches = [move_data_to_device(encoded.batch(rows), device) for rows in loader.batch_sampler or ()]
    padded = [pad_to(batch, options.max_length) for batch in sorted_batches]

    @torch.inference_mode()
    def bare(batches: list[dict[str, torch.Tensor]]) -> None:
        with trainer.precision_plugin.forward_context():
            for batch in batches:
                module.model(
                    input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]
                ).logits.float().softmax(-1)
        if device.type == "cuda":
            torch.cuda.synchronize()

    ways = {
        "ours": lambda: collect_signals(trainer, module, loader, np.arange(len(encoded)), NO_SIGNALS),
        "bare loop": lambda: bare(sorted_batches),
        "padded to maximum": lambda: bare(padded),
    }
    bare(sorted_batches[:2])
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(options.repeats):
        for name, way in ways.items():
            taken[name].append(seconds(way))
    return taken, int(encoded.lengths.sum())


def pad_to(batch: dict[str, torch.Tensor], length: int) -> dict[str, torch.Tensor]:
    missing = length - batch["input_ids"].shape[1]
    return {name: torch.nn.functional.pad(batch[name], (0, missing)) for name in ("input_ids", "attention_mask")}


class Clock(L.Callback):
    """Seconds in forward, backward and optimiser over all rounds, validation, pool and test passes included."""

    seconds: ClassVar[dict[str, float]] = defaultdict(float)

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Listen to the transformer's forward passes; each round has a module of its own."""
        transformer = pl_module.get_submodule("model")
        transformer.register_forward_pre_hook(self._begin)
        transformer.register_forward_hook(lambda *_: self._end("forward"))

    def on_before_backward(self, *_: Any) -> None:
        """Backward begins."""
        self._begin()

    def on_after_backward(self, *_: Any) -> None:
        """Backward ends."""
        self._end("backward")

    def on_before_optimizer_step(self, *_: Any) -> None:
        """Clipping is done, the step begins."""
        self._begin()

    def on_train_batch_end(self, *_: Any, **__: Any) -> None:
        """The step ends."""
        self._end("optimiser")

    def _begin(self, *_: Any) -> None:
        self._begun = time.perf_counter()

    def _end(self, name: str) -> None:
        self.seconds[name] += time.perf_counter() - self._begun


def round_shares(options: argparse.Namespace) -> dict[str, float]:
    """Shares of three rounds of the default configuration."""
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        short = ["--rounds.folder", folder, "--rounds.budget", "160", "--wandb.mode", "disabled"]
        clocked = ["--trainer.callbacks", "__main__.Clock", "--trainer.precision", options.precision]
        clocked += ["--trainer.accelerator", options.accelerator]
        lit_react(["fit", "--config", "configs/bbc_news.yaml", *short, *clocked])
        rounds = read_results(Path(folder))["rounds"]
    total = sum(value for entry in rounds for value in entry["seconds"].values())
    shares = {name: Clock.seconds[name] / total for name in ("forward", "backward", "optimiser")}
    shares["selection"] = sum(entry["seconds"]["select"] for entry in rounds) / total
    return shares | {"everything else": 1 - sum(shares.values())}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--batch_size", type=int, default=128)
    parser.add_argument("--max_length", type=int, default=128)
    parser.add_argument("--precision", default="bf16-mixed")
    parser.add_argument("--accelerator", default="cpu")
    options = parser.parse_args()
    print("| data | way | texts/s | real tokens/s | ratio to the bare loop |\n|---|---|---|---|---|")
    for name, table in sources().items():
        table = table.select(range(min(options.rows, len(table))))
        taken, tokens = compare(table, options)
        limit = statistics.median(taken["bare loop"])
        for way, times in taken.items():
            median = statistics.median(times)
            row = (name, way, f"{len(table) / median:.0f}", f"{tokens / median:.0f}", f"{limit / median:.2f}")
            print("| " + " | ".join(row) + " |", flush=True)
    print("\n| where a round's time goes | share |\n|---|---|")
    for name, share in round_shares(options).items():
        print(f"| {name} | {100 * share:.1f} % |")


if __name__ == "__main__":
    main()
