"""Embeddings in clusters, one for each class, and steps over random features."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from lit_react.augmentation.features.base import Step, View
from lit_react.augmentation.labels.base import LabeledPool


def clusters(
    seed: int = 0, classes: int = 3, rows: int = 60, labeled: int = 9, dimension: int = 8, noise: float = 0.3
) -> tuple[LabeledPool, np.ndarray]:
    """A pool with unit-length embeddings around one centre for each class, and the classes of all its rows."""
    rng = np.random.default_rng(seed)
    gold = np.arange(rows) % classes
    points = np.eye(dimension)[gold % dimension] + noise * rng.normal(size=(rows, dimension))
    points = (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)
    bought = np.sort(rng.choice(rows, labeled, replace=False))
    return LabeledPool(points, bought, gold[bought], classes), gold


def make_step(
    labels: list[int],
    head: nn.Linear,
    unlabeled: int = 0,
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
    first_row: int | None = None,
) -> Step:
    """A step whose features are leaves with gradients, around 2 · e_y for the labeled rows; other rows by each seed."""
    generator = torch.Generator().manual_seed(seed)
    width, classes = head.in_features, torch.tensor(labels)

    def view(centres: Tensor) -> View:
        features = (centres + 0.3 * torch.randn(centres.shape, generator=generator)).to(dtype).requires_grad_()
        return View(features, head(features).float())

    return Step(
        labeled=view(2 * torch.eye(width)[classes]),
        labels=classes,
        rows=torch.arange(len(labels)) + (1000 * seed if first_row is None else first_row),
        unlabeled=view(2 * torch.eye(width)[torch.arange(unlabeled) % head.out_features]) if unlabeled else None,
        head=lambda features: head(features).float(),
        progress=0.5,
    )


@contextmanager
def of_bf16_true() -> Iterator[None]:
    """Inside, as in the steps of Lightning's `bf16-true`, tensors of no other dtype are bfloat16."""
    torch.set_default_dtype(torch.bfloat16)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


def make_head(width: int = 6, classes: int = 3, seed: int = 0) -> nn.Linear:
    """A linear layer with the weights of a seed."""
    head = nn.Linear(width, classes)
    nn.init.normal_(head.weight, std=0.5, generator=torch.Generator().manual_seed(seed))
    nn.init.zeros_(head.bias)
    return head
