"""A two-tower recommender: an item by its text and its id, a user by what they liked, most recent first.

Texts stand in for ids where an item is new (DropoutNet; Volkovs, Yu and Poutanen 2017); the softmax is over the items
of the batch, corrected for how often each is there (Yi et al. 2019).
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from typing import Any

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, embedding, pad
from torch.utils.data import DataLoader, Dataset

from lit_react.applications.interactions import Floats, Ints, popularity

DIMENSION, HEADS, LENGTH = 64, 4, 50
"""Of item vectors; looks at a history; items of a history that are read, the most recent."""
BATCH, LEARNING_RATE, WEIGHT_DECAY, PATIENCE = 512, 3e-3, 1e-2, 3
CONTENT_DROPOUT, ID_DROPOUT, HISTORY_DROPOUT = 0.5, 0.1, 0.5
MOST_EPOCHS = 30
NOTHING = -1
"""Where a history has no item."""
EXCLUDED = -1e4
"""A logit that no other is below."""


def newest_first(histories: Sequence[Ints]) -> Tensor:
    """The last `LENGTH` items of each history, the most recent first, int64 [b, LENGTH] with -1 after them."""
    rows = np.full((len(histories), LENGTH), NOTHING)
    for row, history in zip(rows, histories, strict=True):
        last = history[::-1][:LENGTH]
        row[: len(last)] = last
    return torch.from_numpy(rows)


class Steps(Dataset[tuple[Tensor, Tensor]]):
    """Each liked item of each user, with what the user had liked before it.

    Args:
        histories: oldest first.
        last: only the last item of each, for validation; histories of none are left out.
    """

    def __init__(self, histories: Sequence[Ints], last: bool = False) -> None:
        self.last = last
        self.items = np.concatenate(histories)
        lengths = np.array([len(history) for history in histories])
        ends = np.cumsum(lengths)
        self.starts = np.repeat(ends - lengths, lengths)
        self.positions = ends[lengths > 0] - 1 if last else np.arange(len(self.items))

    def __len__(self) -> int:
        return len(self.positions)

    def __getitems__(self, rows: list[int]) -> tuple[Tensor, Tensor]:
        """Histories as `newest_first`, int64 [b, LENGTH], and the items that came next, int64 [b]."""
        at = self.positions[rows]
        before = at[:, None] - 1 - np.arange(LENGTH)
        inside = before >= self.starts[at, None]
        histories = np.where(inside, self.items[np.maximum(before, 0)], NOTHING)
        return torch.from_numpy(histories), torch.from_numpy(self.items[at])


class TwoTower(lightning.LightningModule):
    """score(user, item) = u · v + b.

    The item vector v is an MLP of the features plus an embedding of the id; b is linear in the features plus a weight
    times the standardised logarithm of the popularity. Id and popularity are 0 for items that nobody liked, and in
    training for a random share of all items in every step. The user vector u is Σ_j W[a_1j v_j, …, a_Hj v_j] + c: the
    history's item vectors under H attentions, which see the item and how long ago it was, and c linear in the user's
    features: the logarithm of the history's length and the mean popularity in it.

    Args:
        features: of items: unit text embeddings beside attributes, float [n, f].
        liked: how many users liked each item, [n].
    """

    features: Tensor
    liked: Tensor

    def __init__(self, features: Tensor, liked: Tensor) -> None:
        super().__init__()
        self.register_buffer("features", features.float())
        self.register_buffer("liked", liked.float())
        width = features.shape[1]
        self.content = nn.Sequential(
            nn.Dropout(CONTENT_DROPOUT), nn.Linear(width, 2 * DIMENSION), nn.GELU(), nn.Linear(2 * DIMENSION, DIMENSION)
        )
        self.identity = nn.Embedding(len(features), DIMENSION)
        nn.init.normal_(self.identity.weight, std=0.02)
        self.content_bias = nn.Linear(width, 1)
        self.popularity_weight = nn.Parameter(torch.tensor(0.5))
        self.attention = nn.Linear(DIMENSION, HEADS)
        self.recency = nn.Parameter(torch.zeros(LENGTH, HEADS))
        self.dropout = nn.Dropout(HISTORY_DROPOUT)
        self.mix = nn.Linear(HEADS * DIMENSION, DIMENSION, bias=False)
        self.user_features = nn.Linear(2, DIMENSION)

    @property
    def popularity(self) -> Tensor:
        """Standardised over the items that somebody liked, float [n]; 0 for the others."""
        logs, known = self.liked.log1p(), self.liked > 0
        return torch.where(known, (logs - logs[known].mean()) / (logs[known].std(correction=0) + 1e-6), 0.0)

    def items(self, known: Tensor) -> tuple[Tensor, Tensor]:
        """Vectors [n, d] and biases [n]; `known` [n], 0 or 1: whether id and popularity count."""
        vectors = self.content(self.features) + self.identity.weight * known[:, None]
        return vectors, self.content_bias(self.features)[:, 0] + self.popularity_weight * self.popularity * known

    def looks(self, vectors: Tensor, histories: Tensor) -> tuple[Tensor, Tensor]:
        """Attention weights, [b, LENGTH, HEADS], and item vectors, [b, LENGTH, d], of histories as `newest_first`."""
        there = histories != NOTHING
        liked = embedding(histories.clamp(min=0), vectors)
        logits = (self.attention(liked) + self.recency).masked_fill(~there[..., None], EXCLUDED)
        return logits.softmax(dim=1) * there[..., None], liked

    def users(self, vectors: Tensor, histories: Tensor) -> Tensor:
        """User vectors, [b, d]; an empty history has one too."""
        there = histories != NOTHING
        weights, liked = self.looks(vectors, histories)
        seen = self.dropout(torch.einsum("blh,bld->bhd", weights, liked).flatten(1))
        count = there.sum(dim=1)
        popular = (self.popularity[histories.clamp(min=0)] * there).sum(dim=1) / count.clamp(min=1)
        return self.mix(seen) + self.user_features(torch.stack([count.log1p() / 4, popular], dim=1))

    @torch.no_grad()
    def scores(self, histories: Sequence[Ints]) -> Floats:
        """float32 [b, n], for histories of item indices, oldest first; what is in a history scores -inf."""
        self.eval()
        vectors, biases = self.items((self.liked > 0).float())
        scores = (self.users(vectors, newest_first(histories)) @ vectors.T + biases).numpy()
        for row, history in zip(scores, histories, strict=True):
            row[history] = -np.inf
        return scores

    @torch.no_grad()
    def reasons(self, history: Ints, items: Ints) -> tuple[Floats, Floats]:
        """What the score of items is made of, beside their texts and what is the same for all users.

        Returns:
            float32 [k, h], what each item of the history adds (0 for those too old to be read); and [k], what the
            popularity adds. The attention that items pay for one another is taken as it is.
        """
        self.eval()
        known = (self.liked > 0).float()
        vectors, _ = self.items(known)
        weights, liked = self.looks(vectors, newest_first([history]))
        each = self.mix((weights[..., None] * liked[:, :, None]).flatten(2))[0]  # [LENGTH, d]: they sum up to mix(seen)
        parts = (vectors[items] @ each.T).numpy()
        added = np.zeros((len(items), len(history)), np.float32)
        read = min(LENGTH, len(history))
        added[:, len(history) - read :] = parts[:, :read][:, ::-1]
        return added, (self.popularity_weight * self.popularity * known)[items].numpy()

    def training_step(self, batch: tuple[Tensor, Tensor], _: int) -> Tensor:
        """Cross-entropy of the next item among those of the batch."""
        histories, targets = batch
        known = (torch.rand(len(self.liked), device=self.device) >= ID_DROPOUT) & (self.liked > 0)
        vectors, biases = self.items(known.float())
        frequency = (self.liked / self.liked.sum()).clamp(min=1e-9).log()
        logits = self.users(vectors, histories) @ vectors[targets].T + (biases - frequency)[targets]
        twins = (targets[:, None] == targets).fill_diagonal_(False)
        return cross_entropy(logits.masked_fill(twins, EXCLUDED), torch.arange(len(targets), device=self.device))

    def validation_step(self, batch: tuple[Tensor, Tensor], _: int) -> None:
        """`val/ndcg`: NDCG@10 of the next item among those that somebody liked."""
        histories, targets = batch
        vectors, biases = self.items((self.liked > 0).float())
        scores = self.users(vectors, histories) @ vectors.T + biases
        scores[:, self.liked == 0] = EXCLUDED
        seen = pad(scores, (0, 1)).scatter(1, histories % (scores.shape[1] + 1), EXCLUDED)[:, :-1]
        rank = (seen > scores.gather(1, targets[:, None])).sum(dim=1)
        self.log("val/ndcg", torch.where(rank < 10, 1 / (rank + 2.0).log2(), 0.0).mean(), batch_size=len(targets))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """AdamW."""
        return torch.optim.AdamW(self.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)


def fit(features: Floats, histories: list[Ints], seed: int, epochs: int | None = None) -> tuple[TwoTower, int]:
    """Learn from histories, oldest first.

    Args:
        features: of the items, float32 [n, f].
        histories: item indices; with `epochs=None` the last item of each of two or more is for validation.
        seed: of weights and batches.
        epochs: so many, on all; None: until NDCG@10 on the last items no longer grows, and then the best weights.

    Returns:
        The model on the CPU, and the epochs that it learned for.
    """
    stopped = epochs is None
    kept = [history[:-1] if stopped and len(history) > 1 else history for history in histories]
    with torch.random.fork_rng(), tempfile.TemporaryDirectory() as folder:
        torch.manual_seed(seed)
        model = TwoTower(torch.from_numpy(features), torch.from_numpy(popularity(kept, len(features))))
        best = ModelCheckpoint(folder, monitor="val/ndcg", mode="max", save_weights_only=True)
        early = EarlyStopping("val/ndcg", mode="max", patience=PATIENCE)
        trainer = lightning.Trainer(
            accelerator="cpu",
            max_epochs=MOST_EPOCHS if epochs is None else epochs,
            callbacks=[best, early] if stopped else [],
            logger=False,
            enable_checkpointing=stopped,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            limit_val_batches=1.0 if stopped else 0,
        )
        steps = Steps(kept), Steps([history for history in histories if len(history) > 1], last=True)
        train, validation = (DataLoader(part, BATCH, shuffle=not part.last, collate_fn=_as_it_is) for part in steps)
        trainer.fit(model, train, validation)
        if epochs is None:
            checkpoint = torch.load(best.best_model_path, weights_only=True)
            model.load_state_dict(checkpoint["state_dict"])
            epochs = int(checkpoint["epoch"]) + 1
    return model, epochs


def _as_it_is(batch: Any) -> Any:
    """`Steps` gives whole batches."""
    return batch


def item_features(embeddings: NDArray[np.float32], attributes: Floats) -> Floats:
    """Text embeddings as vectors of length √d / 2, beside the attributes, float32 [n, d + a]."""
    unit = embeddings / np.maximum(np.linalg.norm(embeddings, axis=1, keepdims=True), 1e-9)
    return np.concatenate([unit * unit.shape[1] ** 0.5 / 2, attributes], axis=1).astype(np.float32)
