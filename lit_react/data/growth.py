"""A source that grows while a run goes on: rows are known by what they are, and old ones keep their place."""

from __future__ import annotations

import hashlib
import io
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol
from zipfile import BadZipFile

import datasets
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lit_react.annotation.ledger_file import has_purchases
from lit_react.core.errors import UserError
from lit_react.core.files import write_atomically
from lit_react.core.processes import from_first, of_all
from lit_react.data.pool_data import PoolData
from lit_react.data.tables import Source
from lit_react.data.task import Task

log = logging.getLogger("lit_react")

ROWS = "rows.npz"
"""The file, in the folder of a run."""

Keys = NDArray[np.int64]
HELD_OUT = ("validation", "test")
PARTS = ("pool", *HELD_OUT)


def row_keys(table: datasets.Dataset | None, columns: Sequence[str]) -> Keys:
    """A number for each row, int64 [n], that follows from what it holds."""
    if table is None:
        return np.zeros(0, dtype=np.int64)
    keys = np.zeros(len(table), dtype=np.int64)
    place = 0
    for chunk in table.select_columns(list(columns)).with_format("arrow").iter(batch_size=10_000):
        for row in zip(*(chunk.column(name).to_pylist() for name in columns), strict=True):
            digest = hashlib.blake2b(json.dumps(row).encode(), digest_size=8).digest()
            keys[place] = np.frombuffer(digest, dtype=np.int64)[0]
            place += 1
    return keys


def _told_apart(keys: Keys) -> Keys:
    """The same, where the second, third, … of equal ones have numbers of their own."""
    again = pd.Series(keys).groupby(keys).cumcount().to_numpy(dtype=np.int64)
    return keys + again * np.int64(0x9E3779B97F4A7C1)  # an odd number that wraps around


@dataclass(frozen=True, eq=False)
class KnownRows:
    """The rows of a run, in its order.

    Attributes:
        keys: of the rows of pool, validation and test, int64, see `row_keys`; and, as `validation with labels` and
            `test with labels`, of what these are with their labels, so that equal texts with other labels keep theirs.
        class_names: of the classes, by id; empty where there are none.
        fingerprints: of the data, see `PoolData.fingerprint`: as the run began, after it had grown once, …
    """

    keys: dict[str, Keys]
    class_names: list[str]
    fingerprints: list[str]

    @classmethod
    def of(cls, source: Source, columns: Sequence[str], fingerprint: str, before: KnownRows | None = None) -> KnownRows:
        """Those of the splits of a run, which may have grown since `before`."""
        keys = {part: row_keys(getattr(source, part), columns) for part in PARTS}
        keys |= {f"{part} with labels": row_keys(getattr(source, part), (*columns, "label")) for part in HELD_OUT}
        return cls(keys, source.label_names or [], [*(before.fingerprints if before else []), fingerprint])

    @classmethod
    def load(cls, folder: Path) -> KnownRows | None:
        """Those of a run's folder; None: it has not begun.

        Raises:
            UserError: the file is damaged.
        """
        path = folder / ROWS
        if not path.exists():
            return None
        try:
            with np.load(path, allow_pickle=False) as file:
                words = {name: file[name].tolist() for name in ("class_names", "fingerprints")}
                return cls({name: file[name] for name in file.files if name not in words}, **words)
        except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
            raise UserError(f"{path}: damaged ({type(error).__name__}); put back the one that was there") from error

    def save(self, folder: Path) -> None:
        """Write `rows.npz` atomically."""
        buffer = io.BytesIO()
        arrays: dict[str, Any] = {"class_names": np.array(self.class_names, dtype=str), **self.keys}
        np.savez(buffer, fingerprints=np.array(self.fingerprints), **arrays)
        write_atomically(folder / ROWS, buffer.getvalue())

    def names(self, names: Sequence[str] | None) -> list[str] | None:
        """The classes of the run, then those that are new.

        Raises:
            UserError: one of the run's is there no more: it was renamed, or its labels were.
        """
        lost = [name for name in self.class_names if name not in (names or ())]
        if lost:
            raise UserError(
                f"data: {lost[0]!r} is a label of this run, but of no row any more: restore the name, or keep it in "
                "data.label_names"
            )
        return [*self.class_names, *(name for name in names or () if name not in self.class_names)] or None

    def splits(self, source: Source, columns: Sequence[str], pool_size: int | None, groups: Keys | None) -> Source:
        """The splits of the run, of a source that may have more rows, in any order: these are the end of the pool.

        Args:
            source: as it was read, before anything is carved.
            columns: what a row is.
            pool_size: the pool takes no more than that; None: all.
            groups: int64 [n], of the pool's source, rows that stay together: new ones of a group of validation or test
                are left out; None: there are none.

        Raises:
            UserError: a row that the run has read is gone.
        """
        pool = _Places(source.pool, columns)
        given = {part: getattr(source, part) for part in HELD_OUT}
        places = {part: pool if table is None else _Places(table, columns) for part, table in given.items()}
        rows = {part: each.claim(self.keys[f"{part} with labels"], each.labeled) for part, each in places.items()}
        for part, each in places.items():  # whose label was corrected since
            lost = rows[part] < 0
            rows[part][lost] = each.claim(self.keys[part][lost], each.keys)
        rows["pool"], places["pool"] = pool.claim(self.keys["pool"], pool.keys), pool
        for part, of in rows.items():
            _check_there(part, of)
        new = np.flatnonzero(pool.free)
        if groups is not None:
            held_out = [rows[part] for part in HELD_OUT if places[part] is pool]
            new = new[~np.isin(groups[new], groups[np.concatenate([new[:0], *held_out])])]
        room = len(new) if pool_size is None else max(pool_size - len(rows["pool"]), 0)
        rows["pool"] = np.concatenate([rows["pool"], new[:room]])
        return replace(
            source, **{part: places[part].table.select(of) if len(of) else None for part, of in rows.items()}
        )


class _Places:
    """The rows of a table, each of which is claimed once."""

    def __init__(self, table: datasets.Dataset, columns: Sequence[str]) -> None:
        self.table, self.free = table, np.ones(len(table), dtype=bool)
        self.keys, self.labeled = row_keys(table, columns), row_keys(table, (*columns, "label"))

    def claim(self, keys: Keys, among: Keys) -> NDArray[np.int64]:
        """Where each key stands among the free rows, int64 [k]; -1 where it does not."""
        free = np.flatnonzero(self.free)
        own, wanted = _told_apart(among[free]), _told_apart(keys)
        if not len(own):
            return np.full(len(keys), -1, dtype=np.int64)
        order = np.argsort(own, kind="stable")
        found = order[np.minimum(np.searchsorted(own, wanted, sorter=order), len(own) - 1)]
        rows = np.where(own[found] == wanted, free[found], -1)
        self.free[rows[rows >= 0]] = False
        return rows


def _check_there(part: str, rows: NDArray[np.int64]) -> None:
    if gone := int((rows < 0).sum()):
        raise UserError(
            f"data.source: {gone} of the {len(rows)} {part} rows that this run has read are gone or were changed: put "
            "them back as they were (rows may be added; what is no text may be skipped), or choose another "
            "--rounds.folder"
        )


class Prepare(Protocol):
    """See `PoolDataModule.prepare`."""

    def __call__(self, task: Task, known: KnownRows | None = None, /) -> PoolData:
        """The texts of a run."""


def of_run(prepare: Prepare, task: Task, folder: Path | None) -> PoolData:
    """The texts in the order of the run in a folder, if it has bought something there; None: of none.

    Where validation or test have another size they are of no run, but what was asked for.

    Raises:
        UserError: what `prepare` raises; or another process has read other rows.
    """
    texts = prepare(task)
    if len(set(of_all((texts.fingerprint, texts.test_fingerprint)))) > 1:
        raise UserError("data: the rows on one machine are others than on the first one: expected the same files")
    known = from_first(lambda: _known(folder)) if folder is not None else None
    if known is None or known.fingerprints[-1] == texts.fingerprint:
        return texts
    sizes = {part: len(getattr(texts.splits, part) or ()) for part in ("validation", "test")}
    if any(len(known.keys[part]) != n for part, n in sizes.items()):
        return texts
    return replace(prepare(task, known), grown_from=tuple(known.fingerprints))


def rows_of(texts: PoolData, folder: Path) -> KnownRows:
    """The rows of the run in a folder; what has grown is on the disk before a ledger can refer to it."""
    known = _known(folder)
    if known is not None and known.fingerprints[-1] == texts.fingerprint:
        return known
    before = known if texts.grown_from else None
    new = KnownRows.of(texts.splits, texts.task.inputs, texts.fingerprint, before)
    if before is known:  # else the data are those of another run, as the ledger will tell
        if known is not None:
            more = len(new.keys["pool"]) - len(known.keys["pool"])
            log.info("data: %s", f"{more} new rows in the pool" if more else "the same rows, and new classes")
        new.save(folder)
    return new


def _known(folder: Path) -> KnownRows | None:
    """The rows that a run knows, once it has bought something."""
    return KnownRows.load(folder) if has_purchases(folder / "ledger.sqlite") else None
