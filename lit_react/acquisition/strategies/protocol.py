"""What an acquisition strategy is."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from lit_react.acquisition.signals import PoolSignals, Rows


class Strategy(Protocol):
    """A fixed rule that proposes which rows to label next: a pure function of its three arguments."""

    def __call__(self, signals: PoolSignals, k: int, generator: np.random.Generator) -> Rows:
        """Propose a batch.

        Args:
            signals: What one pass over the pool told.
            k: Size of the batch.
            generator: The only source of randomness.

        Returns:
            int64 [min(k, n)], unlabeled rows relative to the pool, unique, best first.
        """
        ...
