"""A round with the label-generating GAN against one without it.

    python scripts/benchmarks/label_gan.py [--repeats 3] [--steps 100] [--data trec6]

Both ways fine-tune the packaged encoder on the packaged news (or on a folder below $LIT_REACT_DATA), in turns: the same
labels, the same steps, three rounds each. Generated labels count in all steps from 40 % on, which is the most that they
can cost: where the model does better than their generator, batches have none. The pass over the unlabeled rows and the
GAN's own training are within the fit. Ratios are of medians over rounds.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from pathlib import Path

from lit_react.cli import main as lit_react

PHASES = ("fit", "score", "select", "test")
WAYS = {
    "plain": [],
    "label_gan": ["--config", "configs/augmentation/label_gan.yaml", "--augmentation.trust.mode=always"],
}


def rounds_of(way: str, folder: Path, steps: int, data: list[str]) -> list[dict[str, float]]:
    """Seconds of each round by phase; the first, which also loads and tokenises, is left out."""
    size = ["--data.pool_size=1000", "--data.test_size=500", "--rounds.budget=200", "--acquisition.query_size=20"]
    early = ["--early_stopping.patience=100", f"--trainer.max_steps={steps}", "--wandb.mode=disabled"]
    config = ["--config", "configs/bbc_news.yaml", *WAYS[way]]
    lit_react(["fit", *config, *data, *size, *early, f"--rounds.folder={folder}"])
    return [entry["seconds"] for entry in json.loads((folder / "result.json").read_text())["rounds"]][1:4]


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--data", help="a folder below $LIT_REACT_DATA; by default the packaged news")
    options = parser.parse_args()
    data = ["--config", f"configs/compare/data/{options.data}.yaml"] if options.data else []
    seconds: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    with tempfile.TemporaryDirectory() as folder:
        for repeat in range(options.repeats):
            for way in WAYS:
                seconds[way] += rounds_of(way, Path(folder) / f"{way}_{repeat}", options.steps, data)
    print("median seconds of a round by phase")
    for way, found in seconds.items():
        phases = ", ".join(f"{name} {statistics.median(one[name] for one in found):.2f}" for name in PHASES)
        print(f"{way:10s} {statistics.median(sum(one.values()) for one in found):.2f} ({phases})")
    plain, ours = (statistics.median(sum(one.values()) for one in seconds[way]) for way in ("plain", "label_gan"))
    print(f"a round with the GAN takes {ours / plain:.2f} times as long (target: at most 1.25)")


if __name__ == "__main__":
    main()
