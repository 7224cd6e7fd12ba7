"""Strategies, agents, rewards and stopping rules from a file outside the package: by dotted path, and as objects."""

import subprocess
import sys
from functools import partial
from pathlib import Path

import lightning as L
import numpy as np
import pytest
import torch
from agents import make_situation
from run_folders import bought, rounds
from tiny import FROZEN, QUIET, buy, command, connect, make_signals

from lit_react.acquisition.agents import Agent
from lit_react.acquisition.callback import AcquisitionCallback
from lit_react.acquisition.proposals import Batches
from lit_react.acquisition.rewards import Reward
from lit_react.cli import main
from lit_react.core.errors import UserError
from lit_react.data.datamodule import PoolDataModule
from lit_react.run.state import RunState
from lit_react.tasks.linear_probe import LinearProbe

STRATEGY = """
import numpy as np

def longest(signals, k, generator, *, weight=1.0):
    norms = np.abs(signals.head_inputs).sum(axis=1) * weight
    return signals.rows[np.argsort(-norms, kind="stable")[:k]]

longest.reads = frozenset({"head_inputs"})

def needs_magic(signals, k, generator):
    return signals.rows[:k]

needs_magic.reads = frozenset({"magic"})

def twice(signals, k, generator):
    return signals.rows[[0] * k]

a_list = [1, 2]
"""
AGENT = """
import numpy as np
from lit_react.acquisition.agents import Agent

class MyAgent(Agent):
    def __init__(self, epsilon: float = 0.1):
        self.epsilon, self.sums, self.counts = epsilon, {}, {}

    def decide(self, situation):
        names = [proposal.name for proposal in situation.proposals]
        means = [self.sums.get(name, 0.0) / self.counts.get(name, 1) for name in names]
        if situation.generator.random() < self.epsilon:
            return situation.take(int(situation.generator.integers(len(names))))
        return situation.take(int(np.argmax(means)))

    def observe(self, purchase, reward, after):
        name = purchase.names[0]
        self.sums[name] = self.sums.get(name, 0.0) + reward
        self.counts[name] = self.counts.get(name, 0) + 1

    def learn(self):
        return {"seen": float(sum(self.counts.values()))}

    def state_dict(self):
        return {"sums": dict(self.sums), "counts": dict(self.counts)}

    def load_state_dict(self, state):
        self.sums, self.counts = dict(state["sums"]), dict(state["counts"])
"""
REWARD = """
from lit_react.acquisition.rewards import Reward

class MyReward(Reward):
    def __init__(self, scale: float = 1.0):
        self.scale = scale

    def __call__(self, outcome):
        return self.scale * outcome.cost
"""
STOP = """
from lit_react.acquisition.stopping import StoppingRule

class MyStop(StoppingRule):
    def __init__(self, most: int = 10):
        self.most = most

    def __call__(self, progress):
        return f"{progress.labels} labels for {progress.cost:g} are enough" if progress.labels >= self.most else None
"""


@pytest.fixture
def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on the path, with a file of each kind."""
    folder = tmp_path / "outside"
    folder.mkdir()
    files = {"my_rules": STRATEGY, "my_agent": AGENT, "my_reward": REWARD, "my_stop": STOP}
    files |= {"broken": "import magic_package\n", "torn": "def rule(:\n"}
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(folder)
    yield folder
    for name in files:
        sys.modules.pop(name, None)


def test_a_run_is_made_of_parts_from_outside(outside, tmp_path, news_csv, tiny_bert) -> None:
    options = [
        *("--acquisition.proposals.strategies", "[facility_location, my_rules.longest, my_rules.longest(weight=-1)]"),
        *("--acquisition.agent", "my_agent.MyAgent", "--acquisition.agent.epsilon", "1.0"),
        *("--acquisition.reward", "my_reward.MyReward", "--acquisition.reward.scale", "0.01"),
        *("--rounds.stopping", "my_stop.MyStop", "--rounds.stopping.most", "20"),
    ]
    run = command(news_csv, tiny_bert, tmp_path / "run", *FROZEN, *options)
    main(run)
    found = rounds(tmp_path / "run")
    assert [entry["labeled"] for entry in found] == [8, 14, 20]
    assert [entry["reward"] for entry in found] == [None, *[pytest.approx(0.06)] * 2]
    assert RunState.load(tmp_path / "run").stopped == "20 labels for 40 are enough"
    chosen = {entry[4] for entry in bought(tmp_path / "run") if entry[3] > 0}
    assert chosen <= {"facility_location", "my_rules.longest", "my_rules.longest(weight=-1)"}
    assert found[-1]["q"]["seen"] == 2
    assert sum(RunState.load(tmp_path / "run").acquisition["agent"]["counts"].values()) == 2
    before = bought(tmp_path / "run")
    main([*run[:-1], "26"])  # it goes on
    assert [entry["labeled"] for entry in rounds(tmp_path / "run")] == [8, 14, 20, 26]
    assert bought(tmp_path / "run")[: len(before)] == before


def test_one_strategy_of_ones_own_alone_buys_everything(outside, tmp_path, news_csv, tiny_bert) -> None:
    options = ["--acquisition.proposals.strategies", "[my_rules.longest]", "--rounds.stopping.max_rounds", "2"]
    main(command(news_csv, tiny_bert, tmp_path / "run", *FROZEN, *options))
    assert {entry[4] for entry in bought(tmp_path / "run") if entry[3] > 0} == {"my_rules.longest"}


def test_a_command_finds_files_of_the_folder_that_it_is_called_in(outside, tmp_path, news_csv, tiny_bert) -> None:
    run = command(news_csv, tiny_bert, tmp_path / "run", "--acquisition.proposals.strategies", "[my_rules.longest]")
    words = [sys.executable, "-m", "lit_react", *run, "--print_config"]
    told = subprocess.run(words, cwd=outside, capture_output=True, text=True, check=True)
    assert "my_rules.longest" in told.stdout


def test_the_same_parts_are_handed_over_as_objects(outside) -> None:
    from my_rules import longest

    signals = make_signals()
    proposals = Batches([longest, partial(longest, weight=-1.0), "margin"])
    assert proposals.names == ["longest", "longest(weight=-1.0)", "margin"]
    assert proposals.reads() == {"head_inputs"}
    found = proposals.propose(signals, 4, np.random.default_rng(0))
    assert found[0].rows.tolist() == longest(signals, 4, None).tolist() != found[1].rows.tolist()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("my_rules.lngest", r"my_rules\.lngest is not there: my_rules \(.*my_rules\.py\) has no lngest"),
        ("my_ruels.longest", r"cannot be imported: ModuleNotFoundError: No module named 'my_ruels'"),
        ("broken.rule", r"broken\.rule cannot be imported: ModuleNotFoundError: No module named 'magic_package'"),
        ("torn.rule", r"torn\.rule cannot be imported: SyntaxError: "),
        ("my_rules.a_list", r"my_rules\.a_list is a list that cannot be called with \(signals, k, generator\)"),
        ("my_agent.MyAgent", r"my_agent\.MyAgent is a ABCMeta that cannot be called with"),
        ("my_rules.longest(wieght=1)", r"expected options of weight with numbers"),
        (3, "3 is a int that cannot be called"),
    ],
)
def test_what_is_no_strategy_is_refused_with_its_reason(outside, given, told) -> None:
    with pytest.raises(UserError, match=f"acquisition.proposals.strategies: .*{told}"):
        Batches([given])


def test_rows_that_are_no_batch_are_refused_with_the_name_of_the_strategy(outside) -> None:
    proposals = Batches(["my_rules.twice"])
    with pytest.raises(UserError, match=r"my_rules.twice returned \(3,\) of int64, expected 3 different rows"):
        proposals.propose(make_signals(), 3, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--acquisition.proposals.strategies", "[my_rules.needs_magic]"], "LinearProbe has no magic, it has head_"),
        (["--acquisition.agent", "my_reward.MyReward"], "acquisition.agent: got my_reward.MyReward, expected Agent"),
        (
            ["--acquisition.agent", "broken.MyAgent"],
            "broken cannot be imported: No module named 'magic_package'",
        ),
        (
            ["--rounds.stopping", "my_stop.MyStpo"],
            "rounds.stopping: no class 'my_stop.MyStpo', expected one of ",
        ),
        (["--rounds.stopping", "torn.MyStop"], "torn cannot be imported: SyntaxError: "),
        (["--rounds.stopping", "my_agent.MyAgent"], "rounds.stopping: got my_agent.MyAgent, expected StoppingRule"),
    ],
)
def test_wrong_parts_are_told_in_one_line(outside, tmp_path, news_csv, tiny_bert, capsys, options, told) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(command(news_csv, tiny_bert, tmp_path / "run", *FROZEN, *options))
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert (stopped.value.code, line[:7]) == (2, "error: ")
    assert told in line
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("decide", "told"),
    [
        (lambda situation: 0, r"decide returned 0, expected situation.take\(index\)"),
        (lambda situation: situation.take(), "need at least one array"),
    ],
)
def test_a_decision_that_is_none_is_refused(decide, told) -> None:
    from lit_react.acquisition.learner import _check

    situation = make_situation(make_signals(), Batches(["margin"]))
    with pytest.raises((UserError, ValueError), match=told):
        _check(decide(situation), situation)


# ---- a loop of one's own


class Counting(Reward):
    """The cost alone."""

    def __call__(self, outcome):
        return outcome.cost


class Second(Agent):
    """Always the second proposal."""

    def decide(self, situation):
        return situation.take(1)


def test_in_a_loop_of_ones_own_labels_move_and_rewards_arrive(news_csv, tiny_bert) -> None:
    def last(signals, k, generator):
        return signals.rows[::-1][:k]

    probe = LinearProbe(tiny_bert, max_length=16)
    data = connect(PoolDataModule(str(news_csv), validation_size=20, test_size=30, initial_size=8), probe)
    buy(data, "validation", range(20))
    buy(data, "pool", range(8))
    acquisition = AcquisitionCallback(Batches(["margin", last]), Second(), Counting(), query_size=[5, 3])
    rewards, labeled = [], []
    for _ in range(3):
        trainer = L.Trainer(max_epochs=1, callbacks=[acquisition], **QUIET, enable_checkpointing=False)
        trainer.fit(probe.fresh(), datamodule=data)
        rewards.append(acquisition.report.reward)
        labeled.append(len(data.pool.labels))
        assert acquisition.report.stop is None
        assert {row["policy"] for row in acquisition.report.query} == {"last"}
    assert rewards == [None, 5.0, 3.0]
    assert labeled == [13, 16, 19]
    assert data.pool.labeled_rows.tolist() == [*range(8), *range(99, 110)]
    gold = data.fixed.known_labels()["pool"]
    assert all(label == gold[row] for row, label in data.pool.labels.items())


def test_a_loop_of_ones_own_ends_with_the_pool(news_csv, tiny_bert) -> None:
    probe = LinearProbe(tiny_bert, max_length=16)
    data = connect(PoolDataModule(str(news_csv), validation_size=20, test_size=30, pool_size=12), probe)
    buy(data, "validation", range(20))
    buy(data, "pool", range(8))
    acquisition = AcquisitionCallback(query_size=10)
    stops = []
    for _ in range(2):
        trainer = L.Trainer(max_epochs=1, callbacks=[acquisition], **QUIET, enable_checkpointing=False)
        trainer.fit(probe.fresh(), datamodule=data)
        stops.append(acquisition.report.stop)
    assert stops == [None, "every row of the pool is labeled"]
    assert acquisition.report.reward is not None
    assert torch.isfinite(torch.tensor(acquisition.report.reward))
