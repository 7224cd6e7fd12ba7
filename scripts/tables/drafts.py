"""Do drafts pay? People alone, a cheap annotator alone, and people over its drafts, for the same money.

    python scripts/tables/drafts.py                      # half an hour on two cores, writes runs/drafts
    python scripts/tables/drafts.py --sets subj snips --errors 0.4

The encoder is frozen: logistic regression on MiniLM embeddings, a pool of 1000; a label costs 1, a draft 0.01.
The simulated annotator errs on hard texts, and towards classes that are confused: hard is what a classifier of *all*
labels is unsure of. People do not err. The run with drafts buys them all first and has so many labels less; guarded, a
fit goes without drafts that do harm, as in `rounds.drafts`.
"""

import argparse
import json
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from itertools import product
from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from lit_react.acquisition.signals import PoolSignals
from lit_react.acquisition.strategies.facility_location import facility_location
from lit_react.annotation.drafts import FEWEST, right_by_folds
from lit_react.core.files import write_json
from lit_react.core.logistic_regression import LinearClassifier, fit_logistic_regression
from lit_react.core.statistics import bootstrap_interval
from lit_react.simulation.sources import Encoder, LabeledSet, embedded_sources, load_sources

SETS = ["trec6", "trec50", "sst2", "subj", "snips", "ag_news", "tweeteval_emotion", "financial_phrasebank"]
POOL, PRICE, STEP, MONEY, L2 = 1000, 0.01, 20, 200, 0.05
WAYS = {"people": None, "drafts": 1.0, "both, weight 1": 1.0, "both, weight 0.3": 0.3, "both, guarded": 0.3}


@cache
def all_labels(folder: Path, names: tuple[str, ...], name: str) -> LogisticRegression:
    """A classifier of all labels of a set."""
    pool, test = load_sources(names, folder)[name]
    embeddings = np.concatenate([pool.embeddings, test.embeddings])
    return LogisticRegression(C=1 / L2, max_iter=300).fit(embeddings, np.concatenate([pool.labels, test.labels]))


def drafts_of(
    found: NDArray[np.float64], truth: NDArray[np.int64], errors: float, generator: np.random.Generator
) -> NDArray[np.int64]:
    """int64 [n], labels of which the share `errors` is wrong.

    Args:
        found: float64 [n, C], probabilities by a classifier of all labels (see above).
        truth: int64 [n], the right ones.
        errors: see above.
        generator: decides which.
    """
    rows = np.arange(len(truth))
    right = found[rows, truth]
    found[rows, truth] = 0
    rival = found.max(axis=1)
    hard = rival / (right + rival) + 0.02
    low, high = 0.0, 1000.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if np.minimum(middle * hard, 0.95).mean() < errors else (low, middle)
    wrong = generator.random(len(truth)) < np.minimum(low * hard, 0.95)
    drawn = (found / found.sum(axis=1, keepdims=True)).cumsum(axis=1)
    others = np.minimum((drawn < generator.random((len(truth), 1))).sum(axis=1), found.shape[1] - 1)
    return np.where(wrong, others, truth)


def curve(folder: Path, names: tuple[str, ...], job: tuple[str, float, int], way: str) -> list[float]:
    """Test accuracy after each 20 units of money."""
    name, errors, seed = job
    pool, test = load_sources(names, folder)[name]
    classes = int(max(pool.labels.max(), test.labels.max())) + 1
    generator = np.random.default_rng([seed, 7])
    rows = generator.permutation(len(pool.labels))[:POOL]
    embeddings, truth = pool.embeddings[rows], pool.labels[rows]
    labels = truth.copy()
    if way != "people":
        judge = all_labels(folder, names, name)
        found = np.zeros((len(rows), classes))
        found[:, judge.classes_] = judge.predict_proba(embeddings)
        labels = drafts_of(found, truth, errors, generator)
    settled, accuracies, weight = np.zeros(len(rows), dtype=bool), list[float](), WAYS[way]
    head = fit_logistic_regression(embeddings, labels, classes, L2) if weight else None
    for spent in range(STEP, MONEY + 1, STEP):
        count = STEP - (round(PRICE * len(rows)) if weight and spent == STEP else 0)
        if way != "drafts":
            new = generator.permutation(len(rows))[:count]
            if head is not None:
                new = facility_location(signals(head, embeddings, settled, labels), count, generator)
            settled[new], labels[new] = True, truth[new]
            read = slice(None) if weight else settled
            if way == "both, guarded" and settled.sum() >= FEWEST:
                both, alone = right_by_folds(embeddings, labels, ~settled, classes, 0.3)
                read = settled if alone > both else read
            weights = np.where(settled, 1.0, weight or 1.0).astype(np.float32)[read]
            head = fit_logistic_regression(embeddings[read], labels[read], classes, L2, weights=weights)
        assert head is not None, "there are drafts or labels"
        accuracies.append(100 * float((head.probabilities(test.embeddings).argmax(axis=1) == test.labels).mean()))
    return accuracies


def signals(
    head: LinearClassifier, embeddings: NDArray[np.float32], settled: NDArray[np.bool_], labels: NDArray[np.int64]
) -> PoolSignals:
    """What a pass over the pool would give; a draft is no label."""
    found, open_ = head.probabilities(embeddings), np.flatnonzero(~settled)
    return PoolSignals(
        rows=open_,
        probabilities=found[open_],
        embeddings=embeddings[open_],
        labeled_rows=np.flatnonzero(settled),
        labels=labels[settled],
        labeled_probabilities=found[settled],
        labeled_embeddings=embeddings[settled],
        head_inputs=embeddings[open_],
    )


def cell(folder: Path, names: tuple[str, ...], job: tuple[str, float, int]) -> None:
    """One set, share of errors and seed, all ways; it is kept in a file."""
    name, errors, seed = job
    path = folder / f"{name}_{errors:g}_{seed}.json"
    if not path.exists():
        write_json(path, {way: curve(folder / "sources", names, job, way) for way in WAYS})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("runs/drafts"))
    parser.add_argument("--sets", nargs="+", default=SETS)
    parser.add_argument("--errors", nargs="+", type=float, default=[0.08, 0.2, 0.4])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    known = yaml.safe_load(Path("configs/simulate.yaml").read_text())["sources"]
    sources = {name: LabeledSet(**known[name]) for name in options.sets}
    (options.folder / "sources").mkdir(parents=True, exist_ok=True)
    names = tuple(embedded_sources(sources, Encoder(), options.folder / "sources"))
    jobs = list(product(names, options.errors, range(options.seeds)))
    with ProcessPoolExecutor(options.workers) as pool:
        list(pool.map(partial(cell, options.folder, names), jobs))
    for errors in options.errors:
        pairs = product(names, range(options.seeds))
        files = [options.folder / f"{name}_{errors:g}_{seed}.json" for name, seed in pairs]
        found = [json.loads(path.read_text()) for path in files]
        print(f"\nerrors {errors:.0%}, {len(found)} pairs")
        print("| labels bought by | AULC | at 20 | 100 | 200 | AULC − people |")
        print("|---|---|---|---|---|---|")
        for way in WAYS:
            curves = np.asarray([each[way] for each in found])
            gains = curves.mean(axis=1) - np.asarray([each["people"] for each in found]).mean(axis=1)
            low, high = bootstrap_interval(gains, np.random.default_rng(0))
            at = " | ".join(f"{curves[:, spent // STEP - 1].mean():.1f}" for spent in (20, 100, 200))
            print(f"| {way} | {curves.mean():.1f} | {at} | {gains.mean():+.1f} ({low:+.1f} to {high:+.1f}) |")
        for name in names:
            each = [found[i] for i, path in enumerate(files) if path.name.startswith(f"{name}_{errors:g}_")]
            print(name, {way: round(float(np.mean([one[way] for one in each])), 1) for way in WAYS})


if __name__ == "__main__":
    main()
