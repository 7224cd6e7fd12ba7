"""scripts/data/cluener2020.py: the published form of CLUENER2020 becomes a tag for each character."""

import json
import runpy
import sys
from pathlib import Path

import pytest

from lit_react.data.sources import load_tables

SCRIPT = Path(__file__).parents[2] / "scripts" / "data" / "cluener2020.py"
ROWS = [
    {"text": "浙商银行的叶老桂博士", "label": {"name": {"叶老桂": [[5, 7]]}, "company": {"浙商银行": [[0, 3]]}}},
    {"text": "北京人说北京", "label": {"address": {"北京": [[0, 1], [4, 5]]}, "name": {"北京人": [[0, 2]]}}},
    {"text": "没有", "label": {}},
]


def test_each_character_has_the_tag_of_the_entity_that_covers_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for name in ("train.json", "dev.json"):
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS)
        (tmp_path / name).write_text(lines, encoding="utf-8")
    made = tmp_path / "made"
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), "--source", str(tmp_path), "--folder", str(made)])
    runpy.run_path(str(SCRIPT), run_name="__main__")
    tables, _ = load_tables(str(made), test="validation")
    assert sorted(tables) == ["pool", "test"]
    for split in tables.values():
        assert split.table["tokens"].to_pylist() == [list(row["text"]) for row in ROWS]
        bank, twice, nothing = split.table["ner_tags"].to_pylist()
        assert bank == ["B-company", *["I-company"] * 3, "O", "B-name", "I-name", "I-name", "O", "O"]
        assert twice == ["B-address", "I-address", "O", "O", "B-address", "I-address"]
        assert nothing == ["O", "O"]
