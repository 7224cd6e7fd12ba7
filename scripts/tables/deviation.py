"""What it costs to leave the prior rule early: area under the curve of test accuracy, by caution, over seeds.

    python scripts/tables/deviation.py [--seeds 4] [--folder runs/deviation]

TREC-6 with a frozen encoder, 20 + 10 x 20 labels. A cell is a run of the command line in a folder of its own; cells
that are finished are not run again.
"""

import argparse
import contextlib
import io
import statistics
from pathlib import Path

from lit_react.cli import main as lit_react
from lit_react.experiments.results import read_results

FIXED = ("--acquisition.policy", "Fixed", "--acquisition.policy.strategy")
EARLY = ("--acquisition.agent.deviation_starts", "5", "--acquisition.agent.doubt")
WAYS: dict[str, tuple[str, ...]] = {
    "default": (),
    "facility_location": (*FIXED, "facility_location"),
    "after 5 rewards, doubt 3": (*EARLY, "3"),
    "after 5 rewards, doubt 1": (*EARLY, "1"),
    "margin": (*FIXED, "margin"),
    "random": (*FIXED, "random"),
}
CONFIGS = ("--config", "configs/trec.yaml", "--config", "configs/frozen.yaml", "--wandb.mode", "disabled")


def aulc(folder: Path, seed: int, options: tuple[str, ...]) -> float:
    run = ("--rounds.folder", str(folder), "--seed_everything", str(seed))
    with contextlib.redirect_stdout(io.StringIO()):
        lit_react(["fit", *CONFIGS, *run, *options])
    return 100 * read_results(folder)["aulc"]["test/accuracy"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--folder", type=Path, default=Path("runs/deviation"))
    options = parser.parse_args()
    seeds = range(options.seeds)
    print("| way | " + " | ".join(f"seed {seed}" for seed in seeds) + " | mean |\n|---|" + "---|" * (len(seeds) + 1))
    for way, settings in WAYS.items():
        name = way.replace(" ", "_").replace(",", "")
        cells = [aulc(options.folder / name / str(seed), seed, settings) for seed in seeds]
        print(f"| {way} | " + " | ".join(f"{cell:.1f}" for cell in [*cells, statistics.mean(cells)]) + " |", flush=True)


if __name__ == "__main__":
    main()
