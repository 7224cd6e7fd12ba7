"""One run in several processes of a Ray cluster, which Ray Train starts.

    python scripts/ray_train.py --workers 2 --address auto fit --config configs/bbc_news.yaml

What follows the options is the command, as for `python -m lit_react`. The first process alone writes the run's folder;
all machines on which Ray may start it see that folder by the same path.
"""

import argparse
import os
import sys
from typing import Any

import ray
from ray.train import RunConfig, ScalingConfig
from ray.train.torch import TorchConfig, TorchTrainer
from ray.train.v2.api.exceptions import WorkerGroupError

from lit_react.cli import main as lit_react
from lit_react.experiments.executors import passed_on


def process(given: dict[str, Any]) -> None:
    """The command in one of the processes, which Ray Train has told of each other as torchrun does."""
    os.chdir(given["folder"])
    os.environ.setdefault("TORCHELASTIC_RUN_ID", "none")  # by which Lightning knows torchrun
    try:
        lit_react(given["command"])
    except SystemExit as stopped:
        if stopped.code:  # what it said is in the log; Ray ends the others, which may wait for this one
            raise RuntimeError(f"exit code {stopped.code}") from None


def main() -> None:
    """Start the processes, and wait for them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=2, help="processes")
    parser.add_argument("--gpu", action="store_true", help="a GPU for each")
    parser.add_argument("--address", help="of the cluster, or auto; none: a cluster of this machine")
    given, command = parser.parse_known_args()
    ray.init(given.address or "local", runtime_env={"env_vars": passed_on()})
    trainer = TorchTrainer(
        process,
        train_loop_config={"folder": os.getcwd(), "command": command},
        torch_config=TorchConfig(backend="nccl" if given.gpu else "gloo"),
        scaling_config=ScalingConfig(num_workers=given.workers, use_gpu=given.gpu),
        run_config=RunConfig(storage_path=os.path.join(os.getcwd(), ".ray_train")),
    )
    try:
        trainer.fit()
    except WorkerGroupError as error:
        sys.exit(f"error: {str(error).splitlines()[0]}: what the processes said is above; the same command goes on")


if __name__ == "__main__":
    main()
