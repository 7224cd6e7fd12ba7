"""A run folder belongs to one configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from lit_react.data.ledger import has_purchases
from lit_react.errors import UserError

FREE = (
    "trainer.accelerator",
    "trainer.devices",
    "trainer.num_nodes",
    "trainer.strategy",
    "trainer.logger",
    "trainer.enable_",
    "predictions",
    "wandb",
    "rounds.folder",
)
"""Options that do not change what a run learns; a resumed run may have others. A moved folder is the same run."""
REOPENING = ("rounds.budget", "rounds.stopping")
"""Options whose change lets a finished run go on."""


def check_same_run(folder: Path, config: str) -> bool:
    """Compare a configuration with the one of the run in this folder. A run begins with its first purchase.

    Args:
        folder: of the run.
        config: YAML.

    Returns:
        whether budget or stopping rules were changed, so that a finished run may go on.

    Raises:
        UserError: something else was changed.
    """
    path = folder / "config.yaml"
    if not (path.exists() and has_purchases(folder / "ledger.sqlite")):
        return False
    old, new = _flat(yaml.safe_load(path.read_text())), _flat(yaml.safe_load(config))
    changed = [key for key in sorted(old.keys() | new.keys()) if old.get(key) != new.get(key)]
    other = [key for key in changed if not key.startswith((*FREE, *REOPENING))]
    if other:
        key = other[0]
        more = f" (and {len(other) - 1} more)" if len(other) > 1 else ""
        raise UserError(
            f"{path}: this run was begun with {key} = {old.get(key)!r}, now it is {new.get(key)!r}{more}; "
            "restore it, or choose another --rounds.folder"
        )
    return any(key.startswith(REOPENING) for key in changed)


def _flat(tree: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(tree, dict):
        return {prefix.rstrip("."): tree}
    return {key: value for name, branch in tree.items() for key, value in _flat(branch, f"{prefix}{name}.").items()}
