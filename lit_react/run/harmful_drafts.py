"""Whether a fit is better off without drafts, by the labels that people have given so far."""

from __future__ import annotations

import logging

import numpy as np

from lit_react.annotation.drafts import FEWEST, MOST, right_by_folds
from lit_react.data.pool import Pool
from lit_react.data.pool_data import PoolData

log = logging.getLogger("lit_react")


def without_harmful_drafts(data: PoolData, pool: Pool) -> Pool:
    """The same pool, without its drafts where people's labels alone tell more of these labels, see `right_by_folds`.

    Drafts stay where labels are not one class each, and while people have labeled fewer than `FEWEST` rows.

    Args:
        data: the texts of the run.
        pool: its rows, with the labels that a fit may use.
    """
    people, drafted = pool.settled_rows, np.asarray(sorted(pool.drafted), dtype=np.int64)
    if not data.task.labels_are_classes or not len(drafted) or len(people) < FEWEST:
        return pool
    if len(drafted) > MOST:
        drafted = np.random.default_rng(0).choice(drafted, MOST, replace=False)
    rows = np.concatenate([people, drafted])
    labels = np.asarray([pool.labels[row] for row in rows.tolist()], dtype=np.int64)
    is_draft = np.arange(len(rows)) >= len(people)
    classes = len(data.class_names or [])
    both, alone = right_by_folds(data.embeddings_of(rows), labels, is_draft, classes, pool.draft_weight)
    if alone <= both:
        return pool
    line = "this fit goes without drafts: of %d labels of people, held out, %d are told with and %d without them"
    log.info(line, len(people), both, alone)
    return pool.with_labels(pool.settled_labels, pool.asked_in_vain)
