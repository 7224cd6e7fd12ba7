"""Who may label: a secret for each annotator, kept in the run's folder so that links stay valid."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path

from lit_react.core.errors import UserError
from lit_react.core.files import put_in_place

TOKENS = "page_tokens.json"
"""The file, readable by its owner alone."""


def tokens_of(folder: Path, annotators: Sequence[str]) -> dict[str, str]:
    """The token of each annotator; those that are new get one, which is on the disk when this returns.

    Raises:
        UserError: the file is damaged.
    """
    path = folder / TOKENS
    try:
        known = json.loads(path.read_text()) if path.exists() else {}
        kept = {str(name): str(token) for name, token in known.items() if len(str(token)) >= 32}
    except (ValueError, AttributeError) as error:
        raise UserError(f"{path}: not a file of tokens; remove it, and everybody gets a new link") from error
    tokens = kept | {name: secrets.token_urlsafe(24) for name in annotators if name not in kept}
    if tokens != known or path.stat().st_mode & 0o077:
        folder.mkdir(parents=True, exist_ok=True)
        partial = folder / f".{TOKENS}.partial"
        partial.unlink(missing_ok=True)
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump(tokens, file, indent=2)
        put_in_place(partial, path)
    return {name: tokens[name] for name in annotators}


def owner_of(token: str, tokens: Mapping[str, str]) -> str | None:
    """Whose token this is; every one is compared, in constant time."""
    given = token.encode()
    owners = [name for name, known in tokens.items() if secrets.compare_digest(given, known.encode())]
    return owners[0] if owners else None
