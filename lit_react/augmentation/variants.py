"""Variants of labeled texts among the rows of a fit."""

from __future__ import annotations

from dataclasses import replace

import datasets
import numpy as np

from lit_react.augmentation.texts import TextAugmentation
from lit_react.data.encoding import kept_by_nobody
from lit_react.data.fit_rows import FitRows
from lit_react.data.task import Task


def with_variants(
    rows: FitRows, pool: datasets.Dataset, task: Task, texts: TextAugmentation, *, count: int, seed: int
) -> FitRows:
    """The rows in a table of their own: labeled ones, `count` variants of each, which are labeled too, unlabeled ones.

    The rows are relative to the pool, whose texts are as the task read them; the task knows what a variant of a row is.
    """
    originals, unlabeled = pool.select(rows.labeled), pool.select(rows.unlabeled)
    variants = [task.varied(originals, rows.labels, texts, seed + place) for place in range(count)]
    labels = [*rows.labels, *(label for _, part in variants for label in part)]
    made = [table for table, _ in variants]
    columns = made[0].column_names
    whole = datasets.concatenate_datasets([part.select_columns(columns) for part in [originals, *made, unlabeled]])
    places = np.arange(len(whole), dtype=np.int64)
    with kept_by_nobody():
        table = task.encode(whole)
    return replace(rows, table=table, labeled=places[: len(labels)], labels=labels, unlabeled=places[len(labels) :])
