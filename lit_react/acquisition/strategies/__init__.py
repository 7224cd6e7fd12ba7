"""Acquisition strategies: fixed rules that propose which rows to label next.

`find_strategy` gives the one of a name, or a setting of it: `facility_location(exponent=1)`.

A strategy is a plain function `(signals, k, generator) -> rows` (see `Strategy`). What it can be tuned by are keyword
arguments with defaults, to be set with `functools.partial`. To add one, write such a function in the file of its
family, enter it in `STRATEGIES`, and in `NEEDS` where it reads optional signals; then give it a brute-force twin in
`tests/acquisition/test_strategies_reference.py`: the properties in `test_strategies.py` run over all of `STRATEGIES`.

Rules that score rows break ties at random, greedy ones take the lowest position. All are exact up to the pool size that
their `max_candidates` gives (at any size where they have none). Larger pools are thinned by the generator, so that time
and memory stay bounded.
"""

import ast
import inspect
import re
from functools import partial

from lit_react.acquisition.strategies.badge import badge
from lit_react.acquisition.strategies.clustering import cluster_margin, k_means, typiclust
from lit_react.acquisition.strategies.contrastive import cal
from lit_react.acquisition.strategies.coreset import k_center
from lit_react.acquisition.strategies.density import density_weighted_margin
from lit_react.acquisition.strategies.facility_location import coverage, facility_location
from lit_react.acquisition.strategies.probability_coverage import prob_cover
from lit_react.acquisition.strategies.protocol import Strategy
from lit_react.acquisition.strategies.transductive_design import transductive_design
from lit_react.acquisition.strategies.uncertainty import by_score, entropy, least_confidence, margin, random

SCORES = {
    "bald": "mutual_information",
    "token_entropy": "token_entropy",
    "entity_entropy": "entity_entropy",
    "bleu_variance": "bleu_variance",
    "expected_sequence_probability": "expected_sequence_probability",
}
"""Strategies that rank by a score that only some tasks have, and that score; the task's file says what it is."""

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
    **{name: by_score(score) for name, score in SCORES.items()},
}
"""All strategies by name."""

NEEDS: dict[str, frozenset[str]] = dict.fromkeys(STRATEGIES, frozenset()) | {
    "badge": frozenset({"head_inputs"}),
    **{name: frozenset({score}) for name, score in SCORES.items()},
}
"""What each strategy reads beyond the fields of `PoolSignals` that are always there."""

DISPENSABLE = frozenset({"head_inputs"})
"""Needs that can be done without: BADGE then takes the embeddings."""

SETTING = re.compile(r"(?P<name>\w+)(?:\((?P<options>.*)\))?")


def find_strategy(text: str) -> Strategy:
    """The strategy of a name, with options where the name has some.

    Args:
        text: `margin`, `facility_location(exponent=1, power=2)`.

    Raises:
        ValueError: no strategy has that name or option.
    """
    match = SETTING.fullmatch(text.strip())
    if match is None or match["name"] not in STRATEGIES:
        raise ValueError(f"unknown strategy {text!r}, expected one of {', '.join(sorted(STRATEGIES))}")
    strategy = STRATEGIES[match["name"]]
    if not match["options"]:
        return strategy
    known = [name for name, p in inspect.signature(strategy).parameters.items() if p.kind is p.KEYWORD_ONLY]
    options = {}
    for option in match["options"].split(","):
        name, _, value = (part.strip() for part in option.partition("="))
        try:
            options[name] = ast.literal_eval(value)
        except (SyntaxError, ValueError):
            options[name] = None
        if name not in known or not isinstance(options[name], int | float):
            raise ValueError(f"strategy {text!r}: expected options of {', '.join(known) or 'none'} with numbers")
    return partial(strategy, **options)


def needs_of(text: str) -> frozenset[str]:
    """Optional fields of `PoolSignals` that a strategy reads, by its name or setting."""
    return NEEDS[text.partition("(")[0].strip()]


__all__ = ["DISPENSABLE", "NEEDS", "SCORES", "STRATEGIES", "Strategy", "find_strategy", "needs_of"]
