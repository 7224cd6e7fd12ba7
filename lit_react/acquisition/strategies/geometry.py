"""Distances and similarities of many embeddings in little memory.

Embeddings may be float16 and memory-mapped: they become float32 a chunk or a sample at a time. Blocks of pairs are
made `CHUNK_ELEMENTS` at a time, so memory stays linear in the number of rows.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from lit_react.acquisition.signals import Floats, Rows

Float32s = NDArray[np.float32]

CHUNK_ELEMENTS = 2**22


def sample(n: int, size: int, generator: np.random.Generator) -> Rows:
    """Ascending positions of a uniform sample without replacement from 0 … n-1; all of them where size >= n."""
    if size >= n:
        return np.arange(n)
    return np.sort(generator.choice(n, size, replace=False))


def load(embeddings: Floats, positions: Rows | None = None) -> Float32s:
    """float32 copy of some rows (of all where `positions` is None), in memory."""
    return np.array(embeddings if positions is None else embeddings[positions], dtype=np.float32)


def chunks(n: int, width: int) -> Iterator[slice]:
    """Slices that cover 0 … n-1 such that a slice's rows times `width` is about `CHUNK_ELEMENTS`."""
    rows = max(1, CHUNK_ELEMENTS // max(1, width))
    for start in range(0, n, rows):
        yield slice(start, min(n, start + rows))


def squared_distances(points: Float32s, others: Float32s) -> Float32s:
    """float32 [n, m], squared Euclidean distances of [n, d] to [m, d]; one block, not chunked."""
    block = points @ others.T
    block *= -2
    block += np.einsum("ij,ij->i", points, points)[:, None]
    block += np.einsum("ij,ij->i", others, others)
    return np.maximum(block, 0, out=block)


def nearest(points: Floats, others: Float32s, count: int, *, own: Rows | None = None) -> tuple[Float32s, Rows]:
    """The `count` most similar of `others`, float32 [m, d], for each point by inner product; O(n m d).

    Gives float32 [n, count] similarities and int64 [n, count] positions in `others`, in no special order. Points are
    float16 or float32 [n, d], maybe a memory map. `own`, int64 [n], says where `others` holds the point itself, which
    is no neighbour; -1 where it does not.
    """
    similarities = np.empty((len(points), count), dtype=np.float32)
    positions = np.empty((len(points), count), dtype=np.int64)
    if count == 0:
        return similarities, positions
    for part in chunks(len(points), max(others.shape)):
        block = load(points[part]) @ others.T
        if own is not None:
            present = np.flatnonzero(own[part] >= 0)
            block[present, own[part][present]] = -np.inf
        positions[part] = np.argpartition(block, block.shape[1] - count, axis=1)[:, block.shape[1] - count :]
        similarities[part] = np.take_along_axis(block, positions[part], axis=1)
    return similarities, positions
