"""The recommender on MovieLens-100k beside popularity, item-kNN, EASE, implicit ALS and the cosine of texts.

    python scripts/benchmarks/recommendation.py [--splits 1 2] [--folder $LIT_REACT_DATA/movielens100k]

Ratings of 4 and 5 are likes. Of each split 12 % of the items are cold; of each user the last warm item is for test, the
one before it for validation. The others are tuned on the validation items of the first split. Differences are paired
over users, each the mean over splits. The second table asks a fifth of the users, whom no fit saw, about items; half of
what each liked can be answered with yes, the other half is to be found.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from implicit.als import AlternatingLeastSquares
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from lit_react.acquisition.signals import PoolSignals
from lit_react.acquisition.strategies.facility_location import cover, powered
from lit_react.applications.interactions import Floats, HeldOut, Ints, hold_out, read_catalogue, read_histories
from lit_react.applications.recommendation import (
    cosine_scores,
    embed,
    popularity_scores,
    questions,
    ranking_metrics,
    table,
)
from lit_react.applications.two_tower import TwoTower, fit, item_features
from lit_react.core.quiet import quiet
from lit_react.core.statistics import bootstrap_interval, wilcoxon
from lit_react.tasks.pretrained import MINILM

ASKED = (0, 3, 5, 10)
Scorer = Callable[..., Floats]


def likes(histories: list[Ints], items: int) -> csr_matrix:
    """Users x items, 1 where liked."""
    lengths = [len(history) for history in histories]
    cells = np.repeat(np.arange(len(histories)), lengths), np.concatenate(histories)
    return csr_matrix((np.ones(sum(lengths), np.float32), cells), shape=(len(histories), items))


def item_knn(matrix: csr_matrix, neighbours: int, shrinkage: float) -> Floats:
    """Cosines of items' users, those of the nearest items only."""
    together = (matrix.T @ matrix).toarray()
    norms = np.sqrt(together.diagonal())
    similar = together / (np.outer(norms, norms) + shrinkage + 1e-9)
    np.fill_diagonal(similar, 0)
    least = np.partition(similar, -neighbours, axis=1)[:, -neighbours, None]
    return matrix @ np.where(similar >= least, similar, 0).T


def ease(matrix: csr_matrix, penalty: float) -> Floats:
    """Steck 2019."""
    inverse = np.linalg.inv((matrix.T @ matrix).toarray().astype(np.float64) + penalty * np.eye(matrix.shape[1]))
    weights = -inverse / inverse.diagonal()
    np.fill_diagonal(weights, 0)
    return (matrix @ weights).astype(np.float32)


def als(matrix: csr_matrix, factors: int, regularization: float, alpha: float) -> Floats:
    """Hu, Koren and Volinsky 2008, of the package implicit."""
    options = {"iterations": 15, "random_state": 0, "num_threads": 1}
    model = AlternatingLeastSquares(factors=factors, regularization=regularization, alpha=alpha, **options)
    model.fit(matrix, show_progress=False)
    return model.user_factors @ model.item_factors.T


TUNED: dict[str, tuple[Scorer, list[tuple[Any, ...]]]] = {
    "item-kNN": (item_knn, list(product((25, 50, 100, 400), (0, 10)))),
    "EASE": (ease, [(penalty,) for penalty in (30, 100, 300, 1000)]),
    "ALS": (als, list(product((32, 64, 128), (1, 10, 30), (1, 5)))),
}


def unseen(scores: Floats, histories: list[Ints]) -> Floats:
    for row, history in zip(scores, histories, strict=True):
        row[history] = -np.inf
    return scores


def tuned(held_out: HeldOut) -> dict[str, tuple[Any, ...]]:
    """The options with the highest NDCG@10 of the last item but one, given those before it."""
    before = [history[:-1] for history in held_out.histories]
    last = [history[-1:] for history in held_out.histories]
    matrix = likes(before, len(held_out.cold))
    best = {}
    for name, (scorer, options) in TUNED.items():
        found = {
            one: ranking_metrics(unseen(scorer(matrix, *one), before), last, ~held_out.cold)[:, 0].mean()
            for one in options
        }
        best[name] = max(options, key=found.__getitem__)
        print(f"{name}: {best[name]} of {len(options)}, validation NDCG@10 {found[best[name]]:.4f}", flush=True)
    return best


def per_user(scores: Floats, held_out: HeldOut) -> NDArray[np.float64]:
    """Warm NDCG@10 and recall@20, then cold ones, [u, 4]."""
    warm = ranking_metrics(scores, held_out.last, ~held_out.cold)
    return np.hstack([warm, ranking_metrics(scores, held_out.new, held_out.cold)])


def answered(model: TwoTower, liked: list[Ints], name: str, generator: np.random.Generator) -> list[list[Ints]]:
    """For each number of `ASKED`, of each user what was asked about and liked, in the order of the questions."""
    counts = model.liked.numpy()
    if name == "the model's best, given the answers":
        yes: list[Ints] = [np.empty(0, np.int64) for _ in liked]
        asked = [yes]
        closed = np.zeros((len(liked), len(counts)), bool)
        for _ in range(max(ASKED)):
            next_items = np.where(closed, -np.inf, model.scores(asked[-1])).argmax(axis=1)
            closed[np.arange(len(liked)), next_items] = True
            news = zip(asked[-1], next_items, liked, strict=True)
            asked.append([np.append(old, item) if item in likes_ else old for old, item, likes_ in news])
        return [asked[count] for count in ASKED]
    order = {
        "random": lambda: generator.permutation(np.flatnonzero(counts > 0)),
        "most popular": lambda: questions(model, max(ASKED)),
        "coverage of texts and ids": lambda: covering(model, power=0),
        "expected coverage": lambda: covering(model, power=1),
    }[name]
    orders = [order() for _ in liked] if name == "random" else [order()] * len(liked)
    return [
        [items[:count][np.isin(items[:count], likes_)] for items, likes_ in zip(orders, liked, strict=True)]
        for count in ASKED
    ]


def covering(model: TwoTower, power: int) -> Ints:
    """Facility location over item vectors; weights, and the gain of each pick, are times popularity to this power."""
    vectors = model.items((model.liked > 0).float())[0].detach().numpy()
    rows = np.flatnonzero(model.liked.numpy() > 0)
    unit = vectors[rows] / np.linalg.norm(vectors[rows], axis=1, keepdims=True)
    share = ((model.liked.numpy()[rows] / model.liked.max().item()) ** power).astype(np.float32)
    nothing, certain = rows[:0], np.ones((len(rows), 1), np.float32)
    signals = PoolSignals(rows, certain, unit, nothing, nothing, certain[:0], unit[:0])
    return cover(signals, max(ASKED), np.random.default_rng(0), share, powered(1.0), 20_000, np.reciprocal(share))


ASKING = (
    "random",
    "most popular",
    "coverage of texts and ids",
    "expected coverage",
    "the model's best, given the answers",
)


def new_users(histories: list[Ints], features: Floats) -> None:
    """Print NDCG@10 of users whom the fit did not see, by what they were asked."""
    generator = np.random.default_rng(0)
    order = generator.permutation([user for user, history in enumerate(histories) if len(history) >= 6])
    new, others = order[: len(order) // 5], order[len(order) // 5 :]
    model, _ = fit(features, [histories[user] for user in others], seed=0)
    mixed = [generator.permutation(histories[user]) for user in new]
    liked, hidden = ([one[part::2] for one in mixed] for part in (0, 1))
    everything = model.liked.numpy() > 0
    scored = {}
    for name in ASKING:
        found = answered(model, liked, name, generator)
        scored[name] = [ranking_metrics(model.scores(yes), hidden, everything)[:, 0] for yes in found]
    print(f"\nNDCG@10 of {len(new)} new users after so many questions\n")
    means = {
        name: {f"{count}": float(users.mean()) for count, users in zip(ASKED, rows, strict=True)}
        for name, rows in scored.items()
    }
    print(table(means))
    for name in ASKING:
        if name != "most popular":
            tell(f"{name} - most popular, 10 questions", scored[name][-1] - scored["most popular"][-1])


def tell(what: str, differences: NDArray[np.float64]) -> None:
    low, high = bootstrap_interval(differences, np.random.default_rng(0))
    p = wilcoxon(differences)
    print(
        f"{what}: {differences.mean():+.4f} [{low:+.4f}, {high:+.4f}], Wilcoxon p = {p:.2g}, {len(differences)} users"
    )


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--splits", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--folder", type=Path, default=Path(os.environ.get("LIT_REACT_DATA", ".")) / "movielens100k")
    options = parser.parse_args()
    if not (options.folder / "items.parquet").is_file():
        sys.exit(
            f"{options.folder}: no items.parquet: expected MovieLens-100k there, or LIT_REACT_DATA to name its parent"
        )
    quiet()
    catalogue = read_catalogue(options.folder / "items.parquet")
    everybody = read_histories(options.folder / "train.parquet", catalogue, min_rating=4)
    embeddings = embed(catalogue, MINILM)
    features = item_features(embeddings, catalogue.attributes)
    count = len(catalogue)
    found: dict[str, list[NDArray[np.float64]]] = {}
    best: dict[str, tuple[Any, ...]] = {}
    for split in options.splits:
        held_out = hold_out(everybody.items, count, 0.12, np.random.default_rng(split))
        best = best or tuned(held_out)
        histories = held_out.histories
        matrix = likes(histories, count)
        model, epochs = fit(features, histories, split)
        scores = {
            "popularity": popularity_scores(histories, count),
            "cosine of texts": cosine_scores(histories, embeddings),
            **{name: unseen(TUNED[name][0](matrix, *chosen), histories) for name, chosen in best.items()},
            "two-tower": model.scores(histories),
        }
        if split == options.splits[0]:
            mixed = [np.random.default_rng(0).permutation(history) for history in histories]
            scores["two-tower, order of likes unknown (first split)"] = fit(features, mixed, split)[0].scores(mixed)
        for name, one in scores.items():
            rows = np.full((len(everybody.users), 4), np.nan)
            rows[held_out.users] = per_user(one, held_out)
            found.setdefault(name, []).append(rows)
        print(f"split {split}: {len(histories)} users, {held_out.cold.sum()} cold items, {epochs} epochs", flush=True)
    columns = ("warm ndcg@10", "warm recall@20", "cold ndcg@10", "cold recall@20")
    means = {name: np.mean([np.nanmean(one, axis=0) for one in rows], axis=0) for name, rows in found.items()}
    print("\n" + table({name: dict(zip(columns, row.tolist(), strict=True)) for name, row in means.items()}) + "\n")
    for column, other in ((0, "ALS"), (0, "EASE"), (2, "cosine of texts")):
        paired = [
            ours[:, column] - theirs[:, column] for ours, theirs in zip(found["two-tower"], found[other], strict=True)
        ]
        users = np.nanmean(np.stack(paired)[:, ~np.isnan(np.stack(paired)).all(axis=0)], axis=0)
        tell(f"two-tower - {other}, {columns[column]}", users)
    new_users(everybody.items, features)


if __name__ == "__main__":
    main()
