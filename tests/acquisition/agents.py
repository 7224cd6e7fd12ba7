"""Agents and options for tests."""

import numpy as np
import torch

from lit_react.acquisition.agents import Purchase, Situation
from lit_react.acquisition.agents.double_dqn import POINTS, DoubleDQN
from lit_react.acquisition.features import SAMPLE_FEATURES, STATE_FEATURES, History
from lit_react.acquisition.proposals import Options

STATE, SAMPLE = len(STATE_FEATURES), len(SAMPLE_FEATURES)
KIND = SAMPLE_FEATURES[0]
"""The feature that tells the kind of an option of `make_options`."""


def make_agent(**options):
    """An agent that learns from scratch."""
    return DoubleDQN(**{"pretrained": None, "hidden": 8, "updates_per_round": 60, "learning_rate": 3e-3} | options)


def make_options(kinds=(0.0, 1.0), k=3, default=(0,), takes=1):
    """Batches of k samples whose first feature tells the kind of the option."""
    features = torch.zeros(len(kinds), k, SAMPLE)
    features[:, :, 0] = torch.tensor(kinds)[:, None]
    is_default = torch.zeros(len(kinds), dtype=torch.bool)
    is_default[list(default)] = True
    return Options(features, torch.ones(len(kinds), k, dtype=torch.bool), is_default, takes)


def observe_random(agent, count, seed=0, ended=lambda i: i % 4 == 3):
    """Transitions with different numbers of options and samples, some of them terminal."""
    g = torch.Generator().manual_seed(seed)
    for i in range(count):
        k, a, width = 2 + i % 3, 1 + i % 4, 1 + i % 3
        mask = torch.ones(a, width, dtype=torch.bool)
        mask[-1, 1:] = False
        options = Options(torch.randn(a, width, SAMPLE, generator=g), mask, torch.ones(a) > 0, 1 + i % 2)
        step = (torch.randn(STATE, generator=g), torch.randn(k, SAMPLE, generator=g))
        reward = float(torch.randn((), generator=g)) / POINTS
        agent.record(*step, reward, torch.randn(STATE, generator=g), None if ended(i) else options)


def make_situation(signals, proposals, k=5, generator=None, asked=None):
    """The situation of an agent on these signals, when labels cost 1."""
    generator = generator or np.random.default_rng(0)
    size = int(max(signals.rows.max(initial=0), signals.labeled_rows.max(initial=0))) + 1
    return Situation(
        proposals=proposals.propose(signals, k, generator, asked),
        signals=signals,
        affordable=signals,
        k=k,
        spent=0.5,
        generator=generator,
        history=History([0.5]),
        costs=np.ones(size),
        offered_by=proposals,
    )


def make_purchase(rows, names):
    """Rows that were bought, each proposed by a rule."""
    rows = np.asarray(rows, dtype=np.int64)
    return Purchase(rows, list(names), torch.zeros(STATE), torch.zeros(len(rows), SAMPLE), len(rows), 0.5, False)
