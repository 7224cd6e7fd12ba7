"""What people liked and what there is to like: two tables, read once, with every row that is left out told of."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lit_react.core.errors import UserError
from lit_react.data.files import read_table
from lit_react.data.tables import Split

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]
YEARS = np.linspace(1930, 2020, 19)
"""Centres of the bins of a year, which are soft: a year belongs to the two nearest."""

log = logging.getLogger("lit_react")


@dataclass(frozen=True)
class Catalogue:
    """The items, in the order of their file; an item's index is its row there.

    Args:
        ids: one for each item, unique.
        titles: what a page shows.
        texts: what the encoder reads: the column `text` where there is one, else the titles.
        attributes: genres (0 or 1 each) and the soft bins of the year, float32 [n, a]; a may be 0.
    """

    ids: list[str]
    titles: list[str]
    texts: list[str]
    attributes: Floats

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class Histories:
    """What each user liked, oldest first.

    Args:
        users: ids, those with an empty history too.
        items: for each user the indices of items, int64, each item once.
    """

    users: list[str]
    items: list[Ints]


@dataclass(frozen=True)
class HeldOut:
    """Leave-last-out by time, with cold items: all lists are over the users who liked three warm items or more.

    Attributes:
        users: which of all users these are, int64 [u].
        cold: items that no history has, bool [n].
        histories: warm items, oldest first, without the last.
        last: that last item, int64 [1].
        new: the cold items that the user liked, possibly none.
    """

    users: Ints
    cold: NDArray[np.bool_]
    histories: list[Ints]
    last: list[Ints]
    new: list[Ints]


def hold_out(histories: list[Ints], items: int, cold_share: float, generator: np.random.Generator) -> HeldOut:
    """Draw the cold items, a share of all, take them out of all histories, and of what is left the last item each."""
    cold = np.zeros(items, bool)
    cold[generator.permutation(items)[: round(cold_share * items)]] = True
    warm = [history[~cold[history]] for history in histories]
    kept = [user for user, history in enumerate(warm) if len(history) >= 3]
    return HeldOut(
        np.array(kept, np.int64),
        cold,
        [warm[user][:-1] for user in kept],
        [warm[user][-1:] for user in kept],
        [histories[user][cold[histories[user]]] for user in kept],
    )


def read_catalogue(path: Path) -> Catalogue:
    """Read the items: `item_id` and `title`, if there are such columns also `text`, `genres` and `release_year`.

    Genres are separated by spaces, or by `|` where one is in the column. A year that is no number counts as unknown.

    Raises:
        UserError: no such file, no row, a column is missing, or an item is there twice.
    """
    table, split = _read(path, ("item_id", "title"))
    again = table["item_id"].duplicated()
    if again.any():
        row = int(np.flatnonzero(again)[0])
        raise UserError(f"{split.where(row)}: item {table['item_id'][row]!r} is there twice, expected each once")
    ids, titles = table["item_id"].tolist(), table["title"].tolist()
    return Catalogue(ids, titles, table.get("text", table["title"]).tolist(), _attributes(table))


def read_histories(path: Path, catalogue: Catalogue, min_rating: float) -> Histories:
    """Read `user_id`, `item_id`, `timestamp` and, where there is one, `rating`, and keep what was liked.

    Of a pair that is there several times the oldest row counts. Rows whose item the catalogue lacks are left out, and
    how many is told. A user who liked nothing has an empty history.

    Raises:
        UserError: no such file, no row, a column is missing or holds no numbers, or no row is left.
    """
    table, split = _read(path, ("user_id", "item_id", "timestamp"))
    for column in table.columns.intersection(["timestamp", "rating"]):
        numbers = pd.to_numeric(table[column], errors="coerce")
        if numbers.isna().any():
            row = int(np.flatnonzero(numbers.isna())[0])
            raise UserError(f"{split.where(row)}: {column} {str(table[column][row])!r} is no number")
        table[column] = numbers
    users = sorted(table["user_id"].unique())
    liked = table[table["rating"] >= min_rating] if "rating" in table else table
    index = liked["item_id"].map({item: row for row, item in enumerate(catalogue.ids)})
    unknown = liked["item_id"][index.isna()]
    if len(unknown):
        log.info(
            f"{path}: {len(unknown)} rows name {unknown.nunique()} items that the catalogue lacks, such as "
            f"{unknown.iloc[0]!r} ({split.where(unknown.index[0])}): left out"
        )
    liked = liked.assign(index=index).dropna(subset="index")
    if liked.empty:
        raise UserError(f"{path}: no row is left: expected items of the catalogue, rated {min_rating:g} or more")
    liked = liked.sort_values("timestamp", kind="stable").drop_duplicates(["user_id", "index"])
    found = {user: rows.to_numpy(np.int64) for user, rows in liked.groupby("user_id")["index"]}
    return Histories(users, [found.get(user, np.empty(0, np.int64)) for user in users])


def popularity(histories: list[Ints], items: int) -> Ints:
    """How many histories each of so many items is in, int64 [items]."""
    return np.bincount(np.concatenate([np.empty(0, np.int64), *histories]), minlength=items)


def _read(path: Path, columns: tuple[str, ...]) -> tuple[pd.DataFrame, Split]:
    """A table whose ids, titles, texts and genres are strings, "" where nothing is; and as it was read."""
    split = read_table(path)
    table = split.table.to_pandas()
    for column in columns:
        if column not in table:
            raise UserError(f"{path}: no column {column!r}: expected {', '.join(columns)}, got {', '.join(table)}")
    for column in {"user_id", "item_id", "title", "text", "genres"} & set(table):
        table[column] = table[column].astype(object).where(table[column].notna(), "").astype(str)
    return table, split


def _attributes(table: pd.DataFrame) -> Floats:
    """Genres as 0 or 1 and years as soft bins, float32 [n, a]."""
    parts = [np.empty((len(table), 0))]
    if "genres" in table:
        mark = "|" if table["genres"].str.contains("|", regex=False).any() else None
        given = [frozenset(filter(None, map(str.strip, genres.split(mark)))) for genres in table["genres"]]
        names = sorted(frozenset().union(*given))
        parts.append(np.array([[name in genres for name in names] for genres in given]).reshape(len(table), -1))
    if "release_year" in table:
        years = pd.to_numeric(table["release_year"], errors="coerce").to_numpy(float)[:, None]
        width = YEARS[1] - YEARS[0]
        parts.append(np.nan_to_num(np.maximum(0, 1 - np.abs(np.clip(years, YEARS[0], YEARS[-1]) - YEARS) / width)))
    return np.concatenate(parts, axis=1).astype(np.float32)
