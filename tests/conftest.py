"""Fixtures that all tests share: a tiny encoder, a tiny data set, and folders of their own for every cache."""

import os

os.environ["HF_HUB_OFFLINE"] = "1"  # huggingface_hub reads it when it is imported

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from tiny import build_bert, command, write_news

from lit_react.cli import main

LONG = [
    "ddp",
    "every_task",
    "fit",
    "extending",
    "simulate",
    "grid",
    "without_validation",
    "kill",
    "configs",
    "refit",
    "errors",
    "pretrain",
]
"""Files of half a minute or more, `test_` left out."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files come first: a worker that begins one at the end would leave the others idle."""
    place = {f"test_{name}.py": number for number, name in enumerate(LONG)}
    items.sort(key=lambda item: place.get(item.path.name, len(place)))


@pytest.fixture(scope="session", autouse=True)
def own_folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Caches and W&B files go to a folder of the session."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIT_REACT_CACHE", str(tmp_path_factory.mktemp("cache")))
        for name in ("WANDB_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_DATA_DIR"):
            patch.setenv(name, str(tmp_path_factory.mktemp(name.lower())))
        patch.setenv("WANDB_SILENT", "true")
        yield


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Folder of a 2-layer BERT with random weights and a WordPiece tokenizer that knows the words of the news."""
    return build_bert(tmp_path_factory.mktemp("tiny_bert"), dropout=0.1)


@pytest.fixture(scope="session")
def tiny_bert_without_dropout(tmp_path_factory: pytest.TempPathFactory) -> str:
    """`tiny_bert`, the same weights, without dropout."""
    return build_bert(tmp_path_factory.mktemp("tiny_bert_without_dropout"), dropout=0.0)


@pytest.fixture(scope="session")
def news_csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CSV file of 160 short texts, 40 of each of 4 topics, columns text and label."""
    return write_news(tmp_path_factory.mktemp("news") / "news.csv")


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Networks this small are faster on one thread, by far so on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, news_csv: Path, tiny_bert: str) -> Path:
    """Folder of a finished run of four rounds; read, and not gone on with."""
    folder = tmp_path_factory.mktemp("runs") / "finished"
    main(command(news_csv, tiny_bert, folder))
    return folder
