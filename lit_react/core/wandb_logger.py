"""Weights & Biases: its options, and a logger that never stops a run."""

from __future__ import annotations

import hashlib
import logging
import netrc
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import urlparse

from lightning.pytorch.loggers import WandbLogger

from lit_react.core.processes import is_first_process

log = logging.getLogger("lit_react")


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
        texts: whether texts and labels of what is bought go there too: a table a round, and the ledger at the end.
    """

    mode: Literal["online", "offline", "disabled"] = "offline"
    project: str = "lit-react"
    entity: str | None = None
    name: str | None = None
    group: str | None = None
    tags: list[str] = field(default_factory=list)
    texts: bool = True


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

    run = wandb.init(
        mode=mode,
        project=options.project,
        entity=options.entity,
        name=options.name or folder.name,
        group=options.group,
        tags=options.tags,
        dir=folder,
        id=os.environ.get("WANDB_RUN_ID") or hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:16],
        resume="allow" if mode == "online" else None,
        reinit="create_new",  # a run that the user has open stays open
        settings=wandb.Settings(silent=True, console="off", init_timeout=30),
    )
    return WandbLogger(experiment=run)


def log_round(logger: WandbLogger, numbers: dict[str, float]) -> None:
    """Send the numbers of a round, `round` among them, which is the x-axis of their charts in any run of W&B."""
    for name in numbers:
        logger.experiment.define_metric(name, step_metric=None if name == "round" else "round")
    logger.log_metrics(numbers)
