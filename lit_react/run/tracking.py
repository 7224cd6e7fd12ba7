"""Where the numbers of a run go: W&B and the Trainer's own loggers. None of them can stop a run."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import CSVLogger, Logger, WandbLogger
from lightning.pytorch.loggers.logger import DummyLogger

from lit_react.acquisition.estimate import ESTIMATE
from lit_react.core.processes import is_first_process
from lit_react.core.wandb_logger import Wandb, log_round, wandb_logger
from lit_react.data.pool_data import PoolData
from lit_react.run.record import RECORD

log = logging.getLogger("lit_react")

SENT = (RECORD, "config.yaml", "ledger.sqlite", "result.json", "learning_curve.png")
"""Files of the run that W&B keeps with it."""


def tracker_of(given: Logger | Sequence[Logger] | bool | None, wandb: Wandb, folder: Path) -> Tracker:
    """A tracker of the loggers in the Trainer's options, and of W&B's unless one of them is.

    Args:
        given: loggers, which are used as they are; True: a CSV file in the folder; False or None: none.
        wandb: where W&B keeps the run.
        folder: of the run.
    """
    own = CSVLogger(folder, name="logs") if given is True else given
    loggers = [own] if isinstance(own, Logger) else list(own) if isinstance(own, Sequence) else []
    if wandb.mode == "disabled" or any(isinstance(logger, WandbLogger) for logger in loggers):
        return Tracker(loggers, None, wandb.texts)
    made = wandb_logger(wandb, folder)
    return Tracker([*loggers, made or DummyLogger()], made, wandb.texts)


class Tracker:
    """Sends each round's numbers to the loggers.

    Args:
        loggers: of the Trainer, W&B's among them; the same objects over all rounds.
        own: that of them whose run of W&B is ours to end; None: it is the user's, or there is none.
        texts: whether texts and labels go there too.
    """

    def __init__(self, loggers: list[Logger], own: WandbLogger | None, texts: bool) -> None:
        self.loggers, self.texts = loggers, texts
        self.wandb = next((logger for logger in loggers if isinstance(logger, WandbLogger)), None)
        self.own = own

    def config(self, options: dict[str, Any]) -> None:
        """Send what the run is made of."""
        self._try(lambda: [logger.log_hyperparams(options) for logger in self.loggers])

    def round(self, entry: dict[str, Any]) -> None:
        """Send one finished round: the entry that `RunState` keeps, under the keys of the charts."""
        if is_first_process():
            self.say(entry)
        numbers = {
            "round": entry["round"],
            "pool/labeled": entry["labeled"],
            "pool/cost": entry["cost"],
            "acquisition/reward": entry["reward"],
            **{f"acquisition/{name}": value for name, value in entry["q"].items()},
            **{name if name.startswith("test/") else f"round/{name}": v for name, v in entry["metrics"].items()},
            **{f"augmentation/{name}": value for name, value in entry.get("augmentation", {}).items()},
            **{f"round/seconds_{name}": value for name, value in entry["seconds"].items()},
        }
        plain = {name: float(value) for name, value in numbers.items() if isinstance(value, int | float)}
        if is_first_process() and (own := self.wandb) is not None:
            self._try(lambda: log_round(own, plain))
        others = [logger for logger in self.loggers if logger is not self.wandb]
        self._try(lambda: [logger.log_metrics(plain, step=int(entry["round"])) for logger in others])

    def bought(self, round: int, entries: list[dict[str, Any]], signals: list[dict[str, Any]], data: PoolData) -> None:
        """Send the table of the labels that this round was the first to use.

        Args:
            round: the round.
            entries: of the ledger; those of other rounds are left out.
            signals: what was known of them when they were asked for, by `row`.
            data: gives texts and labels as people read them.
        """
        if self.wandb is None:
            return
        known = {entry["row"]: entry for entry in signals}
        columns = ["split", "row", "cost", "policy", "q_value"]
        extra = ["predicted_class", "max_probability", "margin", "entropy"]
        rows = [
            [
                *(entry[name] for name in columns),
                *(known.get(entry["row"], {}).get(name) for name in extra),
                *(data.task.describe(data.row(entry["split"], entry["row"]), entry["label"]) if self.texts else ()),
            ]
            for entry in entries
            if entry["round"] == round and entry["label"] is not None
        ]
        columns += [*extra, *(("text", "label") if self.texts else ())]
        logger = self.wandb
        self._try(lambda: logger.log_table(f"bought/round_{round:02d}", columns=columns, data=rows))

    def finish(self, folder: Path) -> None:
        """Write out what the loggers hold back; send the run's files in its folder as an artifact and close W&B."""
        for logger in self.loggers:
            self._try(logger.save)
        if self.own is None:
            return
        run = self.own.experiment

        def send() -> None:
            import wandb

            artifact = wandb.Artifact(f"run-{run.id}", type="run")
            for path in (folder / name for name in SENT if self.texts or name != "ledger.sqlite"):
                if path.exists():
                    artifact.add_file(str(path))
            run.log_artifact(artifact)

        self._try(send)
        self._try(run.finish)

    def say(self, entry: dict[str, Any]) -> None:
        """Print one line for a finished round."""
        shown = [ESTIMATE, *(f"{split}/{entry['shown'][0]}" for split in ("val", "test"))]
        metrics = "  ".join(f"{name} {100 * entry['metrics'][name]:.1f}" for name in shown if name in entry["metrics"])
        reward = "" if entry["reward"] is None else f"  reward {100 * entry['reward']:+.1f}"
        bought = f"  next batch by {entry['q']['proposal']}" if "proposal" in entry["q"] else ""
        print(f"round {entry['round']}: {entry['labeled']} labels  {metrics}{reward}{bought}", flush=True)

    def _try(self, send: Callable[[], object]) -> None:
        """A tracker that fails costs a chart, never a label."""
        try:
            send()
        except Exception as error:
            log.warning("tracking failed and was skipped: %s: %s", type(error).__name__, error)
