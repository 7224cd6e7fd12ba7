"""Pseudo-labels in a fit: generated once, by the model's own embeddings; they count as far as they are trusted."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from lit_react.annotation.answers import Label
from lit_react.augmentation.labels.base import GeneratedLabels, LabeledPool, LabelGenerator
from lit_react.augmentation.part import Embed, Fit, Part, Step
from lit_react.augmentation.trust import Trust


class PseudoLabels(Part):
    """Cross-entropy with generated labels of unlabeled rows.

    The loss of a step is `weight` · trust · mean over its unlabeled rows of the row's weight · cross-entropy with the
    target that the source has generated when the share `trust.start` of the steps was done. For trust, see `Trust`.
    """

    reads_unlabeled: ClassVar[bool] = True

    def __init__(self, source: LabelGenerator, weight: float, trust: Trust) -> None:
        self.source, self.weight, self.trust = source, weight, trust
        self.generated: GeneratedLabels | None = None

    def begin(self, fit: Fit) -> None:
        """Take note of the fit; until labels are generated no row has one."""
        super().begin(fit)
        self._targets = torch.zeros(len(fit.unlabeled), fit.num_classes, dtype=torch.float32, device=fit.device)
        self._weights = torch.zeros(len(fit.unlabeled), dtype=torch.float32, device=fit.device)

    def wants_unlabeled(self) -> bool:
        """Whether generated labels count by now."""
        return self.trust.factor > 0

    def before_step(self, progress: float, embed: Embed) -> None:
        """Generate labels, once, when it is time to."""
        self.trust.move(progress)
        if self.generated is None and progress >= self.trust.start and not self.trust.is_lost:
            start = time.perf_counter()
            self._generate(embed)
            self._seconds = time.perf_counter() - start

    def _generate(self, embed: Embed) -> None:
        """Label the unlabeled rows, and the validation rows among them, whose labels the source does not see."""
        fit, count = self.fit, len(self.fit.labeled)
        end = count + len(fit.unlabeled)
        embeddings = [embed("pool", np.concatenate([fit.labeled, fit.unlabeled]))]
        if len(fit.validation):
            embeddings.append(embed("validation", fit.validation))
        pool = LabeledPool(np.concatenate(embeddings), np.arange(count), fit.classes, fit.num_classes)
        found = self.source.generate(pool, fit.seed)
        of_pool = found.rows < end
        right = found.targets[~of_pool].argmax(1) == fit.validation_classes[found.rows[~of_pool] - end]
        places, targets, weights = found.rows[of_pool] - count, found.targets[of_pool], found.weights[of_pool]
        if (weights > 0).any():
            weights = weights / weights[weights > 0].mean()
        here = torch.as_tensor(places, device=fit.device)
        self._targets[here] = torch.as_tensor(targets, dtype=torch.float32, device=fit.device)
        self._weights[here] = torch.as_tensor(weights, dtype=torch.float32, device=fit.device)
        self.generated = GeneratedLabels(fit.unlabeled[places], targets, weights, found.report)
        self.trust.generated(float(right.mean()) if len(right) else None)

    def loss(self, step: Step) -> Tensor:
        """See the class."""
        if step.unlabeled is None:
            return step.labeled.logits.new_zeros(())
        losses = -(self._targets[step.places] * step.unlabeled.logits.log_softmax(-1)).sum(-1)
        mean = (self._weights[step.places] * losses).sum() / max(len(losses), 1)
        return self.trust.factor * (self.weight * mean)

    def validated(self, accuracy: float) -> None:
        """Compare the source with the model."""
        self.trust.validated(accuracy)

    @property
    def counted(self) -> int:
        """Rows whose generated labels have a weight at present."""
        return int((self.generated.weights > 0).sum()) if self.generated is not None and self.trust.value > 0 else 0

    def report(self) -> dict[str, float]:
        """What the source measured of itself, and how the fit used its labels.

        These are `generated` (rows with a weight; 0 also where the fit ended before its time to generate), `trust` (at
        the end of the fit), `generator_validation_accuracy` and `seconds` (of generating).
        """
        if self.generated is None:
            return {"generated": 0.0, "trust": 0.0}
        return self.generated.report | {
            "generated": float((self.generated.weights > 0).sum()),
            "generator_validation_accuracy": self.trust.generator_accuracy or 0.0,
            "trust": self.trust.value,
            "seconds": round(self._seconds, 3),
        }

    def compared(self, known: Sequence[Label | None], class_of: Callable[[Label], int]) -> dict[str, float]:
        """`generated_accuracy` of the rows with a weight, and `generated_accuracy_all` whatever the weight.

        `known` are labels that came with the data, for each row of the pool, None where unknown: then nothing is
        compared. They are only counted here, after the fit; nothing learns from them.
        """
        found = self.generated
        gold = [known[row] for row in found.rows.tolist()] if found is not None else []
        if found is None or not gold or None in gold:
            return {}
        right = found.targets.argmax(1) == np.asarray([class_of(label) for label in gold])
        measured = {"generated_accuracy_all": float(right.mean())}
        if (found.weights > 0).any():
            measured["generated_accuracy"] = float(right[found.weights > 0].mean())
        return measured
