"""Batches for pretraining: each is a pure function of the seed and its step, so a resumed run sees the same ones."""

from __future__ import annotations

import numpy as np
import torch
from torch.utils.data import Dataset
from transformers import PreTrainedTokenizerBase

from lit_react.data.batching import ShuffledBuckets
from lit_react.data.encoding import Batch
from lit_react.pretraining.masking import Masking
from lit_react.pretraining.pairs import Pairs
from lit_react.pretraining.passages import Passages


class Examples(Dataset[Batch]):
    """Item i is the whole batch of step i, over as many epochs as are asked for; masks and pairs are new in each.

    The seed decides everything; held-out examples want another one. `max_length` counts special tokens. Without
    `next_sentence` each passage is one text.
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
    ) -> None:
        self.passages, self.tokenizer, self.masking, self.max_length = passages, tokenizer, masking, max_length
        self.next_sentence, self.batch_size, self.seed = next_sentence, batch_size, seed
        self.batches_per_epoch = -(-len(passages) // batch_size)
        self._epoch = -1
        self._batches: list[list[int]] = []
        self._pairs: Pairs | None = None

    def __getitem__(self, step: int) -> Batch:
        """The batch of `unmasked`, masked: `input_ids` changed, `labels` int64 [b, t] added, `words` gone."""
        batch = self.unmasked(step)
        generator = np.random.default_rng([*self.seed, 1, step])
        ids, words = batch["input_ids"].numpy(), batch.pop("words").numpy()
        inputs, labels = self.masking.apply(ids, words, generator)
        return batch | {"input_ids": torch.from_numpy(inputs), "labels": torch.from_numpy(labels)}

    def unmasked(self, step: int) -> Batch:
        """What the tokenizer gives, int64 [b, t]; `words` int64 [b, t], -1 for special tokens; `pair_labels` [b]."""
        epoch, place = divmod(step, self.batches_per_epoch)
        self._begin(epoch)
        rows = self._batches[place]
        cut = {"truncation": True, "max_length": self.max_length, "verbose": False}
        encoded = [self.tokenizer(*self._texts(row), **cut) for row in rows]
        batch: Batch = dict(self.tokenizer.pad([dict(one) for one in encoded], return_tensors="pt", verbose=False))
        words = [torch.tensor([-1 if word is None else word for word in one.word_ids()]) for one in encoded]
        batch["words"] = torch.nn.utils.rnn.pad_sequence(words, batch_first=True, padding_value=-1)
        return batch if self._pairs is None else batch | {"pair_labels": torch.from_numpy(self._pairs.labels[rows])}

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
