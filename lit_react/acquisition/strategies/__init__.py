"""Acquisition strategies: fixed rules that propose which rows to label next.

A strategy is a plain function `(signals, k, generator) -> rows` (see `Strategy`). What it can be tuned by are keyword
arguments with defaults, to be set in its name, `facility_location(exponent=1)`, or with `functools.partial`. One of
your own needs no entry here: it is named by its dotted path, `my_file.my_rule`, or handed over as a function.

To add one to the package, write such a function in the file of its family and enter it in `STRATEGIES`; then give it a
brute-force twin in `tests/acquisition/test_strategies_reference.py`: the properties in `test_strategies.py` run over
all of `STRATEGIES`.

Rules that score rows break ties at random, greedy ones take the lowest position. All are exact up to the pool size that
their `max_candidates` gives (at any size where they have none). Larger pools are thinned by the generator, so that time
and memory stay bounded.
"""

from lit_react.acquisition.strategies.clustering import cluster_margin, k_means, typiclust
from lit_react.acquisition.strategies.distance import badge, k_center
from lit_react.acquisition.strategies.dropout import dropquery
from lit_react.acquisition.strategies.facility_location import coverage, facility_location
from lit_react.acquisition.strategies.fisher_information import bait
from lit_react.acquisition.strategies.herding import max_herding, uncertainty_herding
from lit_react.acquisition.strategies.probability_coverage import prob_cover
from lit_react.acquisition.strategies.protocol import Strategy, reads, reads_if_offered, signals_read
from lit_react.acquisition.strategies.refinement import refine
from lit_react.acquisition.strategies.transductive_design import transductive_design
from lit_react.acquisition.strategies.uncertainty import (
    by_score,
    cal,
    density_weighted_margin,
    entropy,
    least_confidence,
    margin,
    random,
)

STRATEGIES: dict[str, Strategy] = {
    "random": random,
    "least_confidence": least_confidence,
    "margin": margin,
    "entropy": entropy,
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
    "transductive_design": transductive_design,
    "uncertainty_herding": uncertainty_herding,
    "max_herding": max_herding,
    "bait": bait,
    "dropquery": dropquery,
    "refine": refine,
    "bald": by_score("mutual_information"),
    "token_entropy": by_score("token_entropy"),
    "entity_entropy": by_score("entity_entropy"),
    "bleu_variance": by_score("bleu_variance"),
    "expected_sequence_probability": by_score("expected_sequence_probability"),
}
"""The built-in strategies by name. The last five rank by a score that only some tasks have; the task's file says what
it is."""

__all__ = ["STRATEGIES", "Strategy", "reads", "reads_if_offered", "signals_read"]
