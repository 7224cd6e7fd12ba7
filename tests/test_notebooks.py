"""The notebooks run on a finished run, and are kept without outputs."""

import json
from pathlib import Path

import matplotlib
import pytest
from tiny import command

from lit_react.cli import main

NOTEBOOKS = sorted((Path(__file__).parent.parent / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_notebooks_run_from_top_to_bottom(path: Path, tmp_path, news_csv, tiny_bert, monkeypatch) -> None:
    matplotlib.use("Agg")
    main(command(news_csv, tiny_bert, tmp_path / "run"))
    monkeypatch.setenv("LIT_REACT_RUN", str(tmp_path / "run"))
    names: dict[str, object] = {}
    for cell in json.loads(path.read_text())["cells"]:
        if cell["cell_type"] == "code":
            assert not cell["outputs"], "outputs are stripped"
            exec("".join(cell["source"]), names)
    assert len(names["bought"]) == 18
