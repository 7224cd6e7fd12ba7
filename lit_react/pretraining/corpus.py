"""Texts without labels: those to train on, and those to measure on."""

from __future__ import annotations

from dataclasses import dataclass

import datasets
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lit_react.core.bounds import expect
from lit_react.core.errors import UserError
from lit_react.data.sources import load_texts
from lit_react.data.splits import carve, groups_of

Ints = NDArray[np.int64]
NONE: Ints = np.empty(0, dtype=np.int64)


@dataclass
class Texts:
    """What is read; of a source's splits only `train`, and no label.

    Args:
        source: as `data.source` of `fit`.
        text_column: column of the texts.
        local_copy: folder below `$LIT_REACT_DATA` that is read instead of the hub where it exists.
        test_size: the `data.test_size` of the fits to come, where they carve their test rows from this source: those
            rows are left out.
        validation_size: likewise `data.validation_size`.
        group_column: column of what these fits keep together when they carve: `context` for questions about contexts.
        split_seed: likewise `data.split_seed`; it draws the held-out texts too.
        held_out: so many other texts are not trained on; loss and accuracy are measured on them.
    """

    source: str = "bbc_news"
    text_column: str = "text"
    local_copy: str | None = None
    test_size: int = 0
    validation_size: int = 0
    group_column: str | None = None
    split_seed: int = 0
    held_out: int = 200

    def load(self) -> tuple[datasets.Dataset, datasets.Dataset]:
        """Texts to train on and held-out texts; one column, `text`.

        Each text is trained on once; copies of one that is left out or held out are not trained on. A `UserError` says
        that the source cannot be read or is too small.
        """
        for name, least in (("test_size", 0), ("validation_size", 0), ("held_out", 1)):
            expect(f"texts.{name}", getattr(self, name), at_least=least)
        table = load_texts(
            self.source, text_column=self.text_column, group_column=self.group_column, local_copy=self.local_copy
        )
        groups = np.arange(len(table)) if self.group_column is None else groups_of(table["group"][:])
        table, generator = table.select_columns("text"), np.random.default_rng(self.split_seed)
        *left_out, rows = carve(groups, self.test_size, self.validation_size, generator)
        if len(rows) <= self.held_out:
            raise UserError(
                f"texts.held_out: {len(table)} rows of {self.source} are too few for {self.held_out} held-out ones, "
                f"test_size {self.test_size} and validation_size {self.validation_size}"
            )
        train, held_out = hold_out(table, rows, self.held_out, hidden=np.concatenate(left_out))
        return each_once(train), held_out


def hold_out(
    table: datasets.Dataset, rows: Ints, size: int, hidden: Ints = NONE
) -> tuple[datasets.Dataset, datasets.Dataset]:
    """Texts to train on, and the first `size` of the rows, which are in random order, to measure on.

    No text of `table`, column `text`, is among both; copies of the `hidden` rows are not trained on either.
    """
    held_out, train = rows[:size], np.sort(rows[size:])
    texts = table.with_format("arrow")[:].column("text")
    copies = pa.compute.is_in(texts.take(train), texts.take(np.concatenate([hidden, held_out])))
    return table.select(train[~copies.to_numpy()]), table.select(np.sort(held_out))


def each_once(table: datasets.Dataset) -> datasets.Dataset:
    """The rows whose `text` no row before them has; with copies, a sentence of another text may be the next one."""
    chunks = table.with_format("arrow")[:].column("text").dictionary_encode().chunks
    numbers = np.concatenate([chunk.indices.to_numpy() for chunk in chunks]) if chunks else NONE
    return table.select(np.sort(np.unique(numbers, return_index=True)[1]))
