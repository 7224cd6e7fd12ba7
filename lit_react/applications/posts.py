"""A stream of texts with times: JSON lines or CSV from a file, which may grow, or JSON lines from standard input."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import logging
import math
import os
import select
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lit_react.core.errors import UserError

log = logging.getLogger("lit_react")

HEAD = 4096
"""Bytes at the beginning by which a file is known again."""

LOOK_AGAIN = 0.5
"""Seconds after which a stream that has no more is looked at again."""

LONGEST = 1 << 20
"""Bytes of a record; a longer one is unreadable."""


@dataclass(frozen=True)
class Place:
    """How far a stream was read: bytes, records, and the digest of the first `HEAD` of these bytes."""

    offset: int = 0
    records: int = 0
    head: str = ""


@dataclass(frozen=True)
class Post:
    """A text of the stream; `at` is its time in seconds since 1970 (UTC), `digest` tells it from others."""

    at: float
    text: str
    digest: bytes


@dataclass(frozen=True)
class Stream:
    """Where posts come from, and the names of their columns.

    Attributes:
        source: a path (`.jsonl` or `.csv` with a header), or `-` for standard input.
        text: column of the text.
        time: column of the time: ISO 8601, UTC where it names no zone; or seconds since 1970.
        id: column that tells posts apart; those without are told apart by their texts.
        follow: at the end of the file, wait for more.
    """

    source: str
    text: str = "text"
    time: str = "time"
    id: str = "id"
    follow: bool = False

    def batches(self, place: Place, size: int) -> Iterator[tuple[list[Post | str], Place]]:
        """Posts after a place, or what is wrong with one, and the place after them; none where no more came in time.

        A last record without its end is left to the next command, unless it is whole JSON.

        Raises:
            UserError: there is no such file, it is (or becomes) another one than was read, or the first record lacks a
                column.
        """
        file = os.dup(sys.stdin.fileno()) if self.source == "-" else self._opened()
        try:
            if self.source != "-" and _changed(file, place):
                raise self._another("is not the file that was read before")
            yield from self._batches(file, place, size)
        finally:
            os.close(file)

    def _batches(self, file: int, place: Place, size: int) -> Iterator[tuple[list[Post | str], Place]]:
        csv_file, header = self.source.endswith(".csv"), None
        if csv_file and place.offset:
            beginning = io.BytesIO(os.pread(file, LONGEST, 0))
            header = self._header(next(_records(beginning, quoted=True))[0])
        batch: list[Post | str] = []
        offset, records = place.offset, place.records
        for raw, ended in _records(self._lines(file, place), csv_file):
            try:
                if csv_file and raw and not ended:
                    raise ValueError("it may go on")
                if csv_file and raw and header is None:
                    header = self._header(raw)
                else:
                    if raw.strip():
                        batch.append(self._post(_fields(raw, header)))
                    records += bool(raw)
            except (ValueError, OverflowError, RecursionError, csv.Error) as error:
                if not ended:
                    log.warning("stream: record %d has no end yet; it is left to the next command", records + 1)
                    break
                if records == 0 and isinstance(error, _NoColumn):
                    raise UserError(f"stream: {self.source}: {error}") from error
                records += 1
                batch.append(f"record {records}: {error}")
            offset += len(raw)
            if not raw or len(batch) == size:
                yield batch, self._place(file, offset, records)
                batch = []
        yield batch, self._place(file, offset, records)

    def _opened(self) -> int:
        path = Path(self.source)
        if path.suffix not in {".jsonl", ".csv"}:
            raise UserError(f"stream: {path} has an unknown format, expected .jsonl, .csv or - (JSON lines)")
        if not path.is_file():
            raise UserError(f"stream: {path}: no such file")
        return os.open(path, os.O_RDONLY)

    def _place(self, file: int, offset: int, records: int) -> Place:
        return Place(offset, records, "" if self.source == "-" else _head(file, offset))

    def _another(self, what: str) -> UserError:
        instead = "or pipe it as JSON lines to --stream -, where what was counted does not count again"
        return UserError(f"stream: {self.source} {what}; choose another --folder for it, {instead}")

    def _header(self, raw: bytes) -> list[str]:
        try:
            names = next(csv.reader(io.StringIO(raw.decode("utf-8-sig", "replace"), newline="")), [])
            self._expect_columns(dict.fromkeys(names, ""))
        except (_NoColumn, csv.Error) as error:
            raise UserError(f"stream: {self.source}: {error}") from error
        return names

    def _lines(self, file: int, place: Place) -> Iterator[bytes]:
        """Lines after a place, the last one maybe without its end; empty where more has to be waited for."""
        piped, rest, replaced = self.source == "-", b"", False
        while True:
            if piped and not select.select([file], [], [], LOOK_AGAIN)[0]:
                yield b""
                continue
            chunk = os.read(file, 1 << 16) if piped else os.pread(file, 1 << 16, place.offset)
            if not piped and (_changed(file, place) or (replaced and not chunk)):
                raise self._another("has become another file")
            if chunk:
                place = self._place(file, place.offset + len(chunk), 0)
                *whole, rest = (rest + chunk).split(b"\n")
                yield from (line + b"\n" for line in whole)
                if len(rest) > LONGEST:
                    yield rest
                    rest = b""
            elif piped or not self.follow:
                if rest:
                    yield rest
                return
            else:
                replaced = not _is_at(file, self.source)  # then one more look at what the old one still gets
                yield b""
                time.sleep(LOOK_AGAIN)

    def _expect_columns(self, fields: dict[str, Any]) -> None:
        for name in (self.text, self.time):
            if fields.get(name) is None:
                raise _NoColumn(f"expected a column {name!r}, got {', '.join(map(repr, fields)) or 'none'}")

    def _post(self, fields: dict[str, Any]) -> Post:
        self._expect_columns(fields)
        text = fields[self.text]
        if not isinstance(text, str) or not text.strip():
            raise ValueError(f"{self.text!r} is no text")
        text = text.encode("utf-8", "replace").decode()  # halves of surrogate pairs are no text
        key = ["id", fields[self.id]] if fields.get(self.id) not in (None, "") else ["text", " ".join(text.split())]
        return Post(seconds(fields[self.time]), text, hashlib.sha256(json.dumps(key).encode()).digest()[:16])


class _NoColumn(ValueError):
    """A record lacks a column."""


def _head(file: int, offset: int) -> str:
    """Digest of the first bytes, up to an offset."""
    return hashlib.sha256(os.pread(file, min(offset, HEAD), 0)).hexdigest() if offset else ""


def _changed(file: int, place: Place) -> bool:
    """Whether an open file is shorter than a place, or begins otherwise."""
    return os.fstat(file).st_size < place.offset or _head(file, place.offset) != place.head


def _is_at(file: int, path: str) -> bool:
    """Whether an open file is the one that a path leads to, or none is there."""
    try:
        return os.path.samestat(os.fstat(file), os.stat(path))
    except FileNotFoundError:
        return True


def _records(lines: Iterable[bytes], quoted: bool) -> Iterator[tuple[bytes, bool]]:
    """Lines, where quotes count all until they are closed, and whether their end is there; empty lines pass."""
    parts: list[bytes] = []
    length, inside = 0, False
    for line in lines:
        if not line:
            yield b"", True
            continue
        parts.append(line)
        length += len(line)
        inside = quoted and _in_quotes(line, inside)
        if length > LONGEST or (line.endswith(b"\n") and not inside):
            yield b"".join(parts), True
            parts, length, inside = [], 0, False
    if parts:
        yield b"".join(parts), False


def _in_quotes(line: bytes, inside: bool) -> bool:
    """Whether a quoted field goes on after a line; as for `csv`, a quote within a field without quotes is text."""
    closed = True
    for part in line.split(b'"')[:-1]:
        inside, closed = not inside and (part.endswith(b",") or (not part and closed)), inside
    return inside


def _fields(raw: bytes, header: list[str] | None) -> dict[str, Any]:
    """The fields of a record, by name."""
    if len(raw) > LONGEST:
        raise ValueError(f"longer than {LONGEST} bytes")
    text = raw.decode("utf-8-sig", "replace")
    if header is None:
        fields = json.loads(text)
        if not isinstance(fields, dict):
            raise ValueError("expected a JSON object")
        return fields
    rows = list(csv.reader(io.StringIO(text, newline="")))
    if len(rows) != 1 or len(rows[0]) != len(header):
        raise ValueError(f"expected {len(header)} columns")
    return dict(zip(header, rows[0], strict=True))


def seconds(value: Any) -> float:
    """A time as seconds since 1970 (UTC).

    Raises:
        ValueError: it is neither such a number nor ISO 8601.
    """
    text = str(value).strip()
    try:
        if isinstance(value, bool) or (isinstance(value, str) and len(text) == 8):  # 20240131 is a day
            raise ValueError
        found = float(value)
    except (TypeError, ValueError):
        try:
            moment = datetime.fromisoformat(text)
        except ValueError as error:
            raise ValueError(f"{text[:40]!r} is no time: expected ISO 8601 or seconds since 1970") from error
        found = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    if not math.isfinite(found) or not 0 <= found < 4e9:
        raise ValueError(f"{text[:40]!r} is no time between 1970 and 2096")
    return found
