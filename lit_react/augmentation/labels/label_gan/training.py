"""The two stages in which the players of the LGAN are trained, on what fits into memory."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, one_hot

from lit_react.augmentation.labels.label_gan.losses import Form, discriminator_loss, generator_loss, prior_gap
from lit_react.augmentation.labels.label_gan.networks import Discriminator, FeatureNetwork, LabelNetwork, Views
from lit_react.augmentation.labels.self_training import logistic_regression


@dataclass(frozen=True)
class Settings:
    """How the players are built and trained; see `LabelGAN` for what each does."""

    loss: Form = "hinge"
    adversarial: float = 0.1
    generated: float = 0.5
    prior: float = 1.0
    pretraining_steps: int = 60
    steps: int = 100
    batch_size: int = 64
    learning_rate: float = 1e-3
    l2: float = 0.05
    temperature: float = 0.1
    spread: float = 0.5
    width: int = 64
    noise: int = 16


@dataclass(frozen=True)
class Bought:
    """The labeled rows, their classes numbered from 0 in the order in which they occur."""

    features: Tensor  # float32 [l, d]
    classes: Tensor  # int64 [l], below K
    num_classes: int  # K, at least 2

    @property
    def targets(self) -> Tensor:
        """float32 [l, K], one-hot."""
        return one_hot(self.classes, self.num_classes).float()

    @property
    def prior(self) -> Tensor:
        """float32 [K], the classes' shares among the bought labels, with one label of each class added."""
        return (self.targets.sum(0) + 1) / (len(self.classes) + self.num_classes)


class Players(nn.Module):
    """Label generator, feature generator, discriminator; the first starts as logistic regression on its views."""

    def __init__(self, bought: Bought, unlabeled: Tensor, settings: Settings) -> None:
        super().__init__()
        dimension, classes = unlabeled.shape[1], bought.num_classes
        self.views = Views(unlabeled, settings.temperature)
        self.labels = LabelNetwork(2 * dimension, classes, settings.noise, settings.width)
        self.features = FeatureNetwork(dimension, classes, settings.noise, settings.width, settings.spread)
        self.discriminator = Discriminator(unlabeled, classes, settings.width)
        start = logistic_regression(self.views(bought.features).numpy(), bought.classes.numpy(), settings.l2)
        with torch.no_grad():
            self.labels.linear.weight.copy_(torch.from_numpy(start.weight.T))
            self.labels.linear.bias.copy_(torch.from_numpy(start.bias))


class Training:
    """Stage 1, then stage 2, with an optimiser for each player; the generator draws batches and noise."""

    def __init__(self, players: Players, bought: Bought, settings: Settings, generator: torch.Generator) -> None:
        self.players, self.bought, self.settings, self.generator = players, bought, settings, generator
        self.unlabeled = players.views.anchors
        self.unlabeled_views = players.views(self.unlabeled)
        self.bought_views = players.views(bought.features)
        self.by_class = bought.classes.argsort(stable=True)
        self.counts = bought.classes.bincount(minlength=bought.num_classes)
        self.optimizers = {
            name: torch.optim.Adam(
                players.get_submodule(name).parameters(), lr=settings.learning_rate, betas=(0.5, 0.99)
            )
            for name in ("labels", "features", "discriminator")
        }

    def run(self) -> None:
        """Both stages."""
        for _ in range(self.settings.pretraining_steps):
            self.pretrain_step()
        for step in range(self.settings.steps):
            self.step(ramp=min(1.0, 2 * step / self.settings.steps))

    def pretrain_step(self) -> None:
        """Stage 1: D's unconditional part tells unlabeled features from generated ones, G_h fools it."""
        players, form = self.players, self.settings.loss
        real = self.unlabeled[self._draw(len(self.unlabeled))]
        made, _ = self.make_features()
        self._descend(
            "discriminator",
            discriminator_loss(form, players.discriminator(real), [players.discriminator(made.detach())]),
        )
        self._descend("features", generator_loss(form, players.discriminator(made)))

    def step(self, ramp: float) -> None:
        """Stage 2: D judges pairs, G_h makes pairs, G_l labels unlabeled rows and is taught by bought and made ones.

        What G_l is not told by bought labels has the weight `ramp`, in [0, 1].
        """
        players, settings, form = self.players, self.settings, self.settings.loss
        positions = self._draw(len(self.unlabeled))
        unlabeled, views = self.unlabeled[positions], self.unlabeled_views[positions]
        guesses = players.labels(views, self._noise(len(views))).softmax(-1)
        made, classes = self.make_features()
        self._judge(unlabeled, guesses.detach(), made.detach(), classes)
        self._descend("features", generator_loss(form, players.discriminator(made, self._one_hot(classes))))

        labeled = self._draw(len(self.bought.features))
        bought = players.labels(self.bought_views[labeled], self._noise(len(labeled)))
        loss = cross_entropy(bought, self.bought.classes[labeled]) + self._penalty()
        terms = settings.prior * prior_gap(guesses, self.bought.prior)
        if settings.adversarial:
            terms = terms + settings.adversarial * generator_loss(form, players.discriminator(unlabeled, guesses))
        if settings.generated:
            made_logits = players.labels(players.views(made.detach()), self._noise(len(made)))
            terms = terms + settings.generated * cross_entropy(made_logits, classes)
        self._descend("labels", loss + ramp * terms)

    def make_features(self) -> tuple[Tensor, Tensor]:
        """G_h(z, y) and y, float32 [b, d] and int64 [b], with classes drawn by their prior."""
        size = self.settings.batch_size
        classes = torch.multinomial(self.bought.prior, size, replacement=True, generator=self.generator)
        return self.features_of(classes), classes

    def features_of(self, classes: Tensor) -> Tensor:
        """G_h(z, y) float32 [n, d] of classes int64 [n]: around a bought row of each class, drawn uniformly."""
        places = (torch.rand(len(classes), generator=self.generator) * self.counts[classes]).long()
        rows = self.by_class[(self.counts.cumsum(0) - self.counts)[classes] + places]
        return self.players.features(self.bought.features[rows], classes, self._noise(len(classes)))

    def _judge(self, unlabeled: Tensor, guesses: Tensor, made: Tensor, classes: Tensor) -> None:
        judge, settings = self.players.discriminator, self.settings
        rows = self._draw(len(self.bought.features))
        features, own = self.bought.features[rows], self.bought.classes[rows]
        other = (own + self._integers(1, self.bought.num_classes, len(own))) % self.bought.num_classes
        pairs = [
            (features, self._one_hot(own)),
            (unlabeled, guesses),
            (made, self._one_hot(classes)),
            (features, self._one_hot(other)),
            (unlabeled, complement(guesses)),  # else D learns that the label guessed is the worst that a row can have
        ]
        scores = judge(torch.cat([pair[0] for pair in pairs]), torch.cat([pair[1] for pair in pairs]))
        real, *fakes = scores.split([len(pair[0]) for pair in pairs])
        self._descend("discriminator", discriminator_loss(settings.loss, real, fakes))

    def _penalty(self) -> Tensor:
        """That of logistic regression, so that training starts at the minimum of its own supervised part."""
        halves = 2 if self.bought.num_classes == 2 else 1  # scikit-learn has one row w, not w / 2 and −w / 2
        strength = halves * self.settings.l2 / (2 * len(self.bought.classes))
        return strength * self.players.labels.linear.weight.square().sum()

    def _descend(self, name: str, loss: Tensor) -> None:
        """One step of one player's optimiser; the others' gradients are thrown away."""
        parameters = list(self.players.get_submodule(name).parameters())
        for parameter, gradient in zip(
            parameters, torch.autograd.grad(loss, parameters, allow_unused=True), strict=True
        ):
            parameter.grad = gradient
        self.optimizers[name].step()

    def _draw(self, n: int) -> Tensor:
        size = self.settings.batch_size
        return self._integers(0, n, size) if n > size else torch.arange(n)

    def _integers(self, low: int, high: int, size: int) -> Tensor:
        return torch.randint(low, high, (size,), generator=self.generator)

    def _noise(self, n: int) -> Tensor:
        return torch.randn(n, self.settings.noise, generator=self.generator)

    def _one_hot(self, classes: Tensor) -> Tensor:
        return one_hot(classes, self.bought.num_classes).float()


def complement(labels: Tensor) -> Tensor:
    """¬y of distributions over classes [n, K]: class c has (1 − y_c) / (K − 1)."""
    return (1 - labels) / (labels.shape[-1] - 1)


def distinct_in_order(classes: NDArray[np.int64]) -> NDArray[np.int64]:
    """The classes that occur, in the order of their first occurrence: other ids change nothing but names."""
    found, first = np.unique(classes, return_index=True)
    return found[np.argsort(first)]
