"""The splits of a run: given ones cut to size, missing ones carved from the pool."""

from __future__ import annotations

from collections.abc import Iterable

import datasets
import numpy as np

from lit_react.core.errors import UserError
from lit_react.data.pool import Rows
from lit_react.data.tables import Source


def split(
    source: Source,
    groups: Rows | None,
    *,
    name: str,
    pool_size: int | None,
    validation_size: int | None,
    test_size: int | None,
    generator: np.random.Generator,
) -> Source:
    """The three splits as a run uses them, of a source that may lack validation and test.

    Sizes are in rows, see `PoolDataModule`; `groups` are int64 [n], see `carve`; None: each row may go anywhere.

    Raises:
        UserError: nothing is left for the pool.
    """
    pool, validation, test = source.pool, source.validation, source.test
    carve_test = (test_size or 0) if test is None else 0
    carve_validation = (validation_size or 0) if validation is None else 0
    groups = np.arange(len(pool)) if groups is None else groups
    test_rows, validation_rows, pool_rows = carve(groups, carve_test, carve_validation, generator)
    if len(pool_rows) == 0:
        raise UserError(
            f"data: {len(pool)} rows of {name} are too few for test_size {carve_test} and "
            f"validation_size {carve_validation}; lower data.test_size or data.validation_size"
        )
    if len(test_rows):
        test = pool.select(np.sort(test_rows))
    if len(validation_rows):
        validation = pool.select(np.sort(validation_rows))
    return Source(
        pool=pool.select(np.sort(pool_rows[:pool_size])),
        validation=_sample(validation, validation_size, generator),
        test=_sample(test, test_size, generator),
        label_names=source.label_names,
    )


def _sample(
    table: datasets.Dataset | None, size: int | None, generator: np.random.Generator
) -> datasets.Dataset | None:
    if table is None or size is None or size >= len(table):
        return table
    return table.select(np.sort(generator.choice(len(table), size, replace=False))) if size else None


def groups_of(values: Iterable[str]) -> Rows:
    """The group of each row, int64 [n], for `carve`: equal values are one group, numbered as they first come."""
    ids: dict[str, int] = {}
    return np.asarray([ids.setdefault(value, len(ids)) for value in values], dtype=np.int64)


def carve(groups: Rows, test: int, validation: int, generator: np.random.Generator) -> tuple[Rows, Rows, Rows]:
    """Draw the rows of test, validation and pool, whole groups each.

    Test and then validation take groups until they have as many rows as asked for: less than one group too many.
    `groups` is int64 [n], the group of each row, 0 … g-1; a row that may go anywhere is a group of its own.

    Returns:
        int64, relative to `groups`, group by group in the order drawn; the pool is empty where the rows are too few.
    """
    place = np.argsort(generator.permutation(int(groups.max(initial=-1)) + 1))[groups]
    ends = np.concatenate([[0], np.cumsum(np.bincount(place)), [len(groups)]])
    of_test = ends[np.minimum(np.searchsorted(ends, test), len(ends) - 1)]
    of_validation = ends[np.minimum(np.searchsorted(ends, of_test + validation), len(ends) - 1)]
    test_rows, validation_rows, pool_rows = np.split(np.argsort(place, kind="stable"), [of_test, of_validation])
    return test_rows, validation_rows, pool_rows
