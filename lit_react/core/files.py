"""Files that are whole or absent, whatever happens while they are written."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that a crash leaves the old one or the new one, never a part: tmp, fsync, `os.replace`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    partial.write_bytes(content)
    put_in_place(partial, path)


def put_in_place(partial: Path, path: Path) -> None:
    """Rename a file or a folder of files, once all of it is on the disk."""
    for file in [partial] if partial.is_file() else [file for file in partial.rglob("*") if file.is_file()]:
        with file.open("rb") as opened:
            os.fsync(opened.fileno())
    os.replace(partial, path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def write_json(path: Path, content: Any) -> None:
    """`write_atomically` of indented JSON."""
    write_atomically(path, (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode())


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The rows of JSON lines that `write_lines` wrote; none where there is no file."""
    return [json.loads(line) for line in path.read_text().split("\n") if line] if path.exists() else []


def write_lines(path: Path, rows: list[dict[str, Any]], default: Callable[[Any], Any] | None = None) -> None:
    """`write_atomically` of JSON lines; `default` makes what JSON does not know something that it does."""
    lines = (json.dumps(row, ensure_ascii=False, default=default) + "\n" for row in rows)
    write_atomically(path, "".join(lines).encode())
