import io
import json

import matplotlib.image
import numpy as np
import pytest
from rich.console import Console

from lit_react import __version__
from lit_react.core.errors import UserError
from lit_react.run.results import aulc, read_results, write_results
from lit_react.run.state import RunState
from lit_react.run.summary import horizontal_axis, learning_curve, rounds_table


def make_round(number, labeled, test=True, reward=0.01, proposal="margin"):
    metrics = {"val/accuracy": 0.5 + number / 10, "val/macro_f1": 0.4}
    if test:
        metrics |= {"test/accuracy": 0.6 + number / 10, "test/macro_f1": 0.45}
    return {
        "round": number,
        "shown": ["accuracy", "macro_f1"],
        "labeled": labeled,
        "validation": 20,
        "cost": labeled + 20.0,
        "metrics": metrics,
        "reward": None if number == 0 else reward,
        "q": {} if proposal is None else {"proposal": proposal},
        "seconds": {"fit": 1.25, "select": 0.5},
    }


def rendered(rounds):
    console = Console(file=io.StringIO(), width=140)
    console.print(rounds_table(rounds, title="a run"))
    return console.file.getvalue()


# ---- results


def test_aulc_is_the_mean_over_the_rounds():
    rounds = [make_round(i, 10 * i) for i in range(3)]
    assert aulc(rounds, "val/accuracy") == pytest.approx((0.5 + 0.6 + 0.7) / 3)
    assert aulc(rounds[:1], "val/accuracy") == 0.5
    assert aulc(rounds, "val/other") is None
    assert aulc([], "val/accuracy") is None


def test_results_are_read_as_they_were_written(tmp_path):
    rounds = [make_round(i, 8 + 6 * i) for i in range(3)]
    write_results(tmp_path, RunState(rounds=rounds, stopped="the budget is spent"))
    results = read_results(tmp_path)
    assert results["version"] == __version__
    assert results["stopped"] == "the budget is spent"
    assert results["rounds"] == rounds
    assert results["aulc"] == {
        "test/accuracy": pytest.approx(0.7),
        "test/macro_f1": pytest.approx(0.45),
        "val/accuracy": pytest.approx(0.6),
        "val/macro_f1": pytest.approx(0.4),
    }


def test_results_are_plain_json(tmp_path):
    write_results(tmp_path, RunState(rounds=[make_round(0, 8)]))
    assert "NaN" not in json.dumps(json.loads((tmp_path / "result.json").read_text()), allow_nan=False)


def test_missing_or_broken_results_are_told(tmp_path):
    with pytest.raises(UserError, match=r"result.json: no such file, expected the folder of a run"):
        read_results(tmp_path)
    (tmp_path / "result.json").write_text('{"rounds": [')
    with pytest.raises(UserError, match=r"result.json: not a result file"):
        read_results(tmp_path)


# ---- table


def test_a_round_is_a_line_in_percent_and_points():
    lines = rendered([make_round(0, 8), make_round(1, 14, reward=-0.0234, proposal="badge")]).splitlines()
    first, second = (line.split() for line in lines if line.split()[:1] in (["0"], ["1"]))
    assert first == [
        "0",
        "8",
        "28",
        "50.0",
        "40.0",
        "60.0",
        "45.0",
        "–",
        "margin",
        "1.2",
        "+",
        "0.0",
        "+",
        "0.5",
        "+",
        "0.0",
    ]
    assert second[:9] == ["1", "14", "34", "60.0", "40.0", "70.0", "45.0", "-2.3", "badge"]
    assert lines[0].strip() == "a run"


def test_a_table_says_of_which_fit_a_metric_is_where_there_are_two():
    rounds = [make_round(0, 8), make_round(1, 14)]
    assert "of the refit" not in rendered(rounds)
    for entry in rounds:
        entry["seconds"] |= {"refit": 2.0}
    assert "val: of the fit; test: of the refit, which learned the validation labels too" in rendered(rounds)
    for entry in rounds:
        entry["metrics"] = {name: value for name, value in entry["metrics"].items() if name.startswith("val/")}
    assert "of the refit" not in rendered(rounds), "there is no test"


def test_generated_labels_have_a_column_where_there_are_some():
    plain, known, unknown = (make_round(number, 8) for number in range(3))
    known["augmentation"] = {"generated": 412.0, "generated_accuracy": 0.834, "trust": 0.66}
    unknown["augmentation"] = {"generated": 7.0, "trust": 0.0, "seconds": 1.0}
    lines = [" ".join(line.split()) for line in rendered([plain, known, unknown]).splitlines()]
    assert any("generated:" in line for line in lines)
    assert [line for line in lines if line[:2] in ("0 ", "1 ", "2 ")] == [
        "0 8 28 – 50.0 40.0 60.0 45.0 – margin 1.2 + 0.0 + 0.5 + 0.0",
        "1 8 28 412: 83 %, 0.7 60.0 40.0 70.0 45.0 +1.0 margin 1.2 + 0.0 + 0.5 + 0.0",
        "2 8 28 7: –, 0.0 70.0 40.0 80.0 45.0 +1.0 margin 1.2 + 0.0 + 0.5 + 0.0",
    ]
    assert max(map(len, rendered([plain, known]).splitlines())) <= 126, "see run.show"
    assert "generated" not in rendered([plain])


def test_metrics_and_proposals_that_are_not_there_are_dashes():
    lines = [line.split() for line in rendered([make_round(1, 8, test=False, proposal=None)]).splitlines()]
    (line,) = (line for line in lines if line[:1] == ["1"])
    assert line == ["1", "8", "28", "60.0", "40.0", "–", "–", "+1.0", "–", *["1.2", "+", "0.0", "+", "0.5", "+", "0.0"]]


def test_the_metrics_of_the_task_have_a_column_each():
    metrics = {"val/f1": 0.25, "val/exact_match": 0.5, "test/f1": 0.125, "val/precision": 0.75, "val/loss": 3.0}
    of_answers = {"shown": ["f1", "exact_match", "precision"], "metrics": metrics}
    lines = [line.split() for line in rendered([make_round(1, 8) | of_answers]).splitlines()]
    (splits,) = (line for line in lines if line[:1] == ["val"])
    (names,) = (line for line in lines if line[:1] == ["round"])
    (values,) = (line for line in lines if line[:1] == ["1"])
    assert splits == [*["val"] * 3, *["test"] * 3, "seconds:"]
    assert names[3:9] == ["F1", "EM", "precision"] * 2
    assert values[3:9] == ["25.0", "50.0", "75.0", "12.5", "–", "–"]


# ---- picture


@pytest.mark.parametrize(
    "rounds",
    [
        [make_round(i, 8 + 6 * i) for i in range(4)],
        [make_round(0, 8)],
        [make_round(i, 8) for i in range(3)],
        [make_round(i, 8 + 6 * i, test=False, reward=-0.05) for i in range(2)],
        [make_round(0, 8), make_round(1, 14, test=False)],
    ],
    ids=["ordinary", "one round", "no new labels", "no test split", "test metrics in one round"],
)
@pytest.mark.filterwarnings("error")
def test_learning_curve_is_a_picture(tmp_path, rounds):
    path = tmp_path / "curve.png"
    learning_curve(rounds, path, title="a run")
    image = matplotlib.image.imread(path)
    assert image.shape[0] > 500
    assert image.shape[1] > 500
    colours = np.unique((255 * image[::2, ::2, :3]).astype(np.uint8).reshape(-1, 3), axis=0)
    assert len(colours) > 20, "something is drawn"
    assert (np.abs(image[..., :3] - np.array([31, 119, 180]) / 255).max(-1) < 0.02).any(), "the accuracy is drawn"


@pytest.mark.filterwarnings("error")
def test_learning_curve_without_the_usual_metrics_is_drawn(tmp_path):
    entry = make_round(0, 8) | {"metrics": {"val/f1": 0.5}, "shown": ["f1", "exact_match"]}
    learning_curve([entry], tmp_path / "curve.png", title="")
    assert (tmp_path / "curve.png").stat().st_size > 1000


def test_the_curve_is_drawn_over_labels_where_each_costs_one_and_over_cost_elsewhere():
    rounds = [make_round(i, 8 + 6 * i) for i in range(3)]
    assert horizontal_axis(rounds) == ([8, 14, 20], "labels bought from the pool")
    rounds[2]["cost"] = 47.5
    assert horizontal_axis(rounds) == ([28, 34, 47.5], "cost of all labels, validation included")
