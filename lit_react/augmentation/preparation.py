"""What a fit reads beside its labeled rows: generated labels for unlabeled ones, variants of texts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import datasets
import numpy as np
from numpy.typing import NDArray

from lit_react.acquisition.scoring import collect_signals
from lit_react.augmentation.labels import GeneratedLabels, LabeledPool, LabelGenerator
from lit_react.augmentation.texts import TextAugmentation
from lit_react.data.encoding import kept_by_nobody
from lit_react.data.fit_rows import FitRows
from lit_react.data.pool import Rows

if TYPE_CHECKING:
    from lit_react.data.datamodule import PoolDataModule
    from lit_react.tasks.base import TaskModule

Floats = NDArray[np.float32]


def drawn_rows(unlabeled: Rows, most: int, seed: int) -> Rows:
    """At most so many of the rows, ascending."""
    if len(unlabeled) <= most:
        return unlabeled
    return np.sort(np.random.default_rng([seed, 1]).choice(unlabeled, most, replace=False))


@dataclass(frozen=True)
class Seen:
    """What a generator is shown of a run: rows with their embeddings.

    Attributes:
        labeled: int64 [l], ascending, relative to the pool.
        unlabeled: int64 [m], likewise.
        validation: int64 [v], ascending, relative to the validation split; those whose labels were bought.
        embeddings: float32 [l + m + v, d], unit length, in this order.
    """

    labeled: Rows
    unlabeled: Rows
    validation: Rows
    embeddings: Floats


def under_present_weights(task: TaskModule, data: PoolDataModule, unlabeled: Rows) -> Seen:
    """Embeddings by the model in the middle of its fit: one pass over these rows."""
    labeled, validation = data.pool.labeled_rows, data.validation_rows
    rows = np.concatenate([labeled, unlabeled])
    parts = []
    for split, chosen in (("pool", rows), ("validation", validation)):
        if not len(chosen):
            continue
        found = collect_signals(task.trainer, task, data.scoring_loader(split, chosen), chosen, frozenset())
        parts.append(found["embeddings"].astype(np.float32))
    return Seen(labeled, unlabeled, validation, np.concatenate(parts))


def generate_labels(
    generator: LabelGenerator, data: PoolDataModule, seen: Seen, seed: int
) -> tuple[GeneratedLabels, float | None]:
    """Labels for unlabeled rows, and how often those of the validation rows are right.

    The generator sees the validation texts among the unlabeled rows; their labels it does not see.

    Args:
        generator: the configured part.
        data: with the labels that are bought.
        seen: the rows.
        seed: of the round.

    Returns:
        rows relative to the pool, ascending, weights with mean 1 over those above 0; a share in [0, 1], None where
        there are no validation rows.
    """
    class_of, count, pool_rows = data.task.class_of, len(seen.labeled), len(seen.labeled) + len(seen.unlabeled)
    classes = np.asarray([class_of(data.pool.labels[row]) for row in seen.labeled.tolist()], dtype=np.int64)
    pool = LabeledPool(seen.embeddings, np.arange(count), classes, len(data.class_names or []))
    found = generator.generate(pool, seed)
    is_pool = found.rows < pool_rows
    truth = np.asarray([class_of(data.validation_labels[row]) for row in seen.validation.tolist()])
    right = found.targets[~is_pool].argmax(1) == truth[found.rows[~is_pool] - pool_rows]
    weights = found.weights[is_pool]
    if (weights > 0).any():
        weights = weights / weights[weights > 0].mean()
    accuracy = float(right.mean()) if len(right) else None
    rows = seen.unlabeled[found.rows[is_pool] - count]
    return GeneratedLabels(rows, found.targets[is_pool], weights, found.report), accuracy


def with_variants(rows: FitRows, data: PoolDataModule, texts: TextAugmentation, *, count: int, seed: int) -> FitRows:
    """The rows in a table of their own: labeled ones, their variants, unlabeled ones.

    Args:
        rows: relative to the pool.
        data: knows the texts and the task.
        texts: makes variants.
        count: of each labeled row, 1 or more; they join the labeled rows.
        seed: of the round.
    """
    task, originals = data.task, data.splits.pool.select(rows.labeled)
    variants = [task.varied(originals, rows.labels, texts, seed + place) for place in range(count)]
    labels = [*rows.labels, *(label for _, part in variants for label in part)]
    unlabeled = data.splits.pool.select(rows.unlabeled)
    made = [table for table, _ in variants]
    columns = made[0].column_names
    parts = [originals, *made, unlabeled]
    whole = datasets.concatenate_datasets([part.select_columns(columns) for part in parts])
    places = np.arange(len(whole), dtype=np.int64)
    with kept_by_nobody():
        table = task.encode(whole)
    return replace(
        rows,
        table=table,
        labeled=places[: len(labels)],
        labels=labels,
        unlabeled=places[len(labels) :],
    )
