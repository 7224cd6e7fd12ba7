"""Seconds and peak memory of every strategy by pool size, and what thinning a large pool costs.

    python scripts/benchmarks/selection.py --pools 10000 100000 1000000 --classes 4 77

Each cell is a process of its own, so that the peak resident memory (pages of the memory-mapped embeddings included) is
its own too. Embeddings are synthetic: unit vectors of 384 × float16, in clusters near a subspace of 32 dimensions, as
those of texts are; small pools are the beginning of the largest. The second table forces the limits of the thinned
strategies (`max_candidates`, `max_anchors`) down to a tenth of a pool on which they are exact, and compares picks and
objectives.
"""

import argparse
import inspect
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch

from lit_react.acquisition.agents import DoubleDQN
from lit_react.acquisition.features import FeatureMap, History
from lit_react.acquisition.proposals import Batches
from lit_react.acquisition.signals import PoolSignals, Rows
from lit_react.acquisition.strategies import STRATEGIES, Strategy, signals_read
from lit_react.acquisition.strategies.probability_coverage import pure_radius

DIMENSION = 384
LABELED = 500
CLUSTERS = 200
LATENT = 32
CHUNK = 50_000

Result = TypeVar("Result")


def policy(signals: PoolSignals, k: int, generator: np.random.Generator) -> Rows:
    """The Q-policy's whole decision: all proposals, their features, their values, the draw."""
    chooser, agent = Batches(), DoubleDQN()
    proposals = chooser.propose(signals, k, generator)
    features = FeatureMap(signals, History(), np.ones(len(signals) + LABELED), 0.5, generator)
    options = chooser.options(proposals, features, k)
    decision = agent.draw(torch.from_numpy(features.state()), options, spent=0.5)
    return proposals[decision.taken[0]].rows


# Whatever is called as (signals, k, generator) can be measured.
ENTRIES: dict[str, Strategy] = {**STRATEGIES, "policy": policy}


def generate(folder: Path, rows: int, class_counts: list[int]) -> None:
    """Write embeddings.f16 [rows, DIMENSION] and, per number of classes C, probabilities_C.f32 [rows, C]."""
    rng = np.random.default_rng(0)
    basis = rng.standard_normal((LATENT, DIMENSION), dtype=np.float32)
    centres = 1.5 * rng.standard_normal((CLUSTERS, LATENT), dtype=np.float32)
    shares = rng.dirichlet(np.ones(CLUSTERS))
    heads = {classes: rng.standard_normal((LATENT, classes), dtype=np.float32) for classes in class_counts}
    for start in range(0, rows, CHUNK):
        count = min(CHUNK, rows - start)
        latent = centres[rng.choice(CLUSTERS, count, p=shares)]
        latent += rng.standard_normal(latent.shape, dtype=np.float32)
        points = latent @ basis + 2 * rng.standard_normal((count, DIMENSION), dtype=np.float32)
        points /= np.linalg.norm(points, axis=1, keepdims=True)
        append(folder / "embeddings.f16", points.astype(np.float16))
        for classes, head in heads.items():
            logits = latent @ head / 2
            probabilities = np.exp(logits - logits.max(axis=1, keepdims=True))
            append(folder / f"probabilities_{classes}.f32", probabilities / probabilities.sum(axis=1, keepdims=True))


def append(path: Path, array: np.ndarray) -> None:
    with path.open("ab") as file:
        array.tofile(file)


def read(folder: Path, pool: int, classes: int) -> PoolSignals:
    """Signals of the first `pool` rows; the LABELED rows after them are the labeled ones."""
    shape = (pool + LABELED, DIMENSION)
    embeddings = np.memmap(folder / "embeddings.f16", dtype=np.float16, mode="r", shape=shape)
    path = folder / f"probabilities_{classes}.f32"
    probabilities = np.fromfile(path, dtype=np.float32, count=shape[0] * classes).reshape(-1, classes)
    score = np.random.default_rng(0).random(pool, dtype=np.float32)
    return PoolSignals(
        rows=np.arange(pool),
        probabilities=probabilities[:pool],
        embeddings=embeddings[:pool],
        labeled_rows=np.arange(pool, pool + LABELED),
        labels=probabilities[pool:].argmax(axis=1),
        labeled_probabilities=probabilities[pool:],
        labeled_embeddings=embeddings[pool:],
        scores=dict.fromkeys((name for strategy in STRATEGIES.values() for name in signals_read(strategy)), score),
    )


def measure(name: str, folder: Path, pool: int, classes: int, k: int) -> dict[str, float]:
    """Seconds of one selection and the process's peak memory in MiB; run in a fresh process."""
    signals = read(folder, pool, classes)
    start = time.perf_counter()
    rows = ENTRIES[name](signals, k, np.random.default_rng(0))
    seconds = time.perf_counter() - start
    if len(set(rows.tolist())) != k:
        raise RuntimeError(f"{name} gave {len(set(rows.tolist()))} rows instead of {k}")
    return {"seconds": seconds, "mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def in_fresh_process(function: Callable[..., Result], *arguments: object) -> Result:
    """Result of a call in a process of its own. Peak memory starts at the caller's, which must stay small."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as executor:
        return executor.submit(function, *arguments).result()


def costs(names: list[str], folder: Path, pools: list[int], class_counts: list[int], k: int) -> None:
    """Print the table of seconds and peak MiB."""
    cells = [(pool, classes) for pool in pools for classes in class_counts]
    heads = [f"{pool:,} × {classes} classes" for pool, classes in cells]
    growths = [classes for classes in class_counts if {100_000, 1_000_000} <= set(pools)]
    print_row("strategy", *heads, *(f"growth 100k → 1M, {classes} classes" for classes in growths))
    print_row(*["---"] * (1 + len(heads) + len(growths)))
    for name in names:
        result = {}
        for pool, classes in cells:
            result[pool, classes] = in_fresh_process(measure, name, folder, pool, classes, k)
        growth = [result[1_000_000, classes]["seconds"] / result[100_000, classes]["seconds"] for classes in growths]
        row = [f"{result[cell]['seconds']:.2f} s, {result[cell]['mib']:.0f} MiB" for cell in cells]
        print_row(name, *row, *(f"{factor:.1f}" for factor in growth))


def objectives(signals: PoolSignals, radius: float) -> dict[str, Callable[[Rows], float]]:
    """What some strategies maximise, on the whole pool; `radius` is that of prob_cover."""
    points = np.asarray(signals.embeddings, dtype=np.float32)
    labeled = np.asarray(signals.labeled_embeddings, dtype=np.float32)
    weights = (np.argsort(np.argsort(-signals.margin)) + 1) / len(signals)

    def similarity(picks: Rows) -> np.ndarray:
        return np.maximum(points @ np.concatenate([labeled, points[picks]]).T, 0).max(axis=1)

    def distance(picks: Rows) -> np.ndarray:
        return np.sqrt(np.maximum(2 - 2 * (points @ points[picks].T).max(axis=1), 0))

    start = similarity(np.empty(0, dtype=np.int64))
    return {
        "facility_location": lambda picks: float(weights**3 @ (similarity(picks) - start)),
        "coverage": lambda picks: float((similarity(picks) - start).sum()),
        "k_center": lambda picks: float(1 / np.sqrt(2 - 2 * similarity(picks).min())),
        "k_means": lambda picks: float(1 / (distance(picks) ** 2).mean()),
        "prob_cover": lambda picks: float(np.mean((distance(picks) <= radius) & (start < 1 - radius**2 / 2))),
    }


def losses(names: list[str], folder: Path, pool: int, class_counts: list[int], k: int) -> None:
    """Print recall of the exact picks and ratio of the objectives with all limits at a tenth of the pool."""
    print_row("strategy", "classes", "recall", "objective thinned / exact", "objective random / exact")
    print_row(*["---"] * 5)
    for classes in class_counts:
        signals = read(folder, pool, classes)
        points = np.asarray(signals.embeddings, dtype=np.float32)
        radius = pure_radius(points, classes, np.random.default_rng(0))
        objective = objectives(signals, radius)
        for name in names:
            tunable = inspect.signature(ENTRIES[name]).parameters
            limits = {limit: pool // 10 for limit in ("max_candidates", "max_anchors") if limit in tunable}
            if not limits:
                continue
            strategy: Callable[..., Rows] = ENTRIES[name]
            strategy = partial(strategy, radius=radius) if name == "prob_cover" else strategy
            exact = strategy(signals, k, np.random.default_rng(0))
            thinned = partial(strategy, **limits)(signals, k, np.random.default_rng(0))
            chance = ENTRIES["random"](signals, k, np.random.default_rng(0))
            recall = f"{len(np.intersect1d(exact, thinned)) / k:.2f}"
            if name in objective:
                best = objective[name](exact)
                ratios = [f"{objective[name](rows) / best:.3f}" for rows in (thinned, chance)]
            else:
                ratios = ["–", "–"]
            print_row(name, str(classes), recall, *ratios)


def print_row(*cells: str) -> None:
    print("| " + " | ".join(cells) + " |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pools", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--classes", type=int, nargs="+", default=[4, 77])
    parser.add_argument("--strategies", nargs="+", default=list(ENTRIES), choices=list(ENTRIES))
    parser.add_argument("--k", type=int, default=50)
    parser.add_argument("--exact-pool", type=int, default=10_000, help="pool of the second table")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        in_fresh_process(generate, folder, max(*args.pools, args.exact_pool) + LABELED, args.classes)
        costs(args.strategies, folder, args.pools, args.classes, args.k)
        print(f"\nLimits at a tenth of {args.exact_pool:,} rows:\n")
        losses(args.strategies, folder, args.exact_pool, args.classes, args.k)


if __name__ == "__main__":
    main()
