"""Where the numbers of a run go: W&B and the Trainer's own loggers. None of them can stop a run."""

from __future__ import annotations

import hashlib
import logging
import netrc
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlparse

from lightning.pytorch.loggers import Logger, WandbLogger

if TYPE_CHECKING:
    from lit_react.data.datamodule import PoolDataModule

from lit_react.processes import is_first_process

log = logging.getLogger("lit_react")

BY_ROUND = ("pool/*", "acquisition/*", "augmentation/*", "round/*", "test/*")
"""Keys whose charts in W&B have rounds for their x-axis."""


@dataclass
class Wandb:
    """Weights & Biases; without an account nothing is asked and nothing is sent.

    Args:
        mode: `offline` writes to the run's folder (`wandb sync` sends it later), `online` sends, `disabled` does
            neither. Online without a key or a connection becomes offline, with one line that says so.
        project: name of the project.
        entity: team or user.
        name: of the run; None: the name of the run's folder.
        group: groups the runs of an experiment.
        tags: of the run.
    """

    mode: Literal["online", "offline", "disabled"] = "offline"
    project: str = "lit-react"
    entity: str | None = None
    name: str | None = None
    group: str | None = None
    tags: list[str] = field(default_factory=list)


def wandb_logger(options: Wandb, folder: Path) -> WandbLogger | None:
    """A logger with one W&B run for the whole run folder; None where W&B is off or does not start."""
    if options.mode == "disabled" or not is_first_process():
        return None
    mode: Literal["online", "offline"] = options.mode
    if mode == "online" and not _has_key():
        log.warning("W&B: no API key found (wandb login), the run is kept offline in %s", folder / "wandb")
        mode = "offline"
    attempts: tuple[Literal["online", "offline"], ...] = ("online", "offline") if mode == "online" else ("offline",)
    for attempt in attempts:
        try:
            return _start(options, attempt, folder)
        except Exception as error:
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            log.warning("W&B does not start %s (%s); the run goes on", attempt, reason)
    return None


def _has_key() -> bool:
    """Whether W&B would find a key without asking for one."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    host = urlparse(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).hostname or ""
    try:
        return netrc.netrc(os.environ.get("NETRC")).authenticators(host) is not None
    except (FileNotFoundError, netrc.NetrcParseError):
        return False


def _start(options: Wandb, mode: Literal["online", "offline"], folder: Path) -> WandbLogger:
    import wandb

    folder.mkdir(parents=True, exist_ok=True)
    run = wandb.init(
        mode=mode,
        project=options.project,
        entity=options.entity,
        name=options.name or folder.name,
        group=options.group,
        tags=options.tags,
        dir=folder,
        id=hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:16],
        resume="allow" if mode == "online" else None,
        settings=wandb.Settings(silent=True, console="off", init_timeout=30),
    )
    run.define_metric("round")
    for keys in BY_ROUND:
        run.define_metric(keys, step_metric="round")
    return WandbLogger(experiment=run)


class Tracker:
    """Sends each round's numbers to the loggers.

    Args:
        loggers: of the Trainer, W&B's among them; the same objects over all rounds.
    """

    def __init__(self, loggers: list[Logger]) -> None:
        self.loggers = loggers
        self.wandb = next((logger for logger in loggers if isinstance(logger, WandbLogger)), None)

    def config(self, path: Path) -> None:
        """Send the run's configuration."""
        import yaml

        values = yaml.safe_load(path.read_text())
        self._try(lambda: [logger.log_hyperparams(values) for logger in self.loggers])

    def round(self, entry: dict[str, Any]) -> None:
        """Send one finished round: the entry that `rounds.py` keeps, under the keys of the charts."""
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
        self._try(lambda: [logger.log_metrics(plain, step=None) for logger in self.loggers if logger is self.wandb])
        others = [logger for logger in self.loggers if logger is not self.wandb]
        self._try(lambda: [logger.log_metrics(plain, step=int(entry["round"])) for logger in others])

    def bought(
        self, round: int, entries: list[dict[str, Any]], signals: list[dict[str, Any]], data: PoolDataModule
    ) -> None:
        """Send the table of the labels that this round was the first to use.

        Args:
            round: the round.
            entries: of the ledger.
            signals: what was known of them when they were asked for, by `row`.
            data: gives texts and labels as people read them.
        """
        if self.wandb is None:
            return
        known = {entry["row"]: entry for entry in signals}
        columns = ["split", "row", "text", "label", "cost", "policy", "q_value"]
        extra = ["predicted_class", "max_probability", "margin", "entropy"]
        rows = [
            [
                entry["split"],
                entry["row"],
                *data.task.describe(data.row(entry["split"], entry["row"]), entry["label"]),
                *(entry[name] for name in columns[4:]),
                *(known.get(entry["row"], {}).get(name) for name in extra),
            ]
            for entry in entries
        ]
        logger = self.wandb
        self._try(lambda: logger.log_table(f"bought/round_{round:02d}", columns=columns + extra, data=rows))

    def finish(self, files: list[Path]) -> None:
        """Write out what the loggers hold back; send the run's files as an artifact and close W&B."""
        for logger in self.loggers:
            self._try(logger.save)
        if self.wandb is None:
            return
        run = self.wandb.experiment

        def send() -> None:
            import wandb

            artifact = wandb.Artifact(f"run-{run.id}", type="run")
            for path in files:
                if path.exists():
                    artifact.add_file(str(path))
            run.log_artifact(artifact)

        self._try(send)
        self._try(run.finish)

    def say(self, entry: dict[str, Any]) -> None:
        """Print one line for a finished round."""
        shown = [f"{split}/{entry['shown'][0]}" for split in ("val", "test")]
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
