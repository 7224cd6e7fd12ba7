"""The study of `tune`: its trials in an SQLite file, and the rule by which a trial ends early."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from lit_react.acquisition.stopping import Progress, StoppingRule

if TYPE_CHECKING:
    import optuna

Objective = Literal["last", "aulc"]
OBJECTIVES: dict[str, Callable[[Sequence[float]], float]] = {
    "last": lambda values: float(values[-1]),
    "aulc": lambda values: float(np.mean(values)),
}
"""What a trial is worth, by V(s) of its rounds."""
PRUNED = "worse than the median of the trials before"
STARTUP = 5
"""Trials that are not cut short, whatever they are worth."""


def open_study(path: Path, *, after: int = 0) -> optuna.Study:
    """The study in a file, which is made where there is none.

    Args:
        path: the SQLite file.
        after: rounds of a trial before it may be cut short.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    url = f"sqlite:///{path.absolute()}"
    return optuna.create_study(
        storage=optuna.storages.RDBStorage(url, engine_kwargs={"connect_args": {"timeout": 60}}),
        study_name="tune",
        sampler=optuna.samplers.TPESampler(),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=STARTUP, n_warmup_steps=after),
        direction="maximize",
        load_if_exists=True,
    )


class Pruning(StoppingRule):
    """Tells the study what a trial is worth after each round, and ends one that is below the median of the others.

    It sees V(s) alone, which is of bought labels.

    Args:
        study: the SQLite file.
        trial: its number in the study.
        objective: what a trial is worth, see `OBJECTIVES`.
        after: rounds of a trial before it may be cut short.
    """

    def __init__(self, study: Path, trial: int, objective: Objective, after: int) -> None:
        self.study, self.trial, self.objective, self.after = study, trial, objective, after

    def __call__(self, progress: Progress) -> str | None:
        """`PRUNED`, or None."""
        import optuna

        study, step = open_study(self.study, after=self.after), len(progress.values) - 1
        kept = study.trials[self.trial]
        trial = optuna.trial.Trial(study, kept._trial_id)
        if step not in kept.intermediate_values:  # a round that is repeated has told it
            trial.report(OBJECTIVES[self.objective](progress.values), step)
        return PRUNED if trial.should_prune() else None
