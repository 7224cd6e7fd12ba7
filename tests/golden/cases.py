"""Fixed cases: what the code does with them is kept in the JSON files of this folder (see `write.py`).

Integers and names are compared exactly, floats with a tolerance, for processors differ in the last bits. No choice in
these cases hangs on such bits, and none of a case to come should. They came out alike with one and two threads, and
with the instruction sets of older processors (`ATEN_CPU_CAPABILITY`, `MKL_ENABLE_INSTRUCTIONS`, `ONEDNN_MAX_CPU_ISA`,
`OPENBLAS_CORETYPE`).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from golden import names
from simulation.worlds import world
from task_cases import multi_label, token_classification
from tiny import FROZEN, command, make_signals

from lit_react.acquisition.signals import PoolSignals

SETTINGS = (
    "facility_location(exponent=0.5)",
    "facility_location(power=3)",
    "facility_location(thrift=1)",
    "facility_location(max_candidates=25)",
    "coverage(max_candidates=25)",
    "transductive_design(penalty=1)",
    "density_weighted_margin(neighbors=5)",
    "density_weighted_margin(max_candidates=25)",
    "prob_cover(radius=0.5)",
    "typiclust(min_cluster_size=3)",
    "uncertainty_herding(radius=0.5)",
    "uncertainty_herding(temperature=2)",
    "bait(max_factors=0)",
    "dropquery(max_candidates=25)",
)
"""Strategies with other options than the default ones; pools of more than 25 rows are thinned at random."""


@dataclass(frozen=True)
class Place:
    """Where runs find their data and encoder, and a folder that is theirs."""

    folder: Path
    news: Path
    bert: str


# ---- picks


def pool(seed: int, **options: int) -> PoolSignals:
    """Signals with costs of 1 to 19 and all scores that strategies rank by."""
    signals, rng = make_signals(seed, **options), np.random.default_rng([seed, 1])
    scores = {name: rng.random(len(signals)).astype(np.float32) for name in names.SCORE_NAMES}
    return replace(signals, costs=rng.integers(1, 20, len(signals)).astype(np.float64), scores=scores)


POOLS: dict[str, tuple[Callable[[], PoolSignals], int]] = {
    "ordinary": (partial(pool, 10), 6),
    "duplicates": (partial(pool, 1, unlabeled=48, copies=4), 9),
    "many classes": (partial(pool, 2, unlabeled=150, labeled=30, classes=40, dimension=16), 20),
    "nothing labeled": (partial(pool, 3, unlabeled=60, labeled=0), 8),
}
"""Signals, and how many rows are picked from them."""


def picks(name: str) -> dict[str, list[int]]:
    """Pool rows that each strategy and setting picks from one of `POOLS`."""
    signals, k = POOLS[name][0](), POOLS[name][1]
    return {strategy: names.picked(strategy, signals, k, seed=7) for strategy in (*names.STRATEGY_NAMES, *SETTINGS)}


# ---- simulated rounds


def simulated(chooser: str, agent: str) -> dict[str, list]:
    """Four rounds of 6 labels on 150 rows in 12 clusters."""
    return names.simulated(world(pool=150, classes=12, seed=7), chooser, agent, rounds=4, seed=3)


def episode() -> dict[str, list]:
    """One episode on 200 rows in 12 clusters."""
    return names.compared(world(pool=200, classes=12, seed=8), seed=3)


# ---- runs from the command line


def told(folder: Path) -> dict[str, list]:
    """Ledger, rewards and metrics, but for the loss: that of a linear head on 8 labels hangs on the last bits."""
    rounds = [{name: v for name, v in entry.items() if name != "val/loss"} for entry in names.history(folder)]
    return {"ledger": names.ledger(folder), "rounds": rounds}


def tiny_run(place: Place, *words: str) -> list[str]:
    """The command of `tiny.command`, on the CPU."""
    return [*command(place.news, place.bert, place.folder / "run", *words), *names.options(accelerator="cpu")]


def fine_tuned(place: Place) -> list[str]:
    """The like with all weights fitted, at a rate of its own."""
    return tiny_run(place, *names.ADAMW)


def frozen(place: Place, *words: str) -> list[str]:
    """The like with a linear head on frozen embeddings."""
    probe = names.options(pretrained=place.bert, length=16, batch_size=1000)
    return tiny_run(place, *FROZEN, *probe, *words)


def whole(command_line: Callable[[Place], list[str]], place: Place) -> dict[str, list]:
    """A run without an interruption."""
    names.fitted(command_line(place))
    return told(place.folder / "run")


def raised(command_line: Callable[[Place], list[str]], place: Place) -> dict[str, list]:
    """The same run with a smaller budget first."""
    names.fitted([*command_line(place), *names.options(budget=34)])
    assert len(told(place.folder / "run")["ledger"]) == 34
    return whole(command_line, place)


class Interrupted(BaseException):
    """The end of a process."""


def interrupted(command_line: Callable[[Place], list[str]], place: Place) -> dict[str, list]:
    """The same run, interrupted in the middle of the fit after the second purchase, and begun again."""
    backward, left = torch.Tensor.backward, iter(range(2))

    def break_off(*arguments: Any, **options: Any) -> None:
        if len(names.ledger(place.folder / "run")) == 40 and next(left, None) is None:
            raise Interrupted
        backward(*arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.Tensor, "backward", break_off)
        with pytest.raises(Interrupted):
            names.fitted(command_line(place))
    assert len(names.ledger(place.folder / "run")) == 40
    return whole(command_line, place)


def choosing(place: Place) -> list[str]:
    """An agent that leaves the default rule, so that its values and updates tell what is bought."""
    return frozen(place, *names.options(doubt=-10))


def by_token(place: Place) -> list[str]:
    """Labels are paid by the token; a purchase is limited by what it costs, not by its size."""
    default = "facility_location(thrift=1)"
    words = names.options(cost=names.VALUES["by token"], query_size="null", query_cost=80, budget=28 * 16 + 250)
    rules = f"[{default}, facility_location, margin]"
    words += names.options(proposals=names.VALUES["batches"], default_rule=default, strategies=rules)
    return frozen(place, *words)


def of_task(case: Any, place: Place) -> dict[str, list]:
    """The ledger of a run of one of `task_cases`, of six epochs a round."""
    settings = names.options(accelerator="cpu", wandb="disabled", folder=place.folder / "run")
    names.fitted(["fit", *settings, *case.options(place.folder / "given"), *names.options(epochs=6)])
    return {"ledger": names.ledger(place.folder / "run")}


RUNS: dict[str, Callable[[Place], dict[str, list]]] = {
    "frozen": partial(whole, frozen),
    "fine-tuned": partial(whole, fine_tuned),
    "choosing": partial(whole, choosing),
    "by token": partial(whole, by_token),
    "multi-label": partial(of_task, multi_label),
    "entities": partial(of_task, token_classification),
}
"""Runs that are kept."""

AGAIN: dict[str, tuple[str, Callable[[Place], dict[str, list]]]] = {
    "fine-tuned, its budget raised": ("fine-tuned", partial(raised, fine_tuned)),
    "fine-tuned, interrupted": ("fine-tuned", partial(interrupted, fine_tuned)),
    "choosing, interrupted": ("choosing", partial(interrupted, choosing)),
}
"""Runs that end as one of `RUNS` did."""

SIMULATED: dict[str, Callable[[], dict[str, list]]] = {
    **{
        f"{chooser}, {agent}": partial(simulated, chooser, agent)
        for chooser in names.CHOOSERS
        for agent in names.AGENTS
        if chooser.startswith("Q") or "free" not in agent
    },
    "episode": episode,
}
"""Simulated runs, and an episode of the simulation that trains the network."""
