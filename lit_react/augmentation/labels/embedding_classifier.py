"""A classifier of embeddings that is fitted on the bought labels alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from lit_react.acquisition.strategies.geometry import chunks, load
from lit_react.augmentation.labels.base import LabeledPool, Rows

Float32s = NDArray[np.float32]


def class_probabilities(pool: LabeledPool, rows: Rows, l2: float) -> Float32s:
    """Predictions of multinomial logistic regression on the labeled rows' embeddings; 0 for a class without label.

    Embeddings are read a chunk at a time, so a memory map stays on disk.

    Args:
        pool: two or more of its classes have labels.
        rows: int64 [m], relative to the pool.
        l2: 1 / C of scikit-learn, as in `LinearProbe`.

    Returns:
        float32 [m, C].
    """
    classifier = LogisticRegression(C=1 / l2, max_iter=1000)
    classifier.fit(load(pool.embeddings, pool.rows), pool.classes)
    probabilities = np.zeros((len(rows), pool.num_classes), dtype=np.float32)
    for part in chunks(len(rows), max(pool.embeddings.shape[1], pool.num_classes)):
        points = load(pool.embeddings, rows[part])
        probabilities[part, classifier.classes_] = classifier.predict_proba(points)
    return probabilities
