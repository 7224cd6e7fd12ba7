"""All that the golden cases know of the package by name: when a name changes, this file alone is edited.

The JSON files stay as they are, but for names of proposals that a ledger holds.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from run_folders import purchases, rounds

from lit_react.acquisition.agent import POINTS, Agent
from lit_react.acquisition.policies import ALBL, TAILOR, Policy, QProposals, QSamples, Schedule
from lit_react.acquisition.signals import PoolSignals
from lit_react.acquisition.strategies import SCORES, STRATEGIES, find_strategy
from lit_react.cli import main
from lit_react.simulation.comparison import Episodes, compare
from lit_react.simulation.evaluation import simulate_run
from lit_react.simulation.tasks import Task

OPTIONS = {
    "accelerator": "--trainer.accelerator",
    "batch size": "--data.batch_size",
    "budget": "--rounds.budget",
    "cost": "--data.cost",
    "default rule": "--acquisition.policy.prior",
    "doubt": "--acquisition.agent.doubt",
    "epochs": "--trainer.max_epochs",
    "folder": "--rounds.folder",
    "length": "--model.max_length",
    "pretrained": "--model.pretrained",
    "proposals": "--acquisition.policy",
    "query cost": "--acquisition.query_cost",
    "query size": "--acquisition.query_size",
    "strategies": "--acquisition.policy.strategies",
    "wandb": "--wandb.mode",
}
"""What the cases set on a command line, beside the options of `tiny.command` and of `task_cases`."""

VALUES = {"batches": "QProposals", "by token": "TokenCost"}
"""Values of these options that name a class."""

CHOOSERS = {"ALBL": ALBL, "TAILOR": TAILOR, "Schedule": Schedule, "QSamples": QSamples, "QProposals": QProposals}
"""What can be chosen from, each with its defaults."""

AGENTS: dict[str, dict[str, Any]] = {
    "shipped": {},
    "shipped, free": {"doubt": -10.0},
    "untrained": {"pretrained": None},
    "untrained, free": {"pretrained": None, "deviation_starts": 0, "doubt": -10.0, "hidden": 16},
}
"""Options of agents; a free one leaves the default rule, so that its values and updates tell what is bought."""

STRATEGY_NAMES, SCORE_NAMES = tuple(STRATEGIES), tuple(SCORES.values())


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
    policy, agent = CHOOSERS[chooser](), Agent(**AGENTS[agent_options])
    names: list[list[str]] = []
    rows: list[list[int]] = []
    losses: list[float] = []
    _heard(policy, names, rows)
    learn = agent.learn
    agent.learn = lambda: losses.append(learn())
    run = simulate_run(task, policy, agent, rounds=rounds, seed=seed)
    rewards = [transition.reward / POINTS for transition in agent.replay_buffer.transitions]
    return {"names": names, "rows": rows, "rewards": rewards, "losses": losses, "accuracies": run.accuracies}


def _heard(policy: Policy, names: list[list[str]], rows: list[list[int]]) -> None:
    """Note what the proposals are told of each purchase."""
    remember = policy.remember

    def note(bought: np.ndarray, of: Sequence[str]) -> None:
        names.append(list(of))
        rows.append(bought.tolist())
        remember(bought, of)

    policy.remember = note


def compared(task: Task, seed: int) -> dict[str, list]:
    """One simulated episode of four rounds in which the default proposals are compared.

    Returns:
        names: of the proposals; states, options: sum of the features of each state, of each option; gains: rewards of
        each option by round, in points; taken: the option with which the episode went on, −1 for the best.
    """
    policy, plan = QProposals(), Episodes(rounds=4, compared=0.6, horizon=2)
    found = compare(task, policy, np.random.default_rng(seed), plan)
    assert found is not None, "the pool is large enough"
    return {
        "names": list(policy.mixtures),
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
