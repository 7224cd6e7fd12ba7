"""All that the golden cases know of the package by name: when a name changes, this file alone is edited.

The JSON files stay as they are, but for names of proposals that a ledger holds.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from run_folders import purchases, rounds

from lit_react.acquisition.agents import ALBL, TAILOR, Agent, DoubleDQN, Schedule
from lit_react.acquisition.learner import Learner
from lit_react.acquisition.proposals import Batches, Proposals, Samples
from lit_react.acquisition.signals import PoolSignals
from lit_react.acquisition.strategies import STRATEGIES, signals_read
from lit_react.acquisition.strategies.naming import find_strategy
from lit_react.cli import main
from lit_react.simulation.comparison import Episodes, compare
from lit_react.simulation.evaluation import simulate_run
from lit_react.simulation.tasks import Task

OPTIONS = {
    "accelerator": "--trainer.accelerator",
    "batch size": "--data.batch_size",
    "budget": "--rounds.budget",
    "cost": "--data.cost",
    "default rule": "--acquisition.proposals.default_rule",
    "doubt": "--acquisition.agent.doubt",
    "epochs": "--trainer.max_epochs",
    "folder": "--rounds.folder",
    "length": "--model.max_length",
    "pretrained": "--model.pretrained",
    "proposals": "--acquisition.proposals",
    "query cost": "--acquisition.query_cost",
    "query size": "--acquisition.query_size",
    "strategies": "--acquisition.proposals.strategies",
    "wandb": "--wandb.mode",
}
"""What the cases set on a command line, beside the options of `tiny.command` and of `task_cases`."""

VALUES = {"batches": "Batches", "by token": "TokenCost"}
"""Values of these options that name a class."""

ARMS = ("margin", "entropy", "badge", "cluster_margin", "typiclust", "coverage", "random")
CHOOSERS: dict[str, tuple[Callable[[], Proposals], Callable[..., Agent]]] = {
    "ALBL": (lambda: Batches(ARMS), lambda **_: ALBL()),
    "TAILOR": (lambda: Batches(ARMS), lambda **_: TAILOR()),
    "Schedule": (lambda: Batches(["typiclust", "cluster_margin"]), lambda **_: Schedule()),
    "QSamples": (Samples, DoubleDQN),
    "QProposals": (Batches, DoubleDQN),
}
"""What can be chosen from and who chooses, each with its defaults."""

AGENTS: dict[str, dict[str, Any]] = {
    "shipped": {},
    "shipped, free": {"doubt": -10.0},
    "untrained": {"pretrained": None},
    "untrained, free": {"pretrained": None, "deviation_starts": 0, "doubt": -10.0, "hidden": 16},
}
"""Options of agents; a free one leaves the default rule, so that its values and updates tell what is bought."""

STRATEGY_NAMES, SCORE_NAMES = tuple(STRATEGIES), tuple(n for s in STRATEGIES.values() for n in sorted(signals_read(s)))


ADAMW = [
    *("--model.optimizer", "torch.optim.AdamW", "--model.optimizer.lr", "2e-5"),
    *("--model.optimizer.weight_decay", "0.01", "--model.optimizer.fused", "true"),
]
"""The optimiser of the runs that are fine-tuned."""


def options(**settings: object) -> list[str]:
    """Words of a command line; `_` stands for the blank of a name in `OPTIONS`."""
    return [str(word) for name, value in settings.items() for word in (OPTIONS[name.replace("_", " ")], value)]


def picked(strategy: str, signals: PoolSignals, k: int, seed: int) -> list[int]:
    """The pool rows that a strategy, by name or setting, picks."""
    return find_strategy(strategy)(signals, k, np.random.default_rng(seed)).tolist()


def simulated(task: Task, chooser: str, agent_options: str, rounds: int, seed: int) -> dict[str, list]:
    """What a simulated run bought by round, from which proposals, and what it learned from.

    Returns:
        names: proposal of each row; rows: pool rows in the order of asking; rewards: of all purchases but the last, in
        units of the metric; losses: mean TD loss of each time the agent learned; accuracies: of each round, on the
        test rows.
    """
    make_proposals, make_agent = CHOOSERS[chooser]
    agent = make_agent(**AGENTS[agent_options])
    names: list[list[str]] = []
    rows: list[list[int]] = []
    rewards: list[float] = []
    losses: list[float] = []
    learn, step = agent.learn, Learner.step

    def note(learner: Learner, *arguments: Any) -> Any:
        """Note what is bought (TAILOR's rows by number: their order was another) and the last purchase's reward."""
        found = step(learner, *arguments)
        queries = sorted(found.queries, key=lambda q: q.row) if chooser == "TAILOR" else found.queries
        names.append([query.policy for query in queries])
        rows.append([query.row for query in queries])
        rewards.extend([] if found.reward is None else [found.reward])
        return found

    agent.learn = lambda: losses.append(learn()["td_loss"]) or {} if isinstance(agent, DoubleDQN) else learn()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Learner, "step", note)
        run = simulate_run(task, make_proposals(), agent, rounds=rounds, seed=seed)
    return {"names": names, "rows": rows, "rewards": rewards, "losses": losses, "accuracies": run.accuracies}


def compared(task: Task, seed: int) -> dict[str, list]:
    """One simulated episode of four rounds in which the default proposals are compared.

    Returns:
        names: of the proposals; states, options: sum of the features of each state, of each option; gains: rewards of
        each option by round, in points; taken: the option with which the episode went on, −1 for the best.
    """
    proposals, plan = Batches(), Episodes(rounds=4, compared=0.6, horizon=2)
    found = compare(task, proposals, np.random.default_rng(seed), plan)
    assert found is not None, "the pool is large enough"
    return {
        "names": proposals.names,
        "states": found.states.double().sum(-1).tolist(),
        "options": found.options.double().sum((-2, -1)).tolist(),
        "gains": found.rewards.double().tolist(),
        "taken": found.taken.tolist(),
    }


def fitted(arguments: list[str]) -> None:
    """Run a command line in this process."""
    main(arguments)


def ledger(folder: Path) -> list[list]:
    """Split, row, round, position, label, cost and chooser of each purchase, in the order of asking."""
    fields = ("split", "row", "round", "position", "label", "cost", "policy")
    return [[purchase[field] for field in fields] for purchase in purchases(folder)]


def history(folder: Path) -> list[dict[str, float | None]]:
    """Reward and metrics on the validation split of each round."""
    return [
        {"reward": entry["reward"]} | {name: v for name, v in entry["metrics"].items() if name.startswith("val/")}
        for entry in rounds(folder)
    ]
