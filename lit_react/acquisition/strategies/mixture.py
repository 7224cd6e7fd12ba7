"""A batch from two strategies."""

from __future__ import annotations

import numpy as np

from lit_react.acquisition.signals import PoolSignals, Rows
from lit_react.acquisition.strategies.protocol import Strategy


def mixture(first: Strategy, second: Strategy, share: float = 0.5) -> Strategy:
    """A strategy whose batch is a share of the one's best rows, then the other's best rows beside them.

    Args:
        first: Gives round(share · k) rows, half to even.
        second: Gives the others; it is asked for k, so rows that both want leave no gap.
        share: Between 0 and 1.

    Returns:
        The strategy. It needs what both need.
    """

    def mixed(signals: PoolSignals, k: int, generator: np.random.Generator) -> Rows:
        k = min(k, len(signals))
        chosen = first(signals, round(share * k), generator)
        others = second(signals, k, generator)
        return np.concatenate([chosen, others[~np.isin(others, chosen)]])[:k]

    return mixed
