"""Sentence embeddings under a frozen encoder: computed once, kept on disk, batches cut from them."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import datasets
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedModel

from lit_react.annotation.answers import Label
from lit_react.core.files import write_atomically
from lit_react.core.progress import followed
from lit_react.data.batching import length_sorted_batches
from lit_react.data.encoding import Batch, TokenTable, numbers


class FeatureTable:
    """Sentence embeddings of a split from a frozen encoder, float32 [n, d], and int64 [n], tokens per text."""

    def __init__(self, features: NDArray[np.float32], lengths: NDArray[np.int64]) -> None:
        self.features, self.lengths = features, lengths

    def __len__(self) -> int:
        return len(self.features)

    def batch(self, rows: Sequence[int] | NDArray[np.int64], labels: Sequence[Label] | None = None) -> Batch:
        """`row` int64 [b], `features` float32 [b, d]; class ids are `labels` int64 [b]."""
        rows = np.asarray(rows, dtype=np.int64)
        batch = {"row": torch.from_numpy(rows), "features": torch.from_numpy(np.asarray(self.features[rows]))}
        return batch if labels is None else batch | numbers(labels)


BATCHES_KEPT = 250
"""Batches of a pass that a process which is killed has to do again at most."""


@contextmanager
def growing_array(
    path: Path, shape: tuple[int, int], steps: int
) -> Iterator[tuple[NDArray[np.float32], int, Callable[[int], None]]]:
    """An array, float32, that is at `path` once the block has ended; a killed process's is found again.

    The block gets the array, how many of the `steps` that make it are done, and what to call when so many are: they
    are on the disk then. Of several processes that make the same array at once, the first one does it, the others wait
    for it; where files cannot be locked each makes its own. An `OSError` tells of a disk that has no room for it.
    """
    partial, progress = path.with_suffix(".partial"), path.with_suffix(".progress")
    with partial.open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
        except OSError:
            partial, progress = (path.with_suffix(f".{uuid4().hex}{file.suffix}") for file in (partial, progress))
        if path.exists():
            partial.unlink(missing_ok=True)
            yield np.load(path, mmap_mode="r"), steps, lambda done: None
            return
        made, _, of = (progress.read_text() if progress.exists() else "0 of 0").partition(" of ")
        done = int(made) if int(of) == steps and partial.stat().st_size else 0
        array = np.lib.format.open_memmap(partial, mode="r+" if done else "w+", dtype=np.float32, shape=shape)
        if not done and hasattr(os, "posix_fallocate"):  # a disk that fills under a mapped file kills the process
            with partial.open("r+b") as file:
                os.posix_fallocate(file.fileno(), 0, partial.stat().st_size)

        def keep(done: int) -> None:
            array.flush()
            write_atomically(progress, f"{done} of {steps}".encode())

        yield array, done, keep
        array.flush()
        os.replace(partial, path)
        progress.unlink(missing_ok=True)


def mean_embedding(hidden: Tensor, attention_mask: Tensor) -> Tensor:
    """Masked mean over tokens, scaled to unit length: [b, t, d], [b, t] → float32 [b, d]."""
    weights = attention_mask.unsqueeze(-1).float()
    mean = (hidden.float() * weights).sum(1) / weights.sum(1).clamp(min=1)
    return torch.nn.functional.normalize(mean, dim=-1)


def sentence_embedding(hidden: Tensor, batch: Batch) -> Tensor:
    """`mean_embedding` of a batch's texts."""
    return mean_embedding(hidden, batch["attention_mask"])


@torch.inference_mode()
def embed(
    encoder: PreTrainedModel,
    tokens: TokenTable,
    *,
    cache: Path,
    key: str,
    batch_size: int = 64,
    embedding: Callable[[Tensor, Batch], Tensor] = sentence_embedding,
    width: int | None = None,
) -> FeatureTable:
    """Embeddings of every row of a split under a frozen encoder, computed once and kept on disk.

    The encoder, a headless model (`AutoModel`), is moved to the GPU where there is one, and set to eval mode. `key`
    names encoder weights, texts and embedding together: the file in `cache` is found again by it. `embedding` makes
    float32 [b, width] (None: h) of last hidden states [b, t, h] and their batch.
    """
    if not len(tokens):
        return FeatureTable(np.zeros((0, width or encoder.config.hidden_size), dtype=np.float32), tokens.lengths)
    path = cache / f"embeddings-{key}.npy"
    if not path.exists():
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        encoder = encoder.eval().to(device)
        batches = length_sorted_batches(tokens.lengths, batch_size)
        what, bar = f"Embedding {len(tokens)} texts", not datasets.are_progress_bars_disabled()
        shape = (len(tokens), width or encoder.config.hidden_size)
        with growing_array(path, shape, len(batches)) as (features, done, keep):
            for number, rows in enumerate(followed(batches[done:], what, len(batches) - done, bar=bar), start=done + 1):
                batch = {name: tensor.to(device) for name, tensor in tokens.batch(rows).items()}
                hidden = encoder(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"])[0]
                features[rows] = embedding(hidden, batch).cpu().numpy()
                if number % BATCHES_KEPT == 0:
                    keep(number)
    return FeatureTable(np.load(path, mmap_mode="r"), tokens.lengths)
