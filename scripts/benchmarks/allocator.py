"""A fine-tuning round where glibc keeps what steps free, as the Makefile asks, against one where it does not.

    python scripts/benchmarks/allocator.py [--repeats 3]

Both ways fine-tune the packaged encoder on the packaged news, in turns, in processes of their own: the same labels, the
same steps, three rounds that count. By default a step's largest tensors (the gradient of the word embeddings: 47 MB)
are mapped when they are made and unmapped when they go, and the kernel fills their pages with zeros each time.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

WAYS = {
    "as it comes": {},
    "kept": {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "1000000000"},
}


def seconds_of(way: str, folder: Path) -> list[float]:
    """Of each round's fit; the first, which also loads and tokenises, is left out."""
    size = ["--data.pool_size=500", "--data.test_size=100", "--rounds.budget=180", "--acquisition.query_size=20"]
    early = ["--early_stopping.patience=100", "--trainer.max_steps=60", "--wandb.mode=disabled"]
    command = [sys.executable, "-m", "lit_react", "fit", "--config", "configs/bbc_news.yaml", *size, *early]
    others = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    subprocess.run(
        [*command, f"--rounds.folder={folder}"], env=others | WAYS[way], check=True, stdout=subprocess.DEVNULL
    )
    return [entry["seconds"]["fit"] for entry in json.loads((folder / "result.json").read_text())["rounds"]][1:]


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    repeats = parser.parse_args().repeats
    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    with tempfile.TemporaryDirectory() as folder:
        for repeat in range(repeats):
            for way in list(WAYS) if repeat % 2 else reversed(WAYS):
                seconds[way] += seconds_of(way, Path(folder) / f"{way}_{repeat}")
    default, kept = (statistics.median(seconds[way]) for way in WAYS)
    print(f"median seconds of a fit: {default:.2f} as memory comes, {kept:.2f} where it is kept: {kept / default:.2f}")


if __name__ == "__main__":
    main()
