"""Batches for pretraining: each is a pure function of the seed and its step, so a resumed run sees the same ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset
from transformers import PreTrainedTokenizerBase

from lit_react.data.batching import ShuffledBuckets
from lit_react.data.encoding import Batch
from lit_react.pretraining.masking import IGNORED, Masking
from lit_react.pretraining.passages import Passages

Ints = NDArray[np.int64]
NEXT, RANDOM = 0, 1
"""Labels of next-sentence prediction, as transformers counts them."""
NEIGHBOURS = 64
"""A random B is drawn from so many passages with a shorter tail, and so many with a longer one."""
ATTEMPTS = 32
"""Draws until one fits."""
UNLABELED = {"words": -1, "pair_labels": IGNORED}
"""What a row has that nothing is learned from."""


@dataclass(frozen=True)
class Pairs:
    """An epoch's sentence pairs: A is the head of a passage, B the tail of the same passage or of another text's."""

    heads: Ints  # int64 [n], sentences of A; 0 for a passage of one sentence, which is all tail
    partners: Ints  # int64 [n], the passage whose tail is B, relative to the passages; its own where B is the next
    # int64 [n], `NEXT`, `RANDOM`, or `IGNORED` for a passage of one sentence: it has no pair and serves masked language
    # modelling alone
    labels: Ints

    @classmethod
    def draw(cls, passages: Passages, room: int, generator: np.random.Generator) -> Self:
        """Split each passage between two sentences; half of them get another tail, of another text and about as long.

        Whole tails of passages that have a head are exchanged, and the length is alike, so that neither a cut sentence
        nor the length nor the way that texts begin tells which pairs are true. A and B have `room` tokens together at
        most. A pair stays true where no other tail is found (a corpus of one text).
        """
        rows = np.arange(len(passages))
        pairs = np.flatnonzero(passages.counts > 1)
        heads, tokens = np.zeros_like(rows), np.zeros_like(rows)
        heads[pairs] = 1 + np.floor(generator.random(len(pairs)) * (passages.counts[pairs] - 1)).astype(np.int64)
        tokens[pairs] = passages.tokens_of(pairs, heads[pairs])
        tails = passages.lengths - tokens
        order = pairs[np.argsort(tails[pairs] + generator.random(len(pairs)))]  # ties in random order
        rank = np.zeros_like(rows)
        rank[order] = np.arange(len(order))
        partners = rows.copy()
        open_ = generator.permutation(pairs)[: len(pairs) // 2]
        for _ in range(ATTEMPTS):
            offsets = generator.integers(-NEIGHBOURS, NEIGHBOURS + 1, size=len(open_))
            found = order[np.clip(rank[open_] + offsets, 0, len(order) - 1)]
            fits = (passages.texts[found] != passages.texts[open_]) & (tokens[open_] + tails[found] <= room)
            partners[open_[fits]] = found[fits]
            open_ = open_[~fits]
        labels = np.where(partners == rows, NEXT, RANDOM)
        return cls(heads, partners, np.where(passages.counts > 1, labels, IGNORED))


class Examples(Dataset[Batch]):
    """Item i is the batch of step i, over as many epochs as are asked for; masks and pairs are new in each.

    The seed decides everything; held-out examples want another one. `max_length` counts special tokens. Without
    `next_sentence` each passage is one text. `batch_size` is that of all processes together: process `rank` of
    `world_size` has each `world_size`-th row of a batch, masked as one process alone would; where a batch has no row
    for it, it has one without labels, for all processes make each step.
    """

    def __init__(
        self,
        passages: Passages,
        tokenizer: PreTrainedTokenizerBase,
        masking: Masking,
        *,
        max_length: int,
        next_sentence: bool,
        batch_size: int,
        seed: tuple[int, ...],
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self.passages, self.tokenizer, self.masking, self.max_length = passages, tokenizer, masking, max_length
        self.next_sentence, self.batch_size, self.seed = next_sentence, batch_size, seed
        self.rank, self.world_size = rank, world_size
        self.batches_per_epoch = -(-len(passages) // batch_size)
        self._epoch = -1
        self._batches: list[list[int]] = []
        self._pairs: Pairs | None = None

    def __getitem__(self, step: int) -> Batch:
        """The batch of `unmasked`, masked: `input_ids` changed, `labels` int64 [b, t] added, `words` gone."""
        batch = self.unmasked(step)
        draws = np.random.default_rng([*self.seed, 1, step]).random((3, self.batch_size, self.max_length))
        ids, words = batch["input_ids"].numpy(), batch.pop("words").numpy()
        inputs, labels = self.masking.apply(ids, words, draws[:, self.rank :: self.world_size])
        return batch | {"input_ids": torch.from_numpy(inputs), "labels": torch.from_numpy(labels)}

    def unmasked(self, step: int) -> Batch:
        """What the tokenizer gives, int64 [b, t]; `words` int64 [b, t], -1 for special tokens; `pair_labels` [b]."""
        epoch, place = divmod(step, self.batches_per_epoch)
        self._begin(epoch)
        every = self._batches[place]
        rows, is_left_over = every[self.rank :: self.world_size] or every[:1], self.rank >= len(every)
        cut = {"truncation": True, "max_length": self.max_length, "verbose": False}
        encoded = [self.tokenizer(*self._texts(row), **cut) for row in rows]
        batch: Batch = dict(self.tokenizer.pad([dict(one) for one in encoded], return_tensors="pt", verbose=False))
        words = [torch.tensor([-1 if word is None else word for word in one.word_ids()]) for one in encoded]
        batch["words"] = torch.nn.utils.rnn.pad_sequence(words, batch_first=True, padding_value=-1)
        if self._pairs is not None:
            batch["pair_labels"] = torch.from_numpy(self._pairs.labels[rows])
        if is_left_over:
            batch |= {name: torch.full_like(batch[name], none) for name, none in UNLABELED.items() if name in batch}
        return batch

    def _texts(self, row: int) -> list[str]:
        """One text, or A and B."""
        if self._pairs is None or not self._pairs.heads[row]:
            return [self.passages.words_of(row)]
        partner = int(self._pairs.partners[row])
        head, tail = (int(self._pairs.heads[of]) for of in (row, partner))
        return [self.passages.words_of(row, 0, head), self.passages.words_of(partner, tail)]

    def _begin(self, epoch: int) -> None:
        """Draw the order of an epoch and its pairs; kept while the epoch lasts."""
        if epoch == self._epoch:
            return
        generator = np.random.default_rng([*self.seed, 0, epoch])
        sampler = ShuffledBuckets(self.passages.lengths, self.batch_size, seed=int(generator.integers(2**40)))
        self._batches = list(sampler)
        room = self.max_length - self.tokenizer.num_special_tokens_to_add(pair=True)
        self._pairs = Pairs.draw(self.passages, room, generator) if self.next_sentence else None
        self._epoch = epoch
