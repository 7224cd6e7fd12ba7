"""Seconds by phase and peak memory of one round, frozen and fine-tuned, as the pool grows to a million texts.

    python scripts/benchmarks/million.py --rows 100000 1000000

The texts are those of AG News below $LIT_REACT_DATA, of their real length, again and again with three words in ten
drawn anew, in a folder of Parquet shards. The encoder has random weights and a vocabulary of its own, so that nothing
is downloaded: the forward pass costs what `--width` and `--layers` say, all else what it costs with any encoder. Each
round is a process of its own, with the default acquisition; its peak is that of its resident memory, pages of the
memory-mapped files included.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from transformers import BertConfig, BertModel, BertTokenizer

from lit_react import ActiveLearning, PoolDataModule
from lit_react.core.quiet import quiet
from lit_react.core.wandb_logger import Wandb
from lit_react.tasks import LinearProbe, SentenceClassification, TaskModule

SHARD = 100_000
REPLACED = 0.3
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WAYS: dict[str, Callable[..., TaskModule]] = {"frozen": LinearProbe, "fine-tuned": SentenceClassification}
GIB = 2**30


def write_texts(folder: Path, base: datasets.Dataset, rows: int) -> None:
    """Parquet shards of columns `text` and `label`, the name of a class."""
    folder.mkdir()
    words = [np.asarray(text.split(), dtype=object) for text in base["text"]]
    labels, corpus = np.asarray(base["label_name"], dtype=object), np.concatenate(words)
    generator = np.random.default_rng(0)
    for start in range(0, rows, SHARD):
        chosen = np.arange(start, min(start + SHARD, rows)) % len(words)
        varied = np.concatenate([words[row] for row in chosen])
        again = np.flatnonzero(generator.random(len(varied)) < REPLACED)
        varied[again] = generator.choice(corpus, len(again))
        ends = np.cumsum([0, *(len(words[row]) for row in chosen)])
        texts = [" ".join(varied[begin:end]) for begin, end in pairwise(ends)]
        pq.write_table(pa.table({"text": texts, "label": labels[chosen]}), folder / f"part-{start // SHARD:05}.parquet")


def write_encoder(folder: Path, base: datasets.Dataset, width: int, layers: int) -> None:
    """A BERT with random weights that knows the most frequent words of the texts."""
    counts = Counter(word for text in base["text"] for word in text.lower().split() if word.isalpha())
    letters = sorted({letter for text in base["text"] for letter in text.lower() if not letter.isspace()})
    parts = [*letters, *(f"##{letter}" for letter in letters)]
    vocabulary = list(dict.fromkeys([*SPECIAL, *parts, *(word for word, _ in counts.most_common(8000))]))
    folder.mkdir()
    (folder / "vocab.txt").write_text("\n".join(vocabulary))
    BertTokenizer(str(folder / "vocab.txt")).save_pretrained(folder)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=width,
        num_hidden_layers=layers,
        intermediate_size=4 * width,
        num_attention_heads=max(width // 32, 1),
    )
    BertModel(config).save_pretrained(folder)


def one_round(way: str, texts: Path, encoder: Path, folder: Path, max_length: int) -> dict[str, float]:
    """Seconds of the phases of a round by the clock, those of the CPU in all, and the process's peak memory in GiB."""
    quiet()
    os.environ["LIT_REACT_CACHE"] = str(folder / "cache")
    start = time.perf_counter()
    data = PoolDataModule(str(texts), test_size=1000, initial_size=20)
    run = ActiveLearning(
        data,
        WAYS[way](str(encoder), max_length=max_length),
        folder=folder / "run",
        budget=100,
        trainer={"accelerator": "cpu", "logger": False},
        wandb=Wandb(mode="disabled"),
    )
    run.begin()
    begun = time.perf_counter()
    run.step()
    total = time.perf_counter() - start
    phases: dict[str, Any] = run.state.rounds[0]["seconds"]
    known = {"read, encode": begun - start, **phases}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / GIB
    rest = {"else": total - sum(known.values()), "total": total, "CPU": time.process_time()}
    return {**known, **rest, "peak GiB": peak}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--width", type=int, default=384)
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--max_length", type=int, default=128)
    options = parser.parse_args()
    source = Path(os.environ["LIT_REACT_DATA"]) / "ag_news" / "test.parquet"
    base = datasets.Dataset(pq.read_table(source))
    with tempfile.TemporaryDirectory(prefix="lit-react-million-") as name:
        here = Path(name)
        write_encoder(here / "encoder", base, options.width, options.layers)
        for rows in options.rows:
            write_texts(here / str(rows), base, rows)
            for way in options.ways:
                arguments = (way, here / str(rows), here / "encoder", here / f"{rows}-{way}", options.max_length)
                with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
                    found = pool.submit(one_round, *arguments).result()
                print(f"{rows:>9,} {way:<10}", ", ".join(f"{k} {v:.1f}" for k, v in found.items()), flush=True)


if __name__ == "__main__":
    main()
