"""The notebooks run from top to bottom, and are kept without outputs."""

import json
from pathlib import Path

import matplotlib
import pandas as pd
import pytest

FOLDER = Path(__file__).parents[1] / "notebooks"


def run(name: str) -> dict[str, object]:
    """What the cells of a notebook define, one after the other."""
    matplotlib.use("Agg")
    names: dict[str, object] = {}
    for cell in json.loads((FOLDER / name).read_text())["cells"]:
        if cell["cell_type"] == "code":
            assert not cell["outputs"], "outputs are stripped"
            exec("".join(cell["source"]), names)
    return names


def test_every_notebook_is_run() -> None:
    run_here = {"1-a-run.ipynb", "2-own-loop.ipynb", "3-people.ipynb", "4-applications.ipynb"}
    assert {path.name for path in FOLDER.glob("*.ipynb")} == run_here


def test_a_finished_run_is_read(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIT_REACT_RUN", str(finished))
    assert len(run("1-a-run.ipynb")["bought"]) == 18


def test_in_a_loop_of_ones_own_labels_move_and_rewards_arrive(news_csv, tiny_bert, monkeypatch) -> None:
    monkeypatch.setenv("LIT_REACT_TEXTS", str(news_csv))
    monkeypatch.setenv("LIT_REACT_ENCODER", tiny_bert)
    names = run("2-own-loop.ipynb")
    rounds = pd.DataFrame(names["rounds"])
    assert rounds["labels"].tolist() == [10, 20, 30, 40]
    gains = rounds["val accuracy"].diff()[1:]
    assert rounds["reward"][1:].tolist() == pytest.approx((gains - 1e-4 * 10).tolist())
    data = names["data"]
    assert len(data.pool.labels) == 50
    known = data.fixed.known_labels()["pool"]
    assert all(known[row] == label for row, label in data.pool.labels.items())
    assert len(names["asked"]) == 10


def test_people_answer_what_a_run_asks_for(news_csv, tiny_bert, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("LIT_REACT_TEXTS", str(news_csv))
    monkeypatch.setenv("LIT_REACT_ENCODER", tiny_bert)
    monkeypatch.setenv("LIT_REACT_RUN", str(tmp_path / "run"))
    names = run("3-people.ipynb")
    assert names["bought"]["annotators"].tolist() == ["ann"] * 30
    assert len(names["predictions"]) == 50


def test_a_run_is_put_to_four_uses(finished, tiny_bert, tmp_path, monkeypatch) -> None:
    likes = [(f"u{user}", item, time) for user in range(20) for time, item in enumerate(range(user % 2, 12, 2))]
    table = pd.DataFrame(likes, columns=["user_id", "item_id", "timestamp"])
    table.to_csv(tmp_path / "interactions.tsv", sep="\t", index=False)
    films = pd.DataFrame({"item_id": range(12), "title": [f"Film {number}" for number in range(12)]})
    films.to_csv(tmp_path / "items.tsv", sep="\t", index=False)
    monkeypatch.setenv("LIT_REACT_RUN", str(finished))
    monkeypatch.setenv("LIT_REACT_FILMS", str(tmp_path))
    monkeypatch.setenv("LIT_REACT_ENCODER", tiny_bert)
    names = run("4-applications.ipynb")
    assert names["served"]["label"].notna().all()
    assert names["replies"][0].found[0].entry.answer == "From 9 to 18, Monday to Friday."
    assert names["adjusted"].sum() == pytest.approx(1, abs=1e-3)
    assert len(names["shown"]) == 5
    assert not {item.item for item in names["shown"]} & {0, 1}, "what was liked is not shown"
