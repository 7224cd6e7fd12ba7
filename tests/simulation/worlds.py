"""Small worlds for simulated annotation: clusters of unit vectors with labels."""

import numpy as np

from lit_react.simulation.tasks import Embedded, Task


def embedded(rows, classes, seed=0, dimension=24, spread=1.0):
    """Rows around a centre per class, no two alike; the centres are those of the dimension and number of classes."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(dimension).normal(size=(classes, dimension))
    labels = np.concatenate([np.arange(classes), rng.integers(classes, size=rows)])[:rows]
    points = centres[labels] + spread * rng.normal(size=(rows, dimension))
    return Embedded((points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32), labels)


def world(pool=300, classes=4, seed=0, test=200, spread=1.0, **options):
    """A task of synthetic clusters."""
    sizes = {"initial_size": 8, "query_size": 6} | options
    parts = embedded(pool, classes, seed, spread=spread), embedded(test, classes, seed + 1000, spread=spread)
    return Task(*parts, classes, sources=("toy",), **sizes)


def row_ids(part, of):
    """Where the rows of a part are in another: position of each, −1 for none."""
    known = {row.tobytes(): index for index, row in enumerate(of.embeddings)}
    return np.array([known.get(row.tobytes(), -1) for row in part.embeddings])
