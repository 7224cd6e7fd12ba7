"""A part in a file outside the package: named on the command line, and as an object."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from run_folders import rounds
from tiny import command

from lit_react.cli import main

OWN = '''
import numpy as np

from lit_react.augmentation.labels import GeneratedLabels, LabelGenerator
from lit_react.augmentation.part import Part


class Centres(Part):
    """Labeled texts near the centre of their class, by the embeddings of the model as it was half-way."""

    reads_unlabeled = True

    def __init__(self, weight: float = 1.0) -> None:
        self.weight, self.seen = weight, None

    def before_step(self, progress, embed):
        if self.seen is None and progress >= 0.5:
            self.seen = embed("pool", self.fit.unlabeled)

    def loss(self, step):
        centres = step.labeled.features.new_zeros(self.fit.num_classes, self.fit.num_features)
        centres = centres.index_add(0, step.labels, step.labeled.features.detach())
        distances = (step.labeled.features - centres[step.labels]).square().mean()
        return self.weight * distances + 0.01 * step.unlabeled.logits.square().mean()

    def report(self):
        return {"rows_seen": float(len(self.seen))}


class Nearest(LabelGenerator):
    """The class of the nearest labeled row."""

    def label(self, pool, rows, seed):
        nearest = (pool.embeddings[rows] @ pool.embeddings[pool.rows].T).argmax(1)
        targets = np.eye(pool.num_classes, dtype=np.float32)[pool.classes[nearest]]
        return GeneratedLabels(rows, targets, np.ones(len(rows), dtype=np.float32))
'''


@pytest.fixture(autouse=True)
def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The file in a folder of the path."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "my_file.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path / "outside")
    yield
    sys.modules.pop("my_file", None)


def test_a_part_of_one_s_own_is_named_on_the_command_line(news_csv, tiny_bert, tmp_path) -> None:
    found = {}
    for weight in (1.0, 50.0):
        part = f"[{{class_path: my_file.Centres, init_args: {{weight: {weight}}}}}]"
        options = ["--augmentation.parts", part, "--augmentation.labels", "my_file.Nearest", "--rounds.budget", "34"]
        main(command(news_csv, tiny_bert, tmp_path / str(weight), *options))
        found[weight] = rounds(tmp_path / str(weight))
    measured = found[1.0][0]["augmentation"]
    assert measured["rows_seen"] == 160 - 20 - 30 - 8
    assert measured["generated"] == measured["rows_seen"]
    assert found[1.0][0]["metrics"]["val/loss"] != found[50.0][0]["metrics"]["val/loss"]


def test_a_class_that_is_no_part_is_refused(news_csv, tiny_bert, tmp_path, capsys) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(command(news_csv, tiny_bert, tmp_path / "run", "--augmentation.parts", "[my_file.Nearest]"))
    assert stopped.value.code == 2
    told = capsys.readouterr().err
    assert "augmentation.parts" in told
    assert "Part" in told.splitlines()[-1]


def test_a_part_of_one_s_own_is_given_as_an_object() -> None:
    from my_file import Centres, Nearest

    from lit_react.augmentation.augmentation import Augmentation
    from lit_react.tasks import TextClassification

    augmentation = Augmentation(labels=Nearest(), parts=[Centres(weight=2.0)])
    augmentation.check(TextClassification())
    assert augmentation.used == ["labels", "parts"]
