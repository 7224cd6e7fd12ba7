"""The command `recommend` on a small world: half of the people like war films, the other half like love films."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open

from lit_react.applications.interactions import read_catalogue, read_histories
from lit_react.applications.recommendation import Recommender
from lit_react.cli import main
from lit_react.core.errors import UserError

ATTACK = "<script>alert(1)</script> & Love"
KINDS = ("war", "love")
ITEMS = [(f"{kind}{number}", f"{kind.title()} {number}", kind) for number in range(14) for kind in KINDS]
NEVER_RATED, UNRATED_LIKES = "never", "grump"


def write_world(folder: Path) -> tuple[Path, Path]:
    """Items and likes as CSV: each user likes eight films of one kind; one likes none; one film nobody has seen."""
    items = [*ITEMS, (NEVER_RATED, ATTACK, "love")]
    items_csv = "item_id,title,genres\n" + "".join(f'{item},"{title}",{genre}\n' for item, title, genre in items)
    (folder / "items.csv").write_text(items_csv)
    generator = np.random.default_rng(0)
    rows = []
    for user in range(40):
        kind = KINDS[user % 2]
        for time, number in enumerate(generator.permutation(14)[:8]):
            rows.append(f"u{user},{kind}{number},5,{time}")
    rows += ["u0,no such film,5,3", rows[0], rows[0].replace(",0", ",99"), f"{UNRATED_LIKES},war1,1,5"]
    (folder / "likes.csv").write_text("user_id,item_id,rating,timestamp\n" + "\n".join(rows) + "\n")
    return folder / "items.csv", folder / "likes.csv"


def words(items: Path, likes: Path, folder: Path, encoder: str) -> list[str]:
    given = {"interactions": likes, "items": items, "folder": folder, "pretrained": encoder, "top": 5}
    return ["recommend", *(f"--{name}={value}" for name, value in given.items())]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, tiny_bert: str) -> Path:
    world = tmp_path_factory.mktemp("world")
    main(words(*write_world(world), world / "run", tiny_bert))
    return world / "run"


def recommended(folder: Path) -> dict[str, list[dict]]:
    lines = (folder / "recommendations.jsonl").read_text().splitlines()
    return {row["user_id"]: row["items"] for row in map(json.loads, lines)}


def test_people_are_shown_what_their_like_like_and_nothing_twice(finished):
    rows = recommended(finished)
    liked = [line.split(",") for line in (finished.parent / "likes.csv").read_text().splitlines()[1:]]
    right = [one["item_id"].startswith(KINDS[user % 2]) for user in range(40) for one in rows[f"u{user}"]]
    assert np.mean(right) > 0.75
    for user, item, rating, _ in liked:
        assert rating == "1" or item not in [one["item_id"] for one in rows[user]]


def test_a_user_without_history_is_shown_something_and_no_reason_in_a_history(finished):
    rows = recommended(finished)[UNRATED_LIKES]
    assert len(rows) == 5
    assert all(row["because_of"] == [] for row in rows)
    assert "Has liked nothing yet" in (finished / "index.html").read_text()


def test_reasons_are_of_the_history(finished):
    recommender = Recommender.load(finished)
    shown = recommender.recommend(["war1", "war2", "war3"], top=3)
    assert {recommender.ids[item] for one in shown for item, _ in one.reasons} <= {"war1", "war2", "war3"}


def test_a_loaded_model_recommends_what_the_command_wrote(finished):
    recommender = Recommender.load(finished)
    for_nobody = [recommender.ids[one.item] for one in recommender.recommend([], top=5)]
    assert for_nobody == [one["item_id"] for one in recommended(finished)[UNRATED_LIKES]]
    with pytest.raises(UserError, match="no item 'no such film': expected an id of the catalogue"):
        recommender.recommend(["no such film"])


def test_more_is_asked_for_than_there_is(finished):
    assert len(Recommender.load(finished).recommend(["war1"], top=1000)) == len(ITEMS) + 1 - 1


def test_a_new_item_is_ranked_by_its_text(finished):
    recommender = Recommender.load(finished)
    new = recommender.ids.index(NEVER_RATED)
    index = {item: row for row, item in enumerate(recommender.ids)}
    histories = [np.array([index[f"{kind}{number}"] for number in range(6)]) for kind in KINDS]
    of_war, of_love = recommender.model.scores(histories)
    war = [index[f"war{number}"] for number in range(8, 14)]
    assert of_love[new] > of_love[war].mean()
    assert of_war[new] < of_war[war].mean()


def test_titles_are_text_on_the_page(finished):
    page = (finished / "index.html").read_text()
    assert "<script" not in page
    assert not re.search(r"(src|href)=", page)
    assert page.count("<details") == 20


def test_the_figures_of_all_methods_are_kept(finished):
    figures = json.loads((finished / "metrics.json").read_text())
    assert figures["users"] == 40
    assert set(figures["methods"]) == {"popularity", "cosine of texts", "two-tower"}
    assert all(0 <= value <= 1 for row in figures["methods"].values() for value in row.values())
    asked = [json.loads(line)["item_id"] for line in (finished / "questions.jsonl").read_text().splitlines()]
    assert len(set(asked)) == 5
    assert NEVER_RATED not in asked
    with safe_open(finished / "model.safetensors", "pt") as weights:
        assert weights.get_slice("features").get_shape()[0] == len(ITEMS) + 1


def test_rows_of_unknown_items_are_told_of(tmp_path, caplog):
    items, likes = write_world(tmp_path)
    with caplog.at_level("INFO", logger="lit_react"):
        histories = read_histories(likes, read_catalogue(items), 4)
    assert "1 rows name 1 items that the catalogue lacks, such as 'no such film'" in caplog.text
    assert all(len(set(history)) == len(history) for history in histories.items), "duplicates count once"
    assert [len(history) for history in histories.items].count(8) == 40


@pytest.mark.parametrize(
    ("items", "likes", "reason"),
    [
        ("item_id,title\n", None, "items.csv: empty: expected at least one row"),
        ("item_id,name\n1,a\n", None, "no column 'title': expected item_id, title, got item_id, name"),
        ("item_id,title\n1,a\n2,b\n1,c\n", None, "items.csv:4: item '1' is there twice, expected each once"),
        (None, "user_id,item_id,timestamp\nu,war1,noon\n", "likes.csv:2: timestamp 'noon' is no number"),
        (None, "user_id,item_id,timestamp\nu,x,1\n", "no row is left: expected items of the catalogue, rated 4 or"),
        (None, "user_id,item_id,timestamp\nu,war1,1\n", "nobody liked three items or more"),
    ],
)
def test_what_is_wrong_is_one_line_and_nothing_is_written(tmp_path, tiny_bert, capsys, items, likes, reason):
    paths = write_world(tmp_path)
    for path, text in zip(paths, (items, likes), strict=True):
        if text is not None:
            path.write_text(text)
    with pytest.raises(SystemExit) as stopped:
        main(words(*paths, tmp_path / "run", tiny_bert))
    error = capsys.readouterr().err.splitlines()[-1]
    assert stopped.value.code == 2
    assert reason in error
    assert not (tmp_path / "run").exists()


def test_a_folder_that_holds_something_is_left_alone(tmp_path, tiny_bert, capsys):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(SystemExit):
        main(words(*write_world(tmp_path), tmp_path, tiny_bert))
    assert "not empty: expected a new folder" in capsys.readouterr().err
