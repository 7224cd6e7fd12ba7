"""A folder holds one work: what it was begun with may not change while it goes on."""

from __future__ import annotations

import fcntl
import json
from pathlib import Path
from typing import IO, Any

from lit_react.core.errors import UserError
from lit_react.core.files import write_json


def check_same_making(path: Path, made_of: dict[str, Any], what: str) -> None:
    """Compare what a folder's work is made of with what it was begun with; the first call writes that down.

    Args:
        path: the file, in the folder.
        made_of: JSON values; their order counts. Keys that are left out are not compared.
        what: names the work.

    Raises:
        UserError: a value was changed.
    """
    if not path.exists():
        write_json(path, made_of)
    old, new = json.loads(path.read_text()), json.loads(json.dumps(made_of))
    for key, value in new.items():
        if json.dumps(old.get(key)) != json.dumps(value):
            raise UserError(f"{path}: this {what} was begun with other {key}; restore it, or choose another folder")


def hold(folder: Path) -> IO[bytes]:
    """Keep a folder from other processes until what is returned is closed, as it is where this process dies.

    Raises:
        UserError: another has it.
    """
    lock = (folder / ".lock").open("wb")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise UserError(f"folder: another process works in {folder} ({error.strerror}); choose another") from error
    return lock


def dotted(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """A nested mapping as one of dotted names."""
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        flat |= dotted(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return flat
