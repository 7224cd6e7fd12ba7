"""Q(s, a) for any batch: the mean over its samples of q(s, φ(x)), by a small ensemble."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

LARGEST = 4.0
"""Standardised inputs are cut here: what training never saw shall not be extrapolated far."""


class QNetwork(nn.Module):
    """An ensemble of MLPs over state and sample features (value decomposition: Q(s, B) = mean over x in B).

    The last layer starts at zero: an untrained network values all batches alike, and says so. The disagreement of its
    members is the network's doubt. They have two hidden layers of the width `hidden`; the generator draws their
    weights.
    """

    mean: Tensor
    scale: Tensor

    def __init__(
        self, state_dim: int, sample_dim: int, *, members: int, hidden: int, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(state_dim + sample_dim))
        self.register_buffer("scale", torch.ones(state_dim + sample_dim))
        sizes = [state_dim + sample_dim, hidden, hidden, 1]
        self.weights = nn.ParameterList()
        self.biases = nn.ParameterList()
        for fan_in, fan_out in pairwise(sizes):
            weight = torch.randn(members, fan_in, fan_out, generator=generator) * (2 / fan_in) ** 0.5
            self.weights.append(nn.Parameter(weight if fan_out > 1 else torch.zeros_like(weight)))
            self.biases.append(nn.Parameter(torch.zeros(members, 1, fan_out)))

    def standardise(self, inputs: Tensor) -> None:
        """Take mean and spread of the inputs, float32 [n, S + F], from data; until then they are used as they are.

        An input that is constant there taught nothing: it is not listened to.
        """
        spread = inputs.std(0)
        self.mean.copy_(inputs.mean(0))
        self.scale.copy_(torch.where(spread < 1e-3, torch.inf, spread))

    def forward(self, state: Tensor, samples: Tensor, mask: Tensor) -> Tensor:
        """Values of batches, float32 [members, b, a]; 0 for a batch without samples.

        The state is float32 [b, S], samples are float32 [b, a, k, F], features of k samples in each of a batches; the
        mask, bool [b, a, k], is False where a batch has fewer.
        """
        b, a, k, _ = samples.shape
        x = torch.cat([state[:, None, None].expand(b, a, k, -1), samples], dim=-1).flatten(0, 2)
        x = ((x - self.mean) / self.scale).clamp(-LARGEST, LARGEST)
        for index, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            x = x @ weight + bias
            if index + 1 < len(self.weights):
                x = torch.relu(x)
        values = x.view(len(x), b, a, k) * mask
        return values.sum(-1) / mask.sum(-1).clamp(min=1)
