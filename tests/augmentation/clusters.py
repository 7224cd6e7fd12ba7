"""Embeddings in clusters, one for each class, and steps over random features."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from lit_react.augmentation.labels.base import LabeledPool
from lit_react.augmentation.part import Fit, Step, View


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


def make_fit(
    classes: Sequence[int] = (0, 1),
    unlabeled: int = 0,
    validation: Sequence[int] = (),
    num_classes: int = 3,
    num_features: int = 6,
    seed: int = 0,
) -> Fit:
    """A fit of the first rows of a pool, with the rows behind them unlabeled, on the CPU."""
    ends = np.cumsum([0, len(classes), unlabeled])
    return Fit(
        labeled=np.arange(ends[1]),
        classes=np.asarray(classes, dtype=np.int64),
        unlabeled=np.arange(ends[1], ends[2]),
        validation=np.arange(len(validation)),
        validation_classes=np.asarray(validation, dtype=np.int64),
        num_classes=num_classes,
        num_features=num_features,
        device=torch.device("cpu"),
        seed=seed,
    )


def make_step(
    labels: list[int],
    head: nn.Linear,
    unlabeled: int = 0,
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
) -> Step:
    """A step whose features are leaves with gradients, around 2 · e_y for the labeled rows."""
    generator = torch.Generator().manual_seed(seed)
    width, classes = head.in_features, torch.tensor(labels)

    def view(centres: Tensor) -> View:
        features = (centres + 0.3 * torch.randn(centres.shape, generator=generator)).to(dtype).requires_grad_()
        return View(features, head(features).float())

    return Step(
        labeled=view(2 * torch.eye(width)[classes]),
        labels=classes,
        unlabeled=view(2 * torch.eye(width)[torch.arange(unlabeled) % head.out_features]) if unlabeled else None,
        places=torch.arange(unlabeled),
        head=lambda features: head(features).float(),
        gather=lambda rows: rows,
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
