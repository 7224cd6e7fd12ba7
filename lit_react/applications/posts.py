"""A stream of texts with times: JSON lines or CSV from a file, which may grow, or JSON lines from standard input."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import os
import select
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lit_react.core.errors import UserError

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

        Raises:
            UserError: there is no such file, it is another one than was read, or the first record lacks a column.
        """
        header = self._checked(place)
        batch: list[Post | str] = []
        offset, records = place.offset, place.records
        for raw in self._records(place.offset, quoted=header is not None):
            if raw is not None:
                is_header = header is not None and offset == 0
                try:
                    if not is_header and raw.strip():
                        batch.append(self._post(_fields(raw, header)))
                except (ValueError, OverflowError, RecursionError, csv.Error) as error:
                    if not raw.endswith(b"\n") and len(raw) <= LONGEST:
                        break  # its end is not written yet
                    if records == 0 and isinstance(error, _NoColumn):
                        raise UserError(f"stream: {self.source}: {error}") from error
                    batch.append(f"record {records + 1}: {error}")
                records += not is_header
                offset += len(raw)
            if raw is None or len(batch) == size:
                yield batch, Place(offset, records, self._head(offset))
                batch = []
        yield batch, Place(offset, records, self._head(offset))

    def _checked(self, place: Place) -> list[str] | None:
        """The header; None: the format has none."""
        path = Path(self.source)
        if self.source == "-":
            return None
        if path.suffix not in {".jsonl", ".csv"}:
            raise UserError(f"stream: {path} has an unknown format, expected .jsonl, .csv or - (JSON lines)")
        if not path.is_file():
            raise UserError(f"stream: {path}: no such file")
        if path.stat().st_size < place.offset or self._head(place.offset) != place.head:
            raise UserError(f"stream: {path} is not the file that was read before; choose another --folder for it")
        if path.suffix == ".jsonl":
            return None
        with path.open(newline="", encoding="utf-8-sig", errors="replace") as text:
            return next(csv.reader(text), [])

    def _head(self, offset: int) -> str:
        if self.source == "-" or not offset:
            return ""
        with open(self.source, "rb") as file:
            return hashlib.sha256(file.read(min(offset, HEAD))).hexdigest()

    def _records(self, offset: int, quoted: bool) -> Iterator[bytes | None]:
        """Lines, or where quotes count all lines until they are closed; None where more has to be waited for."""
        record = b""
        for line in self._lines(offset):
            record += line or b""
            if line is None:
                yield None
            elif not quoted or record.count(b'"') % 2 == 0 or len(record) > LONGEST:
                yield record
                record = b""
        if record:
            yield record

    def _lines(self, offset: int) -> Iterator[bytes | None]:
        piped = self.source == "-"
        file = os.dup(sys.stdin.fileno()) if piped else os.open(self.source, os.O_RDONLY)
        try:
            if not piped:
                os.lseek(file, offset, os.SEEK_SET)
            rest = b""
            while True:
                if piped and not select.select([file], [], [], LOOK_AGAIN)[0]:
                    yield None
                    continue
                chunk = os.read(file, 1 << 16)
                if chunk:
                    *whole, rest = (rest + chunk).split(b"\n")
                    yield from (line + b"\n" for line in whole)
                    if len(rest) > LONGEST:
                        yield rest
                        rest = b""
                elif piped or not self.follow:
                    if rest:
                        yield rest
                    return
                elif os.fstat(file).st_size < os.lseek(file, 0, os.SEEK_CUR):
                    raise UserError(
                        f"stream: {self.source} has become shorter; choose another --folder for the new one"
                    )
                else:
                    yield None
                    time.sleep(LOOK_AGAIN)
        finally:
            os.close(file)

    def _post(self, fields: dict[str, Any]) -> Post:
        for name in (self.text, self.time):
            if fields.get(name) is None:
                raise _NoColumn(f"expected a column {name!r}, got {', '.join(map(repr, fields)) or 'none'}")
        text = fields[self.text]
        if not isinstance(text, str) or not text.strip():
            raise ValueError(f"{self.text!r} is no text")
        text = text.encode("utf-8", "replace").decode()  # halves of surrogate pairs are no text
        key = ["id", fields[self.id]] if fields.get(self.id) not in (None, "") else ["text", " ".join(text.split())]
        return Post(seconds(fields[self.time]), text, hashlib.sha256(json.dumps(key).encode()).digest()[:16])


class _NoColumn(ValueError):
    """A record lacks a column."""


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
    try:
        found = float(value)
    except (TypeError, ValueError):
        try:
            moment = datetime.fromisoformat(str(value).strip())
        except ValueError as error:
            raise ValueError(f"{str(value)[:40]!r} is no time: expected ISO 8601 or seconds since 1970") from error
        found = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    if not math.isfinite(found) or not 0 <= found < 4e9:
        raise ValueError(f"{value!r} is no time between 1970 and 2096")
    return found
