"""A file of texts that a served model did not answer, to be labeled: JSON lines that `data.source` reads."""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lit_react.core.errors import UserError

log = logging.getLogger("lit_react")

MOST = 100_000
"""Rows of a file; what comes later is not kept."""


class Collection:
    """Appends rows to a file that several processes may share; each row is there once.

    Args:
        path: of the file; what is there stays, and counts.

    Raises:
        UserError: the file cannot be written.
    """

    def __init__(self, path: Path, most: int = MOST) -> None:
        self.path, self.most = path, most
        self._seen: set[bytes] = set()
        self._failed = False
        self._read = 0  # bytes of the file that `_seen` knows
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self.add([])
        except OSError as error:
            raise UserError(f"collect: {path} cannot be written: {error.strerror}") from error

    def add(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Append the rows that are new; they are on the disk when this returns."""
        lines = [json.dumps(dict(row), ensure_ascii=False, sort_keys=True).encode() + b"\n" for row in rows]
        with open(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600), "r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # given back when the file is closed
            self._take_note(file)
            new = [line for line in dict.fromkeys(lines) if _key(line) not in self._seen]
            new = new[: max(self.most - len(self._seen), 0)]
            if new:
                file.write(b"".join(new))
                file.flush()
                os.fsync(file.fileno())
                self._seen.update(map(_key, new))
                self._read = file.tell()

    def try_to_add(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """The same; a file that cannot be written is told of, once, and does not keep rows from being answered."""
        try:
            if rows:
                self.add(rows)
        except (OSError, UserError) as error:
            if not self._failed:
                log.warning("collect: %s cannot be written, rows are lost: %s", self.path, error)
            self._failed = True

    def _take_note(self, file: Any) -> None:
        """Read what others have added; the torn last line of a process that was killed is cut off."""
        size = file.seek(0, os.SEEK_END)
        if size < self._read:  # somebody has emptied it
            self._seen, self._read = set(), 0
        file.seek(self._read)
        added = file.read()
        whole = added.rfind(b"\n") + 1
        self._seen.update(_key(line) for line in added[:whole].splitlines(keepends=True))
        self._read += whole
        file.seek(self._read)
        if not (tail := added[whole:]):
            return
        try:
            json.loads(tail)
        except ValueError:
            if not tail.startswith(b"{"):
                raise UserError(f"collect: {self.path} ends in no JSON line: expected JSON lines, or no file") from None
            file.truncate()  # a process was killed while it wrote
        else:  # a row whose line has no end: others write such files
            file.write(tail + b"\n")
            self._seen.add(_key(tail + b"\n"))
            self._read = file.tell()


def _key(line: bytes) -> bytes:
    return hashlib.blake2b(line, digest_size=16).digest()
