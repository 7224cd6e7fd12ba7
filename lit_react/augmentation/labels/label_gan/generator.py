"""Labels for the unlabeled rows from a GAN over pairs of an embedding and a label: the LGAN of the second article."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lit_react.augmentation.labels.base import GeneratedLabels, LabeledPool, LabelGenerator, Rows
from lit_react.augmentation.labels.label_gan.losses import FORMS
from lit_react.augmentation.labels.label_gan.networks import Discriminator
from lit_react.augmentation.labels.label_gan.training import (
    Bought,
    Players,
    Settings,
    Training,
    complement,
    distinct_in_order,
)
from lit_react.augmentation.labels.self_training import logistic_regression
from lit_react.core.bounds import expect
from lit_react.core.errors import UserError

CHUNK = 2048
"""Rows that are scored at once: a block of this size times the anchors is all that scoring keeps."""


@dataclass(frozen=True)
class TrainedGAN:
    """The players after both stages, with what is needed to use them."""

    training: Training  # the players, and the bought rows around which features are made
    classes: NDArray[np.int64]  # int64 [K], the pool's ids of the players' classes
    seed: int  # of the noise that labels are averaged over

    def labels(self, features: NDArray[np.float32], samples: int) -> Tensor:
        """Mean of G_l(h, z) over `samples` values of z, the same for all rows: float32 [n, K] for features [n, d]."""
        players = self.training.players
        generator = torch.Generator().manual_seed(self.seed)
        with torch.no_grad():
            views = players.views(torch.from_numpy(features))
            noise = torch.randn(samples, 1, players.labels.noise, generator=generator)
            return players.labels(views, noise).softmax(-1).mean(0)


@dataclass(frozen=True)
class LabelGAN(Settings, LabelGenerator):
    """The label-generating GAN of the second article on embeddings of the pool, trained anew in each fit.

    Three players, as in Triple-GAN (Li, Xu, Zhu and Zhang 2017): the label generator G_l(h, z) puts labels on unlabeled
    rows, the feature generator G_h(z, y) makes labeled features, the discriminator D(h, y) judges pairs. Real are the
    bought pairs; fakes are (unlabeled h, G_l), (G_h, y), and bought rows with another label, the second
    article's (x, ¬y). Stage 1 trains D's unconditional part against G_h on unlabeled rows, stage 2 all three.

    A row's target t is the mean of G_l over `samples` values of z; its weight is
    `judgement · [highest class of t >= gate]`. The judgement is how much better D likes the row with t than with its
    other labels, D(h, t) − D(h, ¬t), as a share of what D(h, y) − D(h, ¬y) is in the mean of the bought rows, cut to
    [0, 1]; 0 for all rows where D does not like the bought labels better than others. The bare D(h, t) would say
    little: D knows the few bought rows by heart. The loss reads weights relative to their mean.

    G_h's features train G_l and D; the task's own fit never reads them. What D is worth is seen in its judgement: it
    likes right labels of rows it never saw (tests/augmentation/test_label_gan.py).

    A class of which no label was bought is never generated. With labels of fewer than two classes nothing can be told
    apart, and no row is labeled. What training costs does not grow with the pool, what scoring holds does not either.

    Args:
        loss: adversarial loss: `hinge`, `non_saturating`, or the second article's `linear`.
        gate: rows whose highest probability is lower are not used, in [0, 1].
        samples: values of z that a target is averaged over.
        adversarial: weight of fooling the discriminator in the label generator's loss.
        generated: weight of the cross-entropy on made features in the label generator's loss.
        prior: weight of what it loses where a class has less than half of its share among the bought labels.
        pretraining_steps: optimiser steps of stage 1.
        steps: optimiser steps of stage 2; what bought labels do not say is ramped up over the first half.
        batch_size: rows of each kind per step.
        learning_rate: of all players (Adam).
        l2: strength of the penalty on the label generator's linear weights, 1 / C of logistic regression.
        max_anchors: unlabeled rows that are trained on and in which neighbours are looked up, a uniform sample.
        temperature: of the softmax over the cosines to neighbours.
        spread: how far a made feature may lie from the bought row it is made of.
        width: of hidden layers.
        noise: dimensions of z.
    """

    gate: float = 0.7
    samples: int = 8
    max_anchors: int = 1000

    def __post_init__(self) -> None:
        if self.loss not in FORMS:
            raise UserError(f"augmentation.labels.loss: {self.loss!r}, expected one of {', '.join(FORMS)}")
        expect("augmentation.labels.gate", self.gate, at_least=0, at_most=1)
        for name in ("adversarial", "generated", "prior", "spread", "pretraining_steps", "steps"):
            expect(f"augmentation.labels.{name}", getattr(self, name), at_least=0)
        for name in ("learning_rate", "l2", "temperature", "samples", "batch_size", "max_anchors", "width", "noise"):
            expect(f"augmentation.labels.{name}", getattr(self, name), above=0)

    def label(self, pool: LabeledPool, rows: Rows, seed: int) -> GeneratedLabels:
        """Label the rows; those below the gate have weight 0.

        The report has `d_real` and `d_fake` (D's mean score of bought pairs and of labeled unlabeled rows),
        `agreement` (share of unlabeled rows whose label is that of a logistic regression on the same embeddings) and
        `coverage` (share of unlabeled rows whose weight is above 0).
        """
        return self._score(self.train(pool, seed), pool, rows)

    def train(self, pool: LabeledPool, seed: int) -> TrainedGAN:
        """Train in both stages: at least one unlabeled row, and labels of at least two classes."""
        generator = torch.Generator().manual_seed(seed)
        rows = pool.rows_to_label
        drawn = torch.randperm(len(rows), generator=generator)[: self.max_anchors].sort().values.numpy()
        classes = distinct_in_order(pool.classes)
        number = np.empty(pool.num_classes, dtype=np.int64)
        number[classes] = np.arange(len(classes))
        own = torch.from_numpy(number[pool.classes])
        bought = Bought(torch.from_numpy(pool.embeddings[pool.rows]), own, len(classes))
        anchors = torch.from_numpy(pool.embeddings[rows[drawn]])
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)  # initial weights come from it; those of GPUs are left alone
            players = Players(bought, anchors, self)
        training = Training(players, bought, self, generator)
        training.run()
        players.eval()
        return TrainedGAN(training, classes, seed)

    def _score(self, gan: TrainedGAN, pool: LabeledPool, rows: Rows) -> GeneratedLabels:
        bought, judge = gan.training.bought, gan.training.players.discriminator
        linear = logistic_regression(bought.features.numpy(), bought.classes.numpy(), self.l2)
        real, contrast = judge_pairs(judge, bought.features, bought.targets)
        bought_contrast = float(contrast.mean())
        targets = np.zeros((len(rows), pool.num_classes), dtype=np.float32)
        weights = np.zeros(len(rows), dtype=np.float32)
        fake = agreement = 0.0
        for start in range(0, len(rows), CHUNK):
            part = slice(start, start + CHUNK)
            features = pool.embeddings[rows[part]]
            labels = gan.labels(features, self.samples)
            scores, contrast = judge_pairs(judge, torch.from_numpy(features), labels)
            judgement = (contrast / bought_contrast).clamp(0, 1) if bought_contrast > 0 else torch.zeros_like(contrast)
            targets[part, gan.classes] = labels.numpy()
            weights[part] = (judgement * (labels.amax(-1) >= self.gate)).numpy()
            fake += float(scores.sum())
            agreement += float((labels.argmax(-1).numpy() == (features @ linear.weight + linear.bias).argmax(1)).sum())
        report = {
            "d_real": float(real.mean()),
            "d_fake": fake / len(rows),
            "agreement": agreement / len(rows),
            "coverage": float((weights > 0).mean()),
        }
        return GeneratedLabels(rows, targets, weights, report)


def judge_pairs(judge: Discriminator, features: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """D(h, y) and D(h, y) − D(h, ¬y), float32 [n], of features [n, d] with distributions over classes [n, K]."""
    with torch.no_grad():
        scores = judge(features, labels)
        return scores, scores - judge(features, complement(labels))
