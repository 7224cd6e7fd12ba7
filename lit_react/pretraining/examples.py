"""Batches for pretraining: each is a pure function of the seed and its step, so a resumed run sees the same ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset, Sampler
from transformers import PreTrainedTokenizerBase

from lit_react.data.batching import ShuffledBuckets
from lit_react.data.encoding import Batch
from lit_react.pretraining.corpus import Passages
from lit_react.pretraining.masking import Masking
from lit_react.pretraining.pairs import Pairs

Ints = NDArray[np.int64]
Tokens = tuple[Ints, Ints]
"""Ids and words, int64 [length] both; the word of a special token is -1."""


@dataclass(frozen=True)
class Frame:
    """The special tokens that a tokenizer puts before, between and after two texts; `between` is empty for one."""

    before: Tokens
    between: Tokens
    after: Tokens

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerBase, *, pair: bool) -> Self:
        """Read off an encoded example."""
        encoded = tokenizer("a", "b" if pair else None, return_special_tokens_mask=True)
        ids, special = encoded["input_ids"], encoded["special_tokens_mask"]
        first, last = special.index(0), len(special) - special[::-1].index(0)
        between = [token for token, mark in zip(ids[first:last], special[first:last], strict=True) if mark]
        before, middle, after = (
            (np.array(part, dtype=np.int64), np.full(len(part), -1)) for part in (ids[:first], between, ids[last:])
        )
        return cls(before, middle, after)

    def __len__(self) -> int:
        return sum(len(ids) for ids, _ in (self.before, self.between, self.after))

    def around(self, a: Tokens, b: Tokens | None) -> tuple[Ints, Ints, Ints]:
        """Ids, words and token types (1 for B and what follows it) of one row, int64 [length] each."""
        parts = [self.before, a, self.after] if b is None else [self.before, a, self.between, b, self.after]
        ids, words = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        second = sum(len(part) for part, _ in parts[:3])
        return ids, words, (np.arange(len(ids)) >= second).astype(np.int64)


class Examples(Dataset[Batch]):
    """Item i is the whole batch of step i, over as many epochs as are asked for; masks and pairs are new in each.

    Args:
        passages: what is trained or measured on.
        tokenizer: frames and pads.
        masking: how tokens are hidden.
        room: most tokens without the special ones.
        next_sentence: give pairs; else each passage is one text.
        batch_size: passages per batch.
        seed: decides everything; give held-out examples another one.
    """

    def __init__(
        self,
        passages: Passages,
        tokenizer: PreTrainedTokenizerBase,
        masking: Masking,
        *,
        room: int,
        next_sentence: bool,
        batch_size: int,
        seed: tuple[int, ...],
    ) -> None:
        self.passages, self.masking, self.room = passages, masking, room
        self.next_sentence, self.batch_size, self.seed = next_sentence, batch_size, seed
        self.frame = Frame.of(tokenizer, pair=next_sentence)
        self.pad_id = int(tokenizer.pad_token_id or 0)
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
        """`input_ids`, `attention_mask`, `words` int64 [b, t]; of pairs `token_type_ids` and, [b], `pair_labels`."""
        epoch, place = divmod(step, self.batches_per_epoch)
        self._begin(epoch)
        rows = np.asarray(self._batches[place], dtype=np.int64)
        if self._pairs is None:
            return self._padded([self.frame.around(own, None) for own in self.passages.tokens(rows)])
        heads, partners, labels = (part[rows] for part in (self._pairs.heads, self._pairs.partners, self._pairs.labels))
        own, others = self.passages.tokens(rows), self.passages.tokens(partners)
        tails = self._pairs.heads[partners]
        framed = [
            self.frame.around((a[0][:head], a[1][:head]), (b[0][tail:], b[1][tail:]))
            if head
            else self.frame.around(a, None)
            for a, b, head, tail in zip(own, others, heads, tails, strict=True)
        ]
        return self._padded(framed) | {"pair_labels": torch.from_numpy(labels)}

    def _begin(self, epoch: int) -> None:
        """Draw the order of an epoch and its pairs; kept while the epoch lasts."""
        if epoch == self._epoch:
            return
        generator = np.random.default_rng([*self.seed, 0, epoch])
        sampler = ShuffledBuckets(self.passages.lengths, self.batch_size, seed=int(generator.integers(2**40)))
        self._batches = list(sampler)
        self._pairs = Pairs.draw(self.passages, self.room, generator) if self.next_sentence else None
        self._epoch = epoch

    def _padded(self, rows: list[tuple[Ints, Ints, Ints]]) -> Batch:
        shape = (len(rows), max(len(ids) for ids, _, _ in rows))
        fill = {"input_ids": self.pad_id, "words": -1, "token_type_ids": 0, "attention_mask": 0}
        batch = {name: np.full(shape, value, dtype=np.int64) for name, value in fill.items()}
        for i, (ids, words, types) in enumerate(rows):
            for name, values in (("input_ids", ids), ("words", words), ("token_type_ids", types)):
                batch[name][i, : len(ids)] = values
            batch["attention_mask"][i, : len(ids)] = 1
        if not self.next_sentence:
            del batch["token_type_ids"]
        return {name: torch.from_numpy(values) for name, values in batch.items()}


class Stretches(Sampler[int]):
    """The numbers of all steps, a stretch of them per Lightning "epoch": it ends with a validation and a checkpoint.

    Each stretch begins at the step that the training has come to, which Lightning's count of epochs does not tell
    after a resume.

    Args:
        steps: of the whole run.
        length: of a stretch; the last one may be shorter.

    Attributes:
        done: gives the number of steps done so far; set before the training.
    """

    def __init__(self, steps: int, length: int) -> None:
        self.steps, self.length = steps, length
        self.done: Callable[[], int] = lambda: 0

    @property
    def _stretch(self) -> range:
        done = self.done()
        return range(done, min(done + self.length, self.steps))

    def __iter__(self) -> Iterator[int]:
        return iter(self._stretch)

    def __len__(self) -> int:
        return len(self._stretch)
