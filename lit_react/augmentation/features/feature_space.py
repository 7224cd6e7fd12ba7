"""Made features of each class, from those that were seen: what a generative model must beat."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from lit_react.augmentation.features.base import FeatureAugmentation, Step
from lit_react.augmentation.features.feature_memory import FeatureMemory
from lit_react.core.bounds import expect


class Smote(FeatureAugmentation):
    """Points between a labeled row and a near one of its class (SMOTE; Chawla et al. 2002), in the head's inputs.

    As many are made as the batch has rows, all classes seen recently equally often. Both ends are of the batch or of a
    memory of recent steps; those of the batch carry gradients into the model. A row alone in its class is repeated.

    Args:
        neighbors: the other end is one of so many nearest rows of the class.
        memory: labeled rows of recent steps that are kept.
        weight: factor of the loss.
    """

    def __init__(self, neighbors: int = 5, memory: int = 128, weight: float = 1.0) -> None:
        expect("augmentation.features.neighbors", neighbors, at_least=1)
        expect("augmentation.features.memory", memory, at_least=1)
        expect("augmentation.features.weight", weight, at_least=0)
        self.neighbors, self.memory, self.weight = neighbors, memory, weight

    def begin(self, num_features: int, num_classes: int, device: torch.device, seed: int) -> None:
        """An empty memory."""
        super().begin(num_features, num_classes, device, seed)
        self._memory = FeatureMemory(self.memory, num_features, device)

    def loss(self, step: Step) -> Tensor:
        """Cross-entropy of the made features."""
        self._memory.forget(step.rows)
        points = torch.cat([step.labeled.features.float(), self._memory.features])
        labels, rows = torch.cat([step.labels, self._memory.labels]), torch.cat([step.rows, self._memory.rows])
        ends = class_balanced(labels, len(step.labels), self.generator)
        others = self._near(points.detach(), labels, rows, ends)
        share = torch.rand(len(ends), 1, generator=self.generator, device=labels.device, dtype=torch.float32)
        made = torch.lerp(points[ends], points[others], share)
        self._memory.add(step.rows, step.labeled.features, step.labels)
        logits = step.head(made.to(step.labeled.features.dtype))
        return self.weight * F.cross_entropy(logits.float(), labels[ends])

    def _near(self, points: Tensor, labels: Tensor, rows: Tensor, ends: Tensor) -> Tensor:
        """int64 [b], for each of `ends` one of its nearest of the same class; itself where there is none."""
        distances = torch.cdist(points[ends], points)
        itself = rows == rows[ends][:, None]
        distances = distances.masked_fill(itself | (labels != labels[ends][:, None]), float("inf"))
        found = distances.topk(min(self.neighbors, len(points)), largest=False)
        counts = found.values.isfinite().sum(1)
        drawn = torch.rand(len(ends), generator=self.generator, device=ends.device, dtype=torch.float32) * counts
        chosen = found.indices.gather(1, drawn.long()[:, None])[:, 0]
        return torch.where(counts > 0, chosen, ends)


class Gaussians(FeatureAugmentation):
    """Features drawn around the mean of each class, with one variance for all classes; they fit the head alone.

    Means and variances are those of a memory of recent steps and of the batch, without gradients. The covariance is
    the pooled within-class one, diagonal, and shrunk to a sphere: with tens of rows no more can be estimated. As many
    are drawn as the batch has rows, all classes seen recently equally often. While no class has two rows, the variance
    is 0 and the means themselves are what is drawn.

    Args:
        shrinkage: 0: a variance for each feature; 1: their mean for all of them.
        memory: labeled rows of recent steps that are kept.
        weight: factor of the loss.
    """

    def __init__(self, shrinkage: float = 0.5, memory: int = 128, weight: float = 1.0) -> None:
        expect("augmentation.features.shrinkage", shrinkage, at_least=0, at_most=1)
        expect("augmentation.features.memory", memory, at_least=1)
        expect("augmentation.features.weight", weight, at_least=0)
        self.shrinkage, self.memory, self.weight = shrinkage, memory, weight

    def begin(self, num_features: int, num_classes: int, device: torch.device, seed: int) -> None:
        """An empty memory."""
        super().begin(num_features, num_classes, device, seed)
        self._num_classes = num_classes
        self._memory = FeatureMemory(self.memory, num_features, device)

    def loss(self, step: Step) -> Tensor:
        """Cross-entropy of the drawn features."""
        self._memory.forget(step.rows)
        points = torch.cat([step.labeled.features.detach().float(), self._memory.features])
        labels = torch.cat([step.labels, self._memory.labels])
        means, variances = class_gaussians(points, labels, self._num_classes, self.shrinkage)
        classes = labels[class_balanced(labels, len(step.labels), self.generator)]
        size = len(classes), points.shape[1]
        noise = torch.randn(size, generator=self.generator, device=points.device, dtype=torch.float32)
        drawn = means[classes] + variances.sqrt() * noise
        self._memory.add(step.rows, step.labeled.features, step.labels)
        logits = step.head(drawn.to(step.labeled.features.dtype))
        return self.weight * F.cross_entropy(logits.float(), classes)


def class_balanced(labels: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """int64 [count], positions in `labels` drawn with repetition, each class that is there equally often."""
    sizes = torch.bincount(labels)
    return torch.multinomial(1 / sizes[labels], count, replacement=True, generator=generator)


def class_gaussians(points: Tensor, labels: Tensor, num_classes: int, shrinkage: float) -> tuple[Tensor, Tensor]:
    """Class means, float32 [C, h] (0 for a class without points), and variances [h] within classes, pooled and shrunk.

    Args:
        points: float32 [n, h].
        labels: int64 [n].
        num_classes: C.
        shrinkage: share of the mean variance in each, in [0, 1].
    """
    members = F.one_hot(labels, num_classes).to(points.dtype)  # [n, C]
    sizes = members.sum(0)
    with torch.autocast(points.device.type, enabled=False):
        means = (members.T @ points) / sizes.clamp(min=1)[:, None]
    freedom = (len(points) - (sizes > 0).sum()).clamp(min=1)
    variances = (points - means[labels]).square().sum(0) / freedom
    return means, torch.lerp(variances, variances.mean().expand_as(variances), shrinkage)
