"""A grid of two cells that are computed in seconds."""

import json
from pathlib import Path
from typing import Any

import yaml
from tiny import command

from lit_react.cli import main


def write(folder: Path, news_csv: Path, tiny_bert: str, **changes: Any) -> str:
    """A grid of one data set and two strategies in a folder; the path of its configuration."""
    words = command(news_csv, tiny_bert, folder)[1:]
    options = {name.removeprefix("--"): value for name, value in zip(words[::2], words[1::2], strict=True)}
    base = {"data": {"test_size": 30}, "seed_everything": 5}
    small = {
        "trainer.max_epochs": 1,
        "trainer.precision": "32-true",
        "rounds.budget": 34,
        "data.source": str(news_csv),
        "data.split_seed": "{seed}",
    }
    grid = {
        "folder": str(folder / "grid"),
        "configs": [str(folder / "base.yaml")],
        "options": {name: options[name] for name in options if name.startswith(("data", "acq", "model", "tr"))} | small,
        "data": {"news": None},
        "strategies": {"margin": None, "either": {"acquisition.proposals": "Samples"}},
        "seeds": 1,
    }
    (folder / "base.yaml").write_text(yaml.safe_dump(base))
    (folder / "grid.yaml").write_text(yaml.safe_dump(grid | changes, sort_keys=False))
    return str(folder / "grid.yaml")


def compare(*words: str) -> int:
    """The exit code."""
    try:
        main(["compare", *words])
    except SystemExit as stopped:
        return int(stopped.code or 0)
    return 0


def result(cell: Path) -> dict[str, Any]:
    return json.loads((cell / "result.json").read_text())
