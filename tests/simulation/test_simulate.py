"""The command `simulate`, from texts to a policy and back into a run."""

import json
import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from processes import CONTEXT, start
from safetensors.torch import load_file, save
from tiny import command, write_news

from lit_react.acquisition.pretrained import PretrainedPolicy
from lit_react.acquisition.proposals import Batches
from lit_react.cli import main
from lit_react.simulation import collection, workers
from lit_react.simulation import simulate as module
from lit_react.simulation.collection import load_comparisons
from lit_react.simulation.comparison import Episodes
from lit_react.simulation.evaluation import Evaluation, _is_done
from lit_react.simulation.simulate import _check_relatives, _hidden
from lit_react.simulation.sources import LabeledSet, load_sources
from lit_react.simulation.training import Training, lessons, train

SETS = ["five", "four", "two"]
TRAINING = {"members": 2, "hidden": 8, "epochs": 2}
SEED = 22  # one episode of `five` is a union


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory, tiny_bert: str) -> Path:
    """Three small sets, of which `two` says that it shares its texts with `four`; seconds of simulation."""
    folder = tmp_path_factory.mktemp("sets")
    for topics, name in ((5, "five"), (4, "four"), (2, "two")):
        write_news(folder / f"{name}.csv", per_topic=300 // topics, topics=topics, seed=topics)
    options = {
        "seed": SEED,
        "sources": {name: {"source": str(folder / f"{name}.csv")} for name in SETS},
        "strategies": ["facility_location", "margin"],
        "encoder": {"pretrained": tiny_bert, "max_length": 16, "pool_size": 180, "test_size": 60},
        "episodes": {"per_source": 5, "rounds": 2, "horizon": 1, "workers": 1},
        "training": TRAINING,
        "evaluation": {"seeds": 1, "rounds": 2, "workers": 1},
        "wandb": {"mode": "disabled"},
    }
    options["sources"]["two"]["relatives"] = ["four"]
    path = folder / "simulate.yaml"
    path.write_text(yaml.safe_dump(options))
    return path


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, config: Path) -> Path:
    folder = tmp_path_factory.mktemp("simulations") / "finished"
    main(["simulate", "--config", str(config), "--folder", str(folder)])
    return folder


def files(folder: Path, pattern: str) -> list[Path]:
    return sorted(folder.glob(pattern))


def card(folder: Path) -> dict:
    return json.loads((folder / "policy.json").read_text())


def test_a_simulation_leaves_a_policy_for_all_sets_and_one_without_each(finished: Path) -> None:
    for name in ("policy", "without_five", "without_four", "without_two"):
        policy = PretrainedPolicy.load(finished / name)
        assert policy.q_network.weights[1].shape == (2, 8, 8)
        assert policy.q_network.weights[-1].abs().sum() > 0, "it was trained"
    assert len(files(finished, "episodes/*.safetensors")) == 15
    assert [path.stem for path in files(finished, "sources/*")] == SETS


def test_the_card_says_where_the_policy_comes_from_and_what_was_measured(finished: Path) -> None:
    found = card(finished / "policy")
    assert list(found["sources"]) == SETS
    assert found["seed"] == SEED
    assert found["strategies"] == ["facility_location", "margin"]
    assert found["training"]["epochs"] == 2
    assert found["trained_on"] == SETS
    assert set(found["measured"]) == {*SETS, "all"}
    runs = {name: json.loads((finished / f"without_{name}" / "seed_00.json").read_text()) for name in SETS}
    for name, run in runs.items():
        assert len(run["policy"]["accuracies"]) == len(run["default_rule"]["accuracies"]) == 3
        assert run["default_rule"]["chosen"] == ["facility_location"] * 2
        assert run["policy"]["accuracies"][0] == run["default_rule"]["accuracies"][0], "both start from the same labels"
        measured = found["measured"][name]
        assert measured["runs"] == 1
        for which in ("policy", "default_rule"):
            assert measured[which] == pytest.approx(100 * np.mean(run[which]["accuracies"]))
        assert measured["difference"] == pytest.approx(measured["policy"] - measured["default_rule"])
    assert found["measured"]["all"]["runs"] == 3


def test_the_embedded_sets_are_the_texts_with_their_labels(finished: Path) -> None:
    for name, (pool, test) in load_sources(tuple(SETS), finished / "sources").items():
        assert (len(pool), len(test)) == (180, 60)
        assert np.allclose(np.linalg.norm(pool.embeddings, axis=1), 1, atol=1e-3)
        assert len(set(pool.labels)) == {"five": 5, "four": 4, "two": 2}[name]
        texts = [{row.tobytes() for row in part.embeddings} for part in (pool, test)]
        assert len(texts[0] & texts[1]) < 5, "but for texts that begin alike, the parts are apart"


def test_a_set_is_judged_by_a_policy_that_learned_from_no_episode_with_it_or_its_relatives(finished: Path) -> None:
    """Unions included: the policy without a set is retrained here, from the allowed episodes alone."""
    found = [load_comparisons(path) for path in files(finished, "episodes/*.safetensors")]
    assert any(comparisons is None for _, comparisons in found), "some pools were too small"
    found = [(used, comparisons) for used, comparisons in found if comparisons is not None]
    hidden = {"five": {"five"}, "four": {"four", "two"}, "two": {"two", "four"}}
    smuggled = [used for used, _ in found if used[0] == "five" and {"four", "two"} & set(used)]
    assert smuggled, "a union of a set that is allowed and one that is not"
    training = Training(**TRAINING)
    for name, of in [*hidden.items(), (None, set())]:
        allowed = [(used[0], comparisons) for used, comparisons in found if not of & set(used)]
        expected = train(lessons(allowed, training.gamma), training, SEED).state_dict()
        folder = finished / (f"without_{name}" if name else "policy")
        written = load_file(folder / "policy.safetensors")
        assert all(torch.equal(written[key], tensor) for key, tensor in expected.items()), name
        assert card(folder)["trained_on"] == sorted({source for source, _ in allowed})
        assert card(folder)["states"] == sum(len(comparisons.states) for _, comparisons in allowed)


def test_relatives_are_hidden_whichever_names_the_other() -> None:
    sets = {"a": LabeledSet("a", relatives=["b"]), "b": LabeledSet("b"), "c": LabeledSet("c", relatives=["b"])}
    assert _hidden("a", sets) == {"a", "b"}
    assert _hidden("b", sets) == {"a", "b", "c"}
    assert _hidden("c", sets) == {"b", "c"}
    _check_relatives(sets)


def stamps(folder: Path) -> dict[str, int]:
    kept = ("episodes/*", "sources/*", "without_*/*")
    return {str(path): path.stat().st_mtime_ns for pattern in kept for path in files(folder, pattern)}


def test_the_same_command_again_simulates_and_trains_nothing(finished: Path, config: Path, capsys, monkeypatch) -> None:
    before, policy = stamps(finished), (finished / "policy" / "policy.safetensors").read_bytes()
    first = card(finished / "policy")
    capsys.readouterr()
    monkeypatch.delattr(workers, "ProcessPoolExecutor")
    monkeypatch.delattr(module, "train")
    main(["simulate", "--config", str(config), "--folder", str(finished)])
    assert stamps(finished) == before
    assert (finished / "policy" / "policy.safetensors").read_bytes() == policy
    assert card(finished / "policy") == first
    printed = capsys.readouterr().out
    assert "AULC (points) on sets that the policy was not trained on" in printed
    assert f"policy: {finished / 'policy'}" in printed


def test_a_simulation_killed_between_episodes_ends_like_an_unbroken_one(
    finished: Path, config: Path, tmp_path, monkeypatch
) -> None:
    folder = tmp_path / "killed"
    arguments = ["simulate", "--config", str(config), "--folder", str(folder)]
    process = start(arguments)
    try:
        while not files(folder, "episodes/*.safetensors"):
            assert process.is_alive()
            time.sleep(0.002)
        process.kill()
        process.join()
        deadline = time.monotonic() + 20
        while (left := others_in(process.pid)) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not left, "workers end with the process that they work for"
    finally:
        for pid in others_in(process.pid):
            os.kill(pid, signal.SIGKILL)
    there = files(folder, "episodes/*.safetensors")
    assert 0 < len(there) < 15
    early = {path: path.stat().st_mtime_ns for path in there}
    monkeypatch.setattr(workers, "get_context", lambda _: CONTEXT)  # its workers begin at once
    main(arguments)
    assert {path: path.stat().st_mtime_ns for path in there} == early, "what was there was not simulated again"
    for name in ("policy", "without_five", "without_four", "without_two"):
        for file in ("policy.safetensors", "policy.json"):
            assert (folder / name / file).read_bytes() == (finished / name / file).read_bytes()
    for name in SETS:
        runs = [(where / f"without_{name}" / "seed_00.json").read_text() for where in (folder, finished)]
        assert runs[0] == runs[1]


def others_in(session: int) -> list[int]:
    """Processes of a session that was started here, by /proc; zombies are none."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, of = stat.read_text().rpartition(")")[2].split()[:4]
        except (OSError, ValueError):
            continue
        if int(of) == session and state != "Z" and int(stat.parent.name) != session:
            found.append(int(stat.parent.name))
    return found


def test_a_policy_is_trained_anew_when_there_are_more_episodes_and_its_old_results_go(
    finished: Path, tmp_path, monkeypatch
) -> None:
    """Without processes: the episodes of the finished simulation but one, then all."""
    paths = files(finished, "episodes/*.safetensors")
    found = [(used[0], c) for used, c in map(load_comparisons, paths) if c is not None]
    tell = lambda epoch, loss: told.append(epoch)  # noqa: E731
    told: list[int] = []
    options = (Training(**TRAINING), SEED, {}, tell)
    module._train_policy(tmp_path, found[1:], *options)
    assert told == [0, 1]
    (tmp_path / "seed_00.json").write_text("{}")
    module._train_policy(tmp_path, found[1:], *options)
    assert told == [0, 1], "nothing has changed"
    assert (tmp_path / "seed_00.json").exists()
    module._train_policy(tmp_path, found, *options)
    assert told == [0, 1, 0, 1]
    assert not (tmp_path / "seed_00.json").exists(), "it was measured with the older policy"
    module._train_policy(tmp_path, found, Training(**TRAINING | {"epochs": 3}), *options[1:])
    assert told[4:] == [0, 1, 2], "another training"


def test_runs_shorter_than_wanted_are_not_taken_for_the_wanted_ones(finished: Path) -> None:
    path = finished / "without_two" / "seed_00.json"
    assert _is_done(Evaluation(rounds=2), path)
    assert not _is_done(Evaluation(rounds=3), path)
    assert not _is_done(Evaluation(rounds=2), path.with_name("seed_01.json"))


def test_the_order_in_which_episodes_are_finished_does_not_matter(finished: Path, tmp_path) -> None:
    """An episode follows from its seed, its source and its number alone: made alone, it is the same file."""
    (tmp_path / "sources").symlink_to(finished / "sources")
    plan = Episodes(per_source=5, rounds=2, horizon=1)
    proposals = Batches(("facility_location", "margin"))
    for name, index in (("two", 4), ("five", 0)):
        job = collection.Job(SEED, name, index)
        collection._simulate(tmp_path, tuple(SETS), plan, proposals, job)
        assert job.path(tmp_path).read_bytes() == job.path(finished).read_bytes()


def test_an_episode_file_keeps_the_sources_and_that_there_was_too_little(tmp_path) -> None:
    path = tmp_path / "episode.safetensors"
    path.write_bytes(save({"nothing": torch.zeros(0)}, {"sources": "a,b"}))
    assert load_comparisons(path) == (("a", "b"), None)


# ---- what the user gave wrong


def refused(capsys, *arguments: str) -> str:
    with pytest.raises(SystemExit) as stop:
        main(["simulate", *arguments])
    assert stop.value.code == 2
    told = capsys.readouterr().err.strip().splitlines()
    assert told[-1].startswith("error: ")
    return told[-1]


def test_an_episode_says_which_option_it_went_on_with(finished: Path) -> None:
    found = [(path, c) for path in files(finished, "episodes/*.safetensors") if (c := load_comparisons(path)[1])]
    assert all(set(c.taken.tolist()) <= set(range(-1, c.options.shape[1])) for _, c in found)
    assert any((c.taken >= 0).any() for _, c in found)


def test_a_relative_that_is_no_source_is_told_in_one_line(config: Path, tmp_path, capsys) -> None:
    options = yaml.safe_load(config.read_text())
    options["sources"]["two"]["relatives"] = ["tow"]
    (tmp_path / "wrong.yaml").write_text(yaml.safe_dump(options))
    line = refused(capsys, "--config", str(tmp_path / "wrong.yaml"), "--folder", str(tmp_path / "run"))
    assert line == "error: sources.two.relatives: 'tow' is none of the sources, five, four, two"
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("option", "value", "key"),
    [
        ("--seed", "1", "seed"),
        ("--episodes.rounds", "3", "episodes"),
        ("--encoder.max_length", "8", "encoder"),
        ("--strategies", "[facility_location, entropy]", "strategies"),
    ],
)
def test_a_folder_of_another_simulation_is_refused_in_one_line(
    finished: Path, config, capsys, option, value, key
) -> None:
    line = refused(capsys, "--config", str(config), "--folder", str(finished), option, value)
    assert f"simulation.json: this simulation was begun with other {key};" in line


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        ("--strategies", "[facility_location, magic]", "unknown strategy 'magic'"),
        ("--episodes.rounds", "many", "episodes"),
        ("--magic", "1", "magic"),
    ],
)
def test_wrong_options_are_told_in_one_line(config: Path, tmp_path, capsys, option, value, expected) -> None:
    line = refused(capsys, "--config", str(config), "--folder", str(tmp_path / "run"), option, value)
    assert expected in line


def test_a_row_without_a_label_is_told_with_its_text(config: Path, tmp_path, capsys) -> None:
    options = yaml.safe_load(config.read_text())
    rows = ["text,label", *(f"some words {i},{'ab'[i % 2]}" for i in range(30)), "unlabeled words,"]
    (tmp_path / "gap.csv").write_text("\n".join(rows) + "\n")
    options["sources"] = {"gap": {"source": str(tmp_path / "gap.csv")}}
    (tmp_path / "gap.yaml").write_text(yaml.safe_dump(options))
    line = refused(capsys, "--config", str(tmp_path / "gap.yaml"), "--folder", str(tmp_path / "run"))
    assert line == "error: sources.gap: 1 rows have no label, expected none; one is 'unlabeled words'"


# ---- into a run


def test_a_fit_takes_the_policy_that_was_simulated(finished: Path, tmp_path, news_csv, tiny_bert) -> None:
    probe = ["--model", "LinearProbe", "--model.pretrained", tiny_bert, "--model.max_length", "16"]
    fast = ["--data.batch_size", "1000", "--trainer.max_epochs", "1"]
    policy = ["--acquisition.agent.pretrained", str(finished / "policy")]
    main(command(news_csv, tiny_bert, tmp_path / "run", *probe, *fast, *policy))
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert [entry["labeled"] for entry in result["rounds"]] == [8, 14, 20, 26]
    values = [entry["q"]["proposals"] for entry in result["rounds"][:-1]]
    assert all(len(set(round_values.values())) > 1 for round_values in values), "the network tells batches apart"
