"""The three players, and the neighbourhood that the label generator reads."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, normalize, one_hot
from torch.nn.utils.parametrizations import spectral_norm

SAME = 0.999
"""Cosine from which on two rows are one text: a row is no neighbour of itself, or of its copy."""


class Views(nn.Module):
    """A row, and the mean of the unlabeled rows around it: what the label generator reads.

    A linear map of both is a kernel method with the average of the linear kernel and its diffusion by one step over the
    pool's neighbourhoods; the pool's structure enters here. The neighbours are weighed by softmax(cos / temperature)
    over the anchors, unlabeled rows float32 [a, d] of unit length, so generated features have neighbours too.
    """

    anchors: Tensor

    def __init__(self, anchors: Tensor, temperature: float) -> None:
        super().__init__()
        self.register_buffer("anchors", anchors)
        self.temperature = temperature

    def forward(self, features: Tensor) -> Tensor:
        """float32 [n, 2 d], unit length, of features float32 [n, d]."""
        cosines = features @ self.anchors.T
        weights = torch.where(cosines < SAME, cosines / self.temperature, -1e4).softmax(-1)
        around = normalize(weights @ self.anchors, dim=-1)
        return torch.cat([features, around], dim=-1) * 0.5**0.5


class LabelNetwork(nn.Module):
    """G_l(h, z) → logits over the K labeled classes: a linear map, and a residual that starts at zero and reads z."""

    def __init__(self, views: int, num_classes: int, noise: int, width: int) -> None:
        super().__init__()
        self.noise = noise
        self.linear = nn.Linear(views, num_classes)
        self.hidden = nn.Linear(views, width)
        self.stir = nn.Linear(noise, width, bias=False)
        self.residual = nn.Linear(width, num_classes)
        nn.init.zeros_(self.residual.weight)
        nn.init.zeros_(self.residual.bias)

    def forward(self, views: Tensor, z: Tensor) -> Tensor:
        """float32 […, n, K] of views float32 [n, 2 d] and z float32 [n, noise], or [s, 1, noise] for s values each."""
        return self.linear(views) + self.residual(leaky_relu(self.hidden(views) + self.stir(z), 0.2))


class FeatureNetwork(nn.Module):
    """G_h(z, y) → h: a bought row of class y, moved by at most `spread` and scaled back to unit length."""

    def __init__(self, dimension: int, num_classes: int, noise: int, width: int, spread: float) -> None:
        super().__init__()
        self.num_classes, self.noise, self.spread = num_classes, noise, spread
        self.hidden = nn.Linear(dimension + noise + num_classes, width)
        self.move = nn.Linear(width, dimension)

    def forward(self, rows: Tensor, classes: Tensor, z: Tensor) -> Tensor:
        """float32 [n, d], unit length, of bought rows [n, d], their classes int64 [n] and z [n, noise]."""
        kinds = one_hot(classes, self.num_classes).to(rows.dtype)
        move = self.move(leaky_relu(self.hidden(torch.cat([rows, z, kinds], -1)), 0.2))
        move = self.spread * move / (1 + move.square().sum(-1, keepdim=True)).sqrt()
        return normalize(rows + move, dim=-1)


class Discriminator(nn.Module):
    """D(h, y): how real the pair looks; a projection discriminator (Miyato and Koyama 2018), spectrally normalised.

    It is linear in y, so D of a distribution over classes is the mean over the classes drawn from it. Embeddings lie
    close together on the sphere; they are moved to the pool's mean and stretched to variance 1, so that a network that
    may not stretch can tell them apart; both are those of a sample of its rows, float32 [a, d].
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, sample: Tensor, num_classes: int, width: int) -> None:
        super().__init__()
        mean, dimension = sample.mean(0), sample.shape[1]
        self.register_buffer("mean", mean)
        self.register_buffer("scale", (sample - mean).square().mean().sqrt().clamp(min=1e-3))
        self.first = spectral_norm(nn.Linear(dimension, width))
        self.second = spectral_norm(nn.Linear(width, width))
        self.unconditional = spectral_norm(nn.Linear(width, 1))
        self.kinds = spectral_norm(nn.Linear(num_classes, width, bias=False))

    def forward(self, features: Tensor, labels: Tensor | None = None) -> Tensor:
        """Scores float32 [n] of features float32 [n, d] with distributions over classes float32 [n, K].

        Without labels: the unconditional part, how real the features look.
        """
        hidden = leaky_relu(self.second(leaky_relu(self.first((features - self.mean) / self.scale), 0.2)), 0.2)
        scores = self.unconditional(hidden).squeeze(-1)
        return scores if labels is None else scores + (self.kinds(labels) * hidden).sum(-1)
