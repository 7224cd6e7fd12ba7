"""Teach the Q-network what compared batches brought."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from lit_react.acquisition.features import SAMPLE_FEATURES, STATE_FEATURES
from lit_react.acquisition.q_network import QNetwork
from lit_react.simulation.comparison import Comparisons

MOST_SAMPLES = 20
"""Of a larger batch, so many samples stand for all: its value is a mean."""


@dataclass
class Training:
    """How the network learns.

    Args:
        gamma: discount γ of the rewards that follow a choice; give the agent the same if you change it.
        level: weight of the error in the mean value of a state's options, beside that in their differences.
        members: size of the ensemble.
        hidden: width of the hidden layers.
        epochs: passes over the comparisons.
        batch_size: states per gradient step.
        learning_rate: of AdamW, falling to zero along a half cosine.
        weight_decay: of AdamW.
    """

    gamma: float = 0.7
    level: float = 0.02
    members: int = 8
    hidden: int = 32
    epochs: int = 15
    batch_size: int = 32
    learning_rate: float = 2e-3
    weight_decay: float = 0.1


@dataclass(frozen=True)
class Lessons:
    """Comparisons of many episodes, padded to the largest batch; of those beyond `MOST_SAMPLES`, some samples."""

    states: Tensor  # float32 [n, S]
    options: Tensor  # float32 [n, a, k, F]
    mask: Tensor  # bool [n, a, k]
    returns: Tensor  # float32 [n, a], Σ γ^h r_h of each option, in points
    # float32 [n], how far returns of one state lie apart in the mean over the episode's source: a difference of that
    # size counts the same on every set
    scales: Tensor
    episodes: Tensor  # int64 [n]


def lessons(episodes: Sequence[tuple[str, Comparisons]], gamma: float) -> Lessons:
    """Join episodes, one or more, each given with its main source; returns are discounted by γ."""
    width = min(max(found.options.shape[2] for _, found in episodes), MOST_SAMPLES)
    options, masks = [], []
    for _, found in episodes:
        k = min(found.options.shape[2], width)
        thinned = found.options[:, :, np.linspace(0, found.options.shape[2] - 1, k).round().astype(int)]
        options.append(F.pad(thinned, (0, 0, 0, width - k)))
        masks.append((torch.arange(width) < k).expand(*found.options.shape[:2], width))
    discounts = gamma ** torch.arange(episodes[0][1].rewards.shape[2])
    returns = [found.rewards @ discounts for _, found in episodes]
    spread: dict[str, list[float]] = {}
    for (source, _), values in zip(episodes, returns, strict=True):
        spread.setdefault(source, []).extend((values - values.mean(1, keepdim=True)).square().mean(1).tolist())
    lengths = torch.tensor([len(found.states) for _, found in episodes])
    scales = torch.tensor([max(float(np.mean(spread[source])) ** 0.5, 0.1) for source, _ in episodes])
    return Lessons(
        torch.cat([found.states for _, found in episodes]),
        torch.cat(options),
        torch.cat(masks),
        torch.cat(returns),
        scales.repeat_interleave(lengths),
        torch.arange(len(episodes)).repeat_interleave(lengths),
    )


def train(
    data: Lessons, plan: Training, seed: int, tell: Callable[[int, float], None] = lambda epoch, loss: None
) -> QNetwork:
    """Learn differences between the options of a state, and loosely their mean.

    Each member of the ensemble sees a bootstrap of the episodes (Poisson weights): states of one episode are no
    independent witnesses. Weights, bootstraps and order follow from the seed: same data and seed on the same machine,
    same bits. `tell` is called with each epoch and its mean loss.
    """
    generator = torch.Generator().manual_seed(seed)
    network = QNetwork(
        len(STATE_FEATURES), len(SAMPLE_FEATURES), members=plan.members, hidden=plan.hidden, generator=generator
    )
    inputs = torch.cat([data.states[:, None, None].expand(*data.mask.shape, -1), data.options], dim=-1)
    network.standardise(inputs[data.mask])
    count = int(data.episodes.max()) + 1
    weights = torch.poisson(torch.ones(plan.members, count), generator=generator)[:, data.episodes]
    optimizer = torch.optim.AdamW(network.parameters(), lr=plan.learning_rate, weight_decay=plan.weight_decay)
    steps = plan.epochs * -(-len(data.states) // plan.batch_size)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for epoch in range(plan.epochs):
        total = 0.0
        for rows in torch.randperm(len(data.states), generator=generator).split(plan.batch_size):
            values = network(data.states[rows], data.options[rows], data.mask[rows])
            errors = _errors(values, data.returns[rows], data.scales[rows], plan.level)
            loss = (errors * weights[:, rows]).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += float(loss.detach()) * len(rows)
        tell(epoch, total / len(data.states))
    return network.eval()


def expected_gain(episodes: Sequence[tuple[str, Comparisons]], default: int, ridge: float = 1.0) -> Tensor:
    """What the default rule's batch brings in the next round, linear in the state features: the guard's yardstick.

    `default` is the index of the default rule's option, `ridge` the penalty on the weights. Gives float32 [S + 1],
    weights and intercept, in points.
    """
    states = torch.cat([found.states for _, found in episodes]).double()
    gains = torch.cat([found.rewards[:, default, 0] for _, found in episodes]).double()
    centre, scale = states.mean(0), states.std(0).clamp(min=1e-3)
    x = (states - centre) / scale
    weights = torch.linalg.solve(x.T @ x + ridge * torch.eye(x.shape[1]).double(), x.T @ (gains - gains.mean())) / scale
    return torch.cat([weights, (gains.mean() - weights @ centre)[None]]).float()


def _errors(values: Tensor, returns: Tensor, scales: Tensor, level: float) -> Tensor:
    """Huber losses of differences and of levels, [members, b]."""
    mean, truth = values.mean(-1, keepdim=True), returns.mean(-1, keepdim=True)
    wanted = ((returns - truth) / scales[:, None]).clamp(-3, 3).expand_as(values)
    apart = F.smooth_l1_loss((values - mean) / scales[:, None], wanted, reduction="none").mean(-1)
    return apart + level * F.smooth_l1_loss(mean[..., 0], truth[..., 0].expand_as(mean[..., 0]), reduction="none")
