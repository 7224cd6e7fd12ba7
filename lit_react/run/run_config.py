"""A run folder belongs to one configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from lit_react.annotation.ledger import has_purchases
from lit_react.core.errors import UserError
from lit_react.core.same_work import dotted
from lit_react.run.state import STATE

FREE = (
    "acquisition.batch_size",
    "data.eval_batch_size",
    "predictions",
    "pretraining.training.accelerator",
    "rounds.budget",
    "rounds.folder",
    "rounds.stopping",
    "trainer.accelerator",
    "trainer.devices",
    "trainer.enable_",
    "trainer.logger",
    "trainer.num_nodes",
    "trainer.strategy",
    "wandb",
)
"""Options that may change while a run goes on: where and how fast it computes, what it reports, when it ends."""
OF_THE_LABELS = ("data.", "model.class_path", "rounds.oracle", "seed_everything")
"""Options that say which labels are asked for and what they mean. Before a first round has ended, any other may be
mended, and `data.batch_size` too: the labels that it begins with are paid for, and a fit that failed is not worth more
than they are."""


def check_same_run(folder: Path, config: str) -> None:
    """Compare a configuration with the one of the run in this folder. A run begins with its first purchase.

    Until its first round has ended only what its labels depend on is compared, see `OF_THE_LABELS`. Options that only
    one of them has are left out: a later version of this package may have more.

    Args:
        folder: of the run.
        config: YAML.

    Raises:
        UserError: something was changed that is not `FREE`.
    """
    path = folder / "config.yaml"
    if not (path.exists() and has_purchases(folder / "ledger.sqlite")):
        return
    old, new = dotted(yaml.safe_load(path.read_text())), dotted(yaml.safe_load(config))
    changed = {key for key in old.keys() & new.keys() if old[key] != new[key]} | _switched(old, new)
    changed = {key for key in changed if not key.startswith(FREE)}
    if not (folder / STATE).exists():
        changed = {key for key in changed if key.startswith(OF_THE_LABELS) and key != "data.batch_size"}
    if changed:
        key = min(changed)
        more = f" (and {len(changed) - 1} more)" if len(changed) > 1 else ""
        raise UserError(
            f"{path}: this run was begun with {key} = {old.get(key, 'options')!r}, "
            f"now it is {new.get(key, 'options')!r}{more}; "
            "restore it, or choose another --rounds.folder"
        )


def _switched(old: dict[str, Any], new: dict[str, Any]) -> set[str]:
    """Names of groups that are null in one configuration and have options in the other."""
    return {
        key
        for one, other in ((old, new), (new, old))
        for key, value in one.items()
        if value is None and any(name.startswith(f"{key}.") for name in other)
    }
