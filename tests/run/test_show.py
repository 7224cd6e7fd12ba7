"""What a run prints and draws: names are text there, whatever they look like."""

import math

import pandas as pd

from lit_react.data.datamodule import PoolDataModule
from lit_react.run.folder import RunFolder
from lit_react.run.show import show, show_data
from lit_react.run.state import RunState
from lit_react.tasks import TextClassification


def test_names_of_labels_and_folders_are_text(tmp_path, tiny_bert, capsys, caplog) -> None:
    frame = pd.DataFrame({"text": ["a text"] * 60, "label": ["\x1b]0;owned\x07", "[red]b"] * 30})
    data = PoolDataModule(frame, test_size=5, validation_size=5)
    show_data(data.prepare(TextClassification(tiny_bert, max_length=16).task), ["too short"])
    folder = RunFolder(tmp_path / "a$x^$b \x1b[31m[red]")
    folder.make()
    numbers = {"labeled": 8, "validation": 5, "cost": 13.0, "metrics": {"val/accuracy": 0.9, "test/accuracy": 0.8}}
    parts = {"shown": ["accuracy"], "reward": None, "q": {}, "seconds": {}}
    worse = numbers | {"metrics": {"val/accuracy": 0.1, "test/accuracy": 0.1}}
    state = RunState([{"round": 0, **numbers, **parts}, {"round": 1, **worse, **parts}], stopped="done")
    agreed = {"annotators": ["ann, \x1b[31m", "ann"], "texts": 4, "same": 0.5, "alpha": 0.1, "kappa": [0.2, math.nan]}
    show(folder, state, pd.DataFrame(agreed), {"\x1b]0;c": 2})
    told = capsys.readouterr().out
    assert "\x1b]0" not in told + caplog.text
    assert "\\x1b]0;owned\\x07" in told
    assert "\\x1b[31m[red]: done" in told
    assert "of ann, \\x1b[31m: the same on 50 % of 4 texts, Krippendorff's alpha 0.10, Cohen's kappa 0.20\n" in told
    assert "of ann: the same on 50 % of 4 texts, Krippendorff's alpha 0.10\n" in told
    assert "model, of round 0: val/accuracy 90.0, after the last one 10.0 (" in told
    assert "'\\x1b]0;c' (2 texts)" in told
    assert folder.picture.exists()
