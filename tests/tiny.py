"""Tiny real parts: an encoder, a data set, a command line that takes seconds."""

import csv
import os
import re
import string
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from transformers import BertConfig, BertModel, BertTokenizer, PreTrainedModel

from lit_react.acquisition.features import SAMPLE_FEATURES, STATE_FEATURES
from lit_react.acquisition.pretrained import PretrainedPolicy
from lit_react.acquisition.q_network import QNetwork
from lit_react.acquisition.signals import PoolSignals
from lit_react.data.classes import number_classes
from lit_react.data.datamodule import PoolDataModule
from lit_react.data.sources import load_tables
from lit_react.data.tables import Source
from lit_react.tasks import TaskModule

Module = TypeVar("Module", bound=TaskModule)

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = re.compile(r"[a-z]+|[0-9]|[^\sa-z0-9]")


def documented_code(heading: str, folder: Path) -> dict[str, Any]:
    """What the code below a heading of docs/exported_models.md defines, with the model of a folder."""
    page = Path("docs/exported_models.md").read_text()
    (section,) = re.findall(rf"^## {re.escape(heading)}$(.*?)(?=^## |\Z)", page, re.DOTALL | re.MULTILINE)
    (code,) = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    defined: dict[str, Any] = {}
    exec(re.sub(r"runs/\w+/model", str(folder), code), defined)
    return defined


ACCELERATOR = os.environ.get("LIT_REACT_TEST_ACCELERATOR", "cpu")
"""Where the tests fit: `gpu` in `make test-gpu`."""

FROZEN = ["--model", "LinearProbe", "--trainer.max_epochs", "1"]
"""Options of a run with a linear head on frozen embeddings."""

QUIET = {"accelerator": ACCELERATOR, "logger": False, "enable_progress_bar": False, "enable_model_summary": False}
"""Options of a Trainer."""


def load_source(
    source: str,
    *,
    text_column: str = "text",
    label_column: str = "label",
    validation: str | None = None,
    test: str | None = None,
    local_copy: str | None = None,
    label_names: Sequence[str] | None = None,
) -> Source:
    """Texts and classes of a data set, see `load_tables` and `number_classes`."""
    tables, is_local = load_tables(source, validation=validation, test=test, local_copy=local_copy)
    if is_local:
        text_column, label_column = "text", "label"
    return number_classes(tables, text_column, label_column, label_names)


@cache
def bbc() -> Source:
    """The packaged news articles."""
    return load_source("bbc_news")


def build_bert(folder: Path, dropout: float) -> str:
    """Save a 2-layer BERT that knows the words of the news."""
    counts = Counter(word for text in bbc().pool["text"][:] for word in WORDS.findall(text.lower()))
    return save_bert(folder, [word for word, _ in counts.most_common(800)], dropout=dropout)


def save_bert(folder: Path, words: list[str], *, dropout: float, model_class: type[PreTrainedModel] = BertModel) -> str:
    """Save a 2-layer BERT of width 32 and its tokenizer into a folder; the weights are always the same."""
    letters = [*string.ascii_lowercase, *(f"##{letter}" for letter in string.ascii_lowercase)]
    vocabulary = list(dict.fromkeys([*SPECIAL, *letters, *words]))
    tokenizer = BertTokenizer(vocab={word: number for number, word in enumerate(vocabulary)})
    assert tokenizer.unk_token_id not in tokenizer.convert_tokens_to_ids(words), "the vocabulary was not taken"
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
        initializer_range=0.1,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model_class(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def write_news(path: Path, per_topic: int = 40, topics: int = 4, seed: int = 0) -> Path:
    """Write the first 12 words of some articles of each of the first topics, shuffled; columns text, label."""
    source = bbc()
    labels = np.asarray(source.pool["label"][:])
    rows = np.concatenate([np.flatnonzero(labels == topic)[:per_topic] for topic in range(topics)])
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        for row in np.random.default_rng(seed).permutation(rows):
            entry = source.pool[int(row)]
            writer.writerow([" ".join(entry["text"].split()[:12]), source.label_names[entry["label"]]])
    return path


def connect(data: PoolDataModule, module: TaskModule) -> PoolDataModule:
    """Let the module's task read the data, as the command line does."""
    data.connect(module.task)
    _ = data.fixed.class_names  # the rows are read
    return data


def named(module: Module, names: list[str] | None) -> Module:
    """A copy of the module whose task knows the names of the classes."""
    return module.fresh(module.task.named(names))


def buy(data: PoolDataModule, split: str, rows: Iterable[int]) -> None:
    """Reveal the labels that came with the data for some rows of `pool` or `validation`."""
    known = data.fixed.known_labels()[split]
    data.reveal(split, {int(row): known[row] for row in rows})


def make_signals(
    seed: int = 0, unlabeled: int = 40, labeled: int = 8, classes: int = 3, dimension: int = 6, copies: int = 1
) -> PoolSignals:
    """Signals of a random pool; each unlabeled row is there `copies` times; labeled rows lie among the others."""
    rng = np.random.default_rng(seed)
    kinds = -(-unlabeled // copies)
    points = np.repeat(rng.normal(size=(kinds, dimension)), copies, 0)[:unlabeled]
    points = np.concatenate([points, rng.normal(size=(labeled, dimension))])
    points = (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)
    probabilities = np.repeat(rng.dirichlet(np.ones(classes), size=kinds), copies, 0)[:unlabeled]
    probabilities = np.concatenate([probabilities, rng.dirichlet(np.ones(classes), size=labeled)]).astype(np.float32)
    order = rng.permutation(unlabeled + labeled)
    return PoolSignals(
        rows=np.sort(order[:unlabeled]),
        probabilities=probabilities[:unlabeled],
        embeddings=points[:unlabeled],
        labeled_rows=np.sort(order[unlabeled:]),
        labels=rng.integers(classes, size=labeled),
        labeled_probabilities=probabilities[unlabeled:],
        labeled_embeddings=points[unlabeled:],
        head_inputs=rng.normal(size=(unlabeled, 4)).astype(np.float32),
    )


def random_policy(seed: int = 0, members: int = 3, hidden: int = 8, spread: float = 1.0) -> PretrainedPolicy:
    """A policy of random weights, whose members do not agree; values spread over some points."""
    generator = torch.Generator().manual_seed(seed)
    network = QNetwork(len(STATE_FEATURES), len(SAMPLE_FEATURES), members=members, hidden=hidden, generator=generator)
    inputs = torch.rand(64, len(network.mean), generator=generator)
    network.standardise(inputs)
    for parameter in network.parameters():
        parameter.data.add_(torch.randn(parameter.shape, generator=generator), alpha=0.3)
    every = torch.ones(1, len(inputs), 1, dtype=torch.bool)
    features = [len(STATE_FEATURES), len(SAMPLE_FEATURES)]
    state, samples = inputs.split(features, dim=1)
    with torch.no_grad():
        values = network(state[:1], samples[None, :, None], every)
        network.weights[-1].data.mul_(spread / values.std(-1)[..., None])
    expected = torch.randn(len(STATE_FEATURES) + 1, generator=generator)
    return PretrainedPolicy(network, expected, {"sources": {}, "seed": seed})


def linear_policy(feature: str, slope: float, members: int = 3, expected: float = 0.0) -> PretrainedPolicy:
    """A policy whose members all value a batch at `slope` times the mean of a sample feature (below 4)."""
    network = QNetwork(
        len(STATE_FEATURES), len(SAMPLE_FEATURES), members=members, hidden=2, generator=torch.Generator()
    )
    for parameter in network.parameters():
        parameter.data.zero_()
    first, second, last = (weight.data for weight in network.weights)
    first[:, len(STATE_FEATURES) + SAMPLE_FEATURES.index(feature)] = torch.tensor([1.0, -1.0])
    second[:] = torch.eye(2)
    last[:] = slope * torch.tensor([[1.0], [-1.0]])
    gain = torch.zeros(len(STATE_FEATURES) + 1)
    gain[-1] = expected
    return PretrainedPolicy(network, gain, {"sources": {}})


def command(news_csv: Path, tiny_bert: str, folder: Path, *options: str) -> list[str]:
    """Arguments of a fit of seconds: 20 validation labels, 8 initial ones and 3 purchases of 6, so 4 rounds."""
    settings = {
        "rounds.folder": folder,
        "rounds.budget": 46,
        "rounds.refit": False,
        "data.source": news_csv,
        "data.validation_size": 20,
        "data.test_size": 30,
        "data.initial_size": 8,
        "data.batch_size": 8,
        "acquisition.query_size": 6,
        "model": "TextClassification",
        "model.pretrained": tiny_bert,
        "model.max_length": 16,
        "trainer.max_epochs": 2,
        "trainer.accelerator": ACCELERATOR,
        "trainer.precision": "32-true",  # the same on every processor
        "wandb.mode": "disabled",
    }
    return ["fit", *as_words(settings), *options]


def as_words(settings: Mapping[str, Any]) -> list[str]:
    """Options by name as they stand on a command line."""
    return [str(part) for name, value in settings.items() for part in (f"--{name}", value)]
