"""Text files as people have them: packed, with a byte order mark, or in an encoding that has to be named."""

from __future__ import annotations

import bz2
import codecs
import gzip
import lzma
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import IO, Any, TextIO

import charset_normalizer

from lit_react.core.errors import UserError

PACKED: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
"""Suffix → what opens a packed file."""

MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # begins like UTF-16's
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
"""What a file may begin with, and the encoding that it says."""

USUAL = [
    *("cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "cp1258", "cp874"),
    *("gb18030", "big5", "cp932", "euc_jp", "cp949", "koi8_r", "iso8859_2", "iso8859_15", "mac_roman"),
]
"""Encodings that files have today, if it is not UTF-8."""

HEAD, SAMPLE, CANDIDATES = 4096, 1 << 16, 4
"""Bytes that are looked at before a file is read, and for a guess at its encoding; encodings that are suggested."""


def unpacked_name(path: Path) -> Path:
    """The path without the suffix that says how it is packed."""
    return path.with_suffix("") if path.suffix.lower() in PACKED else path


@contextmanager
def open_text(path: Path, encoding: str | None = None, option: str = "") -> Iterator[TextIO]:
    r"""Read a text file, packed or not, with its line ends as they are; what is read inside is checked too.

    Args:
        path: the file.
        encoding: of a file without byte order mark; None: UTF-8.
        option: what names the encoding, for the error.

    Raises:
        UserError: the line that is in another encoding, and how it reads in others; or the file is cut off.
    """
    try:
        with _open(path) as raw:
            head = raw.read(HEAD)
        marked = next((name for mark, name in MARKS if head.startswith(mark)), None)
        if marked is None and encoding is None and b"\0" in head:
            raise UserError(f"{path}:1: not UTF-8 text: {_advice(head, 0, option, _without_mark(head))}")
        used = marked or encoding or "utf-8"
        try:
            with _open(path) as raw, TextIOWrapper(raw, encoding=used, newline="") as text:
                yield text
        except UnicodeDecodeError as error:
            raise UserError(_undecodable(path, used, option)) from error
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        raise UserError(f"{path}: cannot be read ({error}): expected a whole {path.suffix} file") from error


def _open(path: Path) -> IO[bytes]:
    opened: IO[bytes] = PACKED.get(path.suffix.lower(), open)(path, "rb")
    return opened


def _undecodable(path: Path, encoding: str, option: str) -> str:
    """The first line that is not in an encoding, and in which it may be."""
    if encoding.startswith(("utf-16", "utf-32")):
        return f"{path}: begins like {encoding.upper()} and is not: expected whole characters of it to the end"
    with _open(path) as raw:
        number = 1
        for line in raw:
            try:
                line.decode(encoding)
            except UnicodeDecodeError as error:
                number += line[: error.start].replace(b"\r\n", b"\n").count(b"\r")
                sample = line[error.start - min(error.start, SAMPLE // 2) :][:SAMPLE]
                advice = _advice(sample + raw.read(SAMPLE - len(sample)), min(error.start, SAMPLE // 2), option)
                return f"{path}:{number}: not {encoding.upper().removesuffix('-SIG')} text: {advice}"
            number += 1
    return f"{path}: not {encoding} text"


def _candidates(sample: bytes) -> list[str]:
    """The encodings that bytes may be in, the likeliest first."""
    matches = charset_normalizer.from_bytes(sample, cp_isolation=USUAL, threshold=0.3)
    return [match.encoding for match in matches][:CANDIDATES]


def _advice(sample: bytes, place: int, option: str, candidates: Sequence[str] = ()) -> str:
    """What the bytes around a place read like in the encodings that they may be in; no single one is guessed."""
    shown = [f"{_around(sample, place, name)!r} in {name}" for name in candidates or _candidates(sample)]
    named = f", or name what reads right ({option})" if option else ""
    reads = f"it reads {', '.join(shown)}" if shown else "no usual encoding fits"
    return f"{reads}; save it as UTF-8{named}"


def _around(sample: bytes, place: int, encoding: str) -> str:
    """The characters before and after a byte, on its line."""
    before = sample[:place].decode(encoding, "ignore").splitlines()[-1:]
    after = sample[place : place + 200].decode(encoding, "ignore").splitlines()[:1]
    return "".join(before)[-8:] + "".join(after)[:16]


def _without_mark(head: bytes) -> tuple[str, ...]:
    """UTF-16 by where its zeros are; a file that is no text has them anywhere."""
    even, odd = head[::2].count(0), head[1::2].count(0)
    return ("utf-16-le",) if odd > 2 * even else ("utf-16-be",) if even > 2 * odd else ()
