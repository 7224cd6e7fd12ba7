"""`recommend`: what people liked and the texts of items become a recommender, its figures, and a page that says why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import datasets
import numpy as np
from numpy.typing import NDArray
from safetensors.torch import load_file, save

from lit_react.applications.interactions import (
    Catalogue,
    Floats,
    HeldOut,
    Ints,
    hold_out,
    popularity,
    read_catalogue,
    read_histories,
)
from lit_react.applications.recommendation_page import page
from lit_react.applications.two_tower import TwoTower, fit, item_features
from lit_react.core.bounds import expect
from lit_react.core.errors import UserError
from lit_react.core.files import read_lines, write_atomically, write_json, write_lines
from lit_react.core.quiet import quiet
from lit_react.core.terminal import plain
from lit_react.tasks.pretrained import MINILM
from lit_react.tasks.text_classification import ClassificationTask

MAX_TOKENS = 128
MODEL, ITEMS = "model.safetensors", "items.jsonl"
METRICS = ("ndcg@10", "recall@20")
REASONS = 3
"""Items of the history that are named for each item shown."""


@dataclass(frozen=True)
class Shown:
    """An item that is recommended, and why.

    Attributes:
        item: its index.
        score: of the model; comparable among the items of one user.
        likes: how many users liked it in training.
        reasons: the items of the history that add most to the score, with what each adds; those that add nothing or
            less are not there.
        popular: what its popularity adds.
    """

    item: int
    score: float
    likes: int
    reasons: list[tuple[int, float]]
    popular: float


@dataclass(frozen=True)
class Recommender:
    """A fitted model with the names of its items, for any history: `Recommender.load(folder).recommend(["50", "181"])`.

    Args:
        model: on the CPU.
        ids: of the items, in the order of the model's.
        titles: likewise.
    """

    model: TwoTower
    ids: list[str]
    titles: list[str]

    @classmethod
    def load(cls, folder: Path) -> Recommender:
        """The one that the command `recommend` wrote.

        Raises:
            UserError: there is none.
        """
        if not (folder / MODEL).is_file():
            raise UserError(f"{folder}: no {MODEL}: expected a folder that the command recommend wrote")
        weights = load_file(folder / MODEL)
        model = TwoTower(weights["features"], weights["liked"])
        model.load_state_dict(weights)
        rows = read_lines(folder / ITEMS)
        return cls(model, [row["item_id"] for row in rows], [row["title"] for row in rows])

    def recommend(self, liked: Sequence[str], top: int = 10) -> list[Shown]:
        """The best items that are not among those liked, given by their ids, oldest first; none is a history too.

        Raises:
            UserError: an id that no item has.
        """
        index = {item: row for row, item in enumerate(self.ids)}
        for item in liked:
            if item not in index:
                raise UserError(f"no item {item!r}: expected an id of the catalogue, such as {self.ids[0]!r}")
        return self.shown(np.array([index[item] for item in dict.fromkeys(liked)], np.int64), top)

    def shown(self, history: Ints, top: int) -> list[Shown]:
        """The like, by indices."""
        scores = self.model.scores([history])[0]
        best = np.argsort(-scores, kind="stable")[: min(top, len(scores) - len(history))]
        added, popular = self.model.reasons(history, best)
        shown = []
        for item, parts, part in zip(best, added, popular, strict=True):
            most = [at for at in np.argsort(-parts, kind="stable")[:REASONS] if parts[at] > 0]
            reasons = [(int(history[at]), float(parts[at])) for at in most]
            shown.append(Shown(int(item), float(scores[item]), int(self.model.liked[item]), reasons, float(part)))
        return shown


def recommend(
    *,
    interactions: Path,
    items: Path,
    folder: Path,
    pretrained: str = MINILM,
    min_rating: float = 4.0,
    cold_share: float = 0.12,
    top: int = 10,
    shown_users: int = 20,
    seed: int = 0,
) -> None:
    """Recommend items by their texts and by what people liked: a model, its figures, and a page that says why.

    The figures are of a model that never saw the last item of each user, nor a share of the items (the cold ones); the
    model that is kept learned from everything, for as many epochs.

    Args:
        interactions: CSV, TSV, JSON lines or Parquet with user_id, item_id, timestamp and, where there is one, rating.
        items: the like with item_id, title and, where there are such, text (what is read; else the title), genres,
            release_year.
        folder: new: model.safetensors, items.jsonl, metrics.json, recommendations.jsonl, questions.jsonl, index.html.
        pretrained: the texts' encoder: a folder, a hub name, or `package:NAME/FOLDER` inside an installed package.
        min_rating: rows rated lower are not read; without ratings every row counts as liked.
        cold_share: of the items, held out to measure how new ones are ranked.
        top: items for each user.
        shown_users: on the page.
        seed: of the cold items, the weights and the batches.
    """
    quiet()
    expect("cold_share", cold_share, at_least=0, below=1)
    expect("top", top, at_least=1)
    if folder.exists() and any(folder.iterdir()):
        raise UserError(f"{folder}: not empty: expected a new folder")
    catalogue = read_catalogue(items)
    histories = read_histories(interactions, catalogue, min_rating)
    held_out = hold_out(histories.items, len(catalogue), cold_share, np.random.default_rng(seed))
    if not held_out.last:
        raise UserError(f"{interactions}: nobody liked three items or more: expected users with a history")
    embeddings = embed(catalogue, pretrained)
    features = item_features(embeddings, catalogue.attributes)
    measured, epochs = fit(features, held_out.histories, seed)
    figures = {
        name: figures_of(scores, held_out)
        for name, scores in {
            "popularity": popularity_scores(held_out.histories, len(catalogue)),
            "cosine of texts": cosine_scores(held_out.histories, embeddings),
            "two-tower": measured.scores(held_out.histories),
        }.items()
    }
    print(table(figures))
    model, _ = fit(features, histories.items, seed, epochs)
    recommender = Recommender(model, catalogue.ids, catalogue.titles)
    shown = {user: recommender.shown(liked, top) for user, liked in zip(histories.users, histories.items, strict=True)}
    asked = questions(model, top)
    write_lines(folder / "recommendations.jsonl", [_line(recommender, user, rows) for user, rows in shown.items()])
    write_lines(folder / "questions.jsonl", [_named(recommender, item) for item in asked.tolist()])
    write_lines(folder / ITEMS, [_named(recommender, item) for item in range(len(catalogue))])
    users = list(zip(histories.users, histories.items, shown.values(), strict=True))[:shown_users]
    write_atomically(folder / "index.html", page(catalogue.titles, users, len(histories.users), asked).encode())
    write_json(folder / "metrics.json", {"users": len(held_out.last), "epochs": epochs, "methods": figures})
    write_atomically(folder / MODEL, save(model.state_dict()))
    print(f"{len(shown)} users, {len(catalogue)} items: {plain(folder / 'index.html')}")


def embed(catalogue: Catalogue, pretrained: str) -> NDArray[np.float32]:
    """Masked-mean embeddings of the items' texts, float32 [n, d], kept on disk by weights and texts."""
    texts = datasets.Dataset.from_dict({"text": catalogue.texts})
    return np.array(ClassificationTask(pretrained, MAX_TOKENS).embed(texts), np.float32)


def popularity_scores(histories: list[Ints], items: int) -> Floats:
    """How many liked each item, the same for all users, float32 [u, n]; what is in a history scores -inf."""
    return _unseen(np.tile(popularity(histories, items).astype(np.float32), (len(histories), 1)), histories)


def cosine_scores(histories: list[Ints], embeddings: Floats) -> Floats:
    """Cosine of each text with the mean unit embedding of the history, float32 [u, n]; likewise."""
    unit = embeddings / np.maximum(np.linalg.norm(embeddings, axis=1, keepdims=True), 1e-9)
    return _unseen(np.stack([unit[history].sum(axis=0) for history in histories]) @ unit.T, histories)


def _unseen(scores: Floats, histories: list[Ints]) -> Floats:
    for row, history in zip(scores, histories, strict=True):
        row[history] = -np.inf
    return scores


def ranking_metrics(scores: Floats, relevant: list[Ints], among: NDArray[np.bool_]) -> NDArray[np.float64]:
    """NDCG@10 and recall@20 of each user, [u, 2]; NaN where nothing is relevant.

    Equal scores are in a random order, each user's own.

    Args:
        scores: [u, n], -inf for what the user has seen.
        relevant: indices of items, for each user.
        among: the items that are ranked, bool [n].
    """
    generator, ranked = np.random.default_rng(0), np.flatnonzero(among)
    gains = 1 / np.log2(np.arange(2, 12))
    found = np.full((len(scores), 2), np.nan)
    for row, (of_user, items) in enumerate(zip(scores, relevant, strict=True)):
        if len(items):
            shuffled = generator.permutation(ranked)
            best = shuffled[np.argsort(-of_user[shuffled], kind="stable")[:20]]
            hits = np.isin(best, items)
            first = hits[:10]
            found[row] = first @ gains[: len(first)] / gains[: len(items)].sum(), hits.sum() / len(items)
    return found


def figures_of(scores: Floats, held_out: HeldOut) -> dict[str, float | None]:
    """Means over users by `warm ndcg@10` and the like: the last item among warm ones, new ones among cold ones."""
    figures: dict[str, float | None] = {}
    for kind, relevant, among in (
        ("warm", held_out.last, ~held_out.cold),
        ("cold", held_out.new, held_out.cold),
    ):
        users = ranking_metrics(scores, relevant, among)
        users = users[~np.isnan(users[:, 0])]
        means = users.mean(axis=0).tolist() if len(users) else [None, None]
        figures |= {f"{kind} {metric}": value for metric, value in zip(METRICS, means, strict=True)}
    return figures


def table(figures: Mapping[str, Mapping[str, float | None]]) -> str:
    """A Markdown table, a row for each method."""
    columns = list(next(iter(figures.values())))
    lines = [f"| | {' | '.join(columns)} |", f"|---|{'---:|' * len(columns)}"]
    for name, row in figures.items():
        cells = ("–" if value is None else f"{value:.4f}" for value in row.values())
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def questions(model: TwoTower, count: int) -> Ints:
    """Items to ask a new user about, the most popular first: from five answers on the best of the rules tried."""
    return np.argsort(-model.liked.numpy(), kind="stable")[:count]


def _named(recommender: Recommender, item: int) -> dict[str, str]:
    return {"item_id": recommender.ids[item], "title": recommender.titles[item]}


def _line(recommender: Recommender, user: str, shown: list[Shown]) -> dict[str, object]:
    """A user's row of recommendations.jsonl."""
    rows = [
        {
            **_named(recommender, one.item),
            "score": round(one.score, 4),
            "likes": one.likes,
            "because_of": [recommender.ids[item] for item, _ in one.reasons],
        }
        for one in shown
    ]
    return {"user_id": user, "items": rows}
