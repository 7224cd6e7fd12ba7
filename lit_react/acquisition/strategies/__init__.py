"""Acquisition strategies: fixed rules that propose which rows to label next.

A strategy is a plain function `(signals, k, generator) -> rows` (see `Strategy`). What it can be tuned by are keyword
arguments with defaults, to be set with `functools.partial`. To add one, write such a function in the file of its
family, enter it in `STRATEGIES`, and in `NEEDS` where it reads optional signals; then give it a brute-force twin in
`tests/acquisition/test_strategies_reference.py`: the properties in `test_strategies.py` run over all of `STRATEGIES`.

Rules that score rows break ties at random, greedy ones take the lowest position. All are exact up to the pool size that
their `max_candidates` gives (at any size where they have none). Larger pools are thinned by the generator, so that time
and memory stay bounded.
"""

from lit_react.acquisition.strategies.badge import badge
from lit_react.acquisition.strategies.clustering import cluster_margin, k_means, typiclust
from lit_react.acquisition.strategies.contrastive import cal
from lit_react.acquisition.strategies.coreset import k_center
from lit_react.acquisition.strategies.density import density_weighted_margin
from lit_react.acquisition.strategies.facility_location import coverage, facility_location
from lit_react.acquisition.strategies.probability_coverage import prob_cover
from lit_react.acquisition.strategies.protocol import Strategy
from lit_react.acquisition.strategies.uncertainty import bald, entropy, least_confidence, margin, random

STRATEGIES: dict[str, Strategy] = {
    "random": random,
    "least_confidence": least_confidence,
    "margin": margin,
    "entropy": entropy,
    "bald": bald,
    "badge": badge,
    "cal": cal,
    "k_center": k_center,
    "k_means": k_means,
    "typiclust": typiclust,
    "prob_cover": prob_cover,
    "cluster_margin": cluster_margin,
    "density_weighted_margin": density_weighted_margin,
    "facility_location": facility_location,
    "coverage": coverage,
}
"""All strategies by name."""

NEEDS: dict[str, frozenset[str]] = dict.fromkeys(STRATEGIES, frozenset()) | {
    "badge": frozenset({"head_inputs"}),  # makes do with the embeddings where None
    "bald": frozenset({"mutual_information"}),  # refuses None
}
"""Optional fields of `PoolSignals` that each strategy reads."""

__all__ = ["NEEDS", "STRATEGIES", "Strategy"]
