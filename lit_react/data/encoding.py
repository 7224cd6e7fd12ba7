"""Texts are encoded once, into tables on disk; batches are cut from the tables without Python objects per row."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol
from uuid import uuid4

import datasets
import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from lit_react.annotation.answers import Label

Batch = dict[str, Any]
"""What a model gets at once: tensors by name; a task may add lists (texts that its metrics read)."""


class EncodedTable(Protocol):
    """The encoded rows of one split; row i of the table is row i of the split."""

    lengths: NDArray[np.int64]
    """int64 [n], tokens per row, special tokens included."""

    def __len__(self) -> int: ...

    def batch(self, rows: Sequence[int] | NDArray[np.int64], labels: Sequence[Label] | None = None) -> Batch:
        """Tensors of these rows, padded to the longest of them; `row` (int64 [b]) names them.

        With their labels, `labels` has what the task's loss and metrics read.
        """
        ...


_passing: ContextVar[Path | None] = ContextVar("passing", default=None)


def cache_folder() -> Path:
    """Where encoded tables are kept: `$LIT_REACT_CACHE`, else `~/.cache/lit_react`; but see `kept_by_nobody`."""
    folder = _passing.get() or Path(os.environ.get("LIT_REACT_CACHE") or Path.home() / ".cache" / "lit_react")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


@contextmanager
def kept_by_nobody() -> Iterator[None]:
    """What is encoded inside is in no folder afterwards; the tables go on reading their files until they go too.

    A mapped file outlives its name, so its space is given back with the table, even if the process is killed. There
    are no progress bars inside: what is kept by nobody is short work, done again and again.
    """
    with TemporaryDirectory(prefix="passing-", dir=cache_folder(), ignore_cleanup_errors=True) as folder:
        token, bars = _passing.set(Path(folder)), not datasets.are_progress_bars_disabled()
        datasets.disable_progress_bars()
        try:
            yield
        finally:
            _passing.reset(token)
            if bars:
                datasets.enable_progress_bars()


def text_digest(table: datasets.Dataset, *salt: str, columns: Sequence[str] = ("text",)) -> str:
    """SHA-256 over the texts of a split in their order, and over what else decides their encoding."""
    digest = hashlib.sha256("\x1f".join(salt).encode())
    for chunk in table.select_columns(list(columns)).with_format("arrow").iter(batch_size=10_000):
        for row in zip(*(chunk.column(name).to_pylist() for name in columns), strict=True):
            encoded = (row[0] if columns == ("text",) else json.dumps(row)).encode()
            digest.update(len(encoded).to_bytes(8, "little"))
            digest.update(encoded)
    return digest.hexdigest()[:32]


def tokenizer_digest(tokenizer: PreTrainedTokenizerBase) -> str:
    """What decides the token ids: the tokenizer's own serialisation (vocabulary, normaliser, template).

    Its truncation and padding are left out: they are what the last call asked for.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is not None:
        described = json.dumps(json.loads(backend.to_str()) | {"truncation": None, "padding": None})
    else:
        marks = tokenizer("")["input_ids"]  # those of a language, where there are some
        described = repr((sorted(tokenizer.get_vocab().items()), marks))
    return hashlib.sha256(f"{described}{tokenizer.truncation_side}".encode()).hexdigest()


def numbers(labels: Sequence[Label]) -> Batch:
    """`labels` [b], int64 where they are class ids, float32 where some are numbers with a point."""
    are_floats = any(isinstance(label, float) for label in labels)
    return {"labels": torch.as_tensor(labels, dtype=torch.float32 if are_floats else torch.int64)}


class TokenTable:
    """Token ids of a split in an Arrow file, memory-mapped.

    Args:
        tokens: a column `input_ids` (list of int32), one row per text; and what else the task has for each token, in
            lists of the same length.
        pad_id: token id that fills shorter rows, on the right (decoders' classification heads find the last token).
        targets: labels of some rows → what a batch has of them.
    """

    def __init__(
        self, tokens: datasets.Dataset, *, pad_id: int, targets: Callable[[Sequence[Label]], Batch] = numbers
    ) -> None:
        self.tokens, self.pad_id, self.targets = tokens.with_format("arrow"), pad_id, targets
        column = tokens.data.column("input_ids")
        self.lengths = np.asarray(pa.compute.list_value_length(column), dtype=np.int64)

    def __len__(self) -> int:
        return len(self.tokens)

    def batch(self, rows: Sequence[int] | NDArray[np.int64], labels: Sequence[Label] | None = None) -> Batch:
        """`row` int64 [b], `input_ids` int64 [b, t], `attention_mask` int64 [b, t], t the longest row's tokens.

        Other columns of the tokens int64 [b, t], -1 after a row's end. With labels, also what `targets` gives.
        """
        rows = np.asarray(rows, dtype=np.int64)
        lists = self.tokens[rows]
        lengths = self.lengths[rows]
        places = np.arange(int(lengths.max(initial=1)))
        mask = places < lengths[:, None]
        batch: Batch = {"row": torch.from_numpy(rows), "attention_mask": torch.from_numpy(mask.astype(np.int64))}
        for name in lists.column_names:
            filled = np.full(mask.shape, self.pad_id if name == "input_ids" else -1, dtype=np.int64)
            filled[mask] = lists.column(name).combine_chunks().flatten().to_numpy()
            batch[name] = torch.from_numpy(filled)
        return batch if labels is None else batch | self.targets(labels)


Encode = Callable[[dict[str, list[Any]]], dict[str, list[list[int]]]]
"""Columns of some rows → `input_ids` and what else a task needs of each token, a list of integers per row."""


REACH = 64
"""Characters that are read for each token that a model reads; what lies behind them is not tokenised."""

FARTHER = 16
"""So many times the characters are read of a text whose first ones are too few tokens."""


def plain_text(tokenizer: PreTrainedTokenizerBase, max_length: int) -> Encode:
    """The `text` column with the tokenizer's special tokens, cut at `max_length` tokens, see `REACH` too."""
    options: dict[str, Any] = {"truncation": True, "max_length": max_length}
    options |= {"return_attention_mask": False, "return_token_type_ids": False}

    def ids(texts: list[str], reach: int) -> list[list[int]]:
        kept = slice(reach) if tokenizer.truncation_side == "right" else slice(-reach, None)
        found: list[list[int]] = tokenizer([text[kept] for text in texts], **options)["input_ids"]
        return found

    def encode(rows: dict[str, list[Any]]) -> dict[str, list[list[int]]]:
        texts, reach = rows["text"], REACH * max_length
        found = ids(texts, reach)
        short = [row for row, text in enumerate(texts) if len(text) > reach and len(found[row]) < max_length]
        for row in short:
            found[row] = ids([texts[row]], FARTHER * reach)[0]
        return {"input_ids": found}

    return encode


FEW = 1024
"""Rows that are tokenised in memory where nobody keeps them."""


def tokenize(
    table: datasets.Dataset,
    tokenizer: PreTrainedTokenizerBase,
    *,
    max_length: int,
    cache: Path,
    columns: Sequence[str] = ("text",),
    encode: Encode | None = None,
    extra: Sequence[str] = (),
    settings: Sequence[str] = (),
    targets: Callable[[Sequence[Label]], Batch] = numbers,
) -> TokenTable:
    """Tokenise a split once; a second call with the same texts and tokenizer reads the file of the first.

    `FEW` rows that nobody keeps (`kept_by_nobody`) are tokenised in memory: a file would take longer than they do.

    Args:
        table: the split.
        tokenizer: its special tokens are added.
        max_length: texts are cut at so many tokens, special tokens included.
        cache: folder of the Arrow files; one is named after a hash of texts, tokenizer and `max_length`.
        columns: what is encoded.
        encode: how; None: the `text` column. The names of `columns` and `extra` tell one way from another.
        extra: what `encode` gives beside `input_ids`.
        settings: of `encode`, where it has some.
        targets: see `TokenTable`.
    """
    features = datasets.Features(dict.fromkeys(("input_ids", *extra), datasets.List(datasets.Value("int32"))))
    inputs, encode = table.select_columns(list(columns)), encode or plain_text(tokenizer, max_length)
    if _passing.get() and len(table) <= FEW:
        rows = pa.Table.from_pydict({**encode(inputs[:])}, schema=features.arrow_schema)
        found = datasets.Dataset(rows, fingerprint="in memory")  # without one it would hash itself, which takes longer
    else:
        salt = (tokenizer_digest(tokenizer), str(max_length), *extra, *settings)
        digest = text_digest(table, *salt, columns=tuple(columns))
        found = tokenised(inputs, encode, cache / f"tokens-{digest}.arrow", features)
    return TokenTable(found, pad_id=tokenizer.pad_token_id or 0, targets=targets)


def tokenised(
    table: datasets.Dataset,
    function: Callable[..., dict[str, list[Any]]],
    path: Path,
    features: datasets.Features,
    *,
    with_indices: bool = False,
) -> datasets.Dataset:
    """What a function makes of a table's rows, memory-mapped; where the file is there, it is whole and is read.

    The function gets all columns of some rows, and the rows' numbers `with_indices`; it gives columns of these
    `features`, of as many rows or of others.
    """
    if not len(table):
        return datasets.Dataset.from_dict({name: [] for name in features}, features=features)
    if not path.exists():
        partial = path.with_suffix(f".{uuid4().hex}.partial")  # two machines may have one folder and the same numbers
        table.map(
            function,
            with_indices=with_indices,
            batched=True,
            remove_columns=table.column_names,
            features=features,
            cache_file_name=str(partial),
            load_from_cache_file=False,
            desc="Tokenising",
        )
        os.replace(partial, path)
    return datasets.Dataset.from_file(str(path))
