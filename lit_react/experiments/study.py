"""The study of `tune`: its trials in an SQLite file, and the rule by which a trial ends early."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lit_react.acquisition.stopping import Progress, StoppingRule

if TYPE_CHECKING:
    import optuna

PRUNED = "worse than the median of the trials before"
STARTUP = 5
"""Trials that are not cut short, whatever they are worth."""


def worth(values: Sequence[float], right: Sequence[bool]) -> float:
    """What a trial is worth: the share of bought rows that its fits predicted right before they learned them.

    Where validation labels were bought it is V(s) instead, its mean over the rounds. An estimate of V(s) is none: it
    rests on how sure a model is.

    Args:
        values: V(s) of each round.
        right: see `Progress`.
    """
    return float(np.mean(right if len(right) else values))


def open_study(path: Path) -> optuna.Study:
    """The study in an SQLite file, which is made where there is none."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    url = f"sqlite:///{path.absolute()}"
    return optuna.create_study(
        storage=optuna.storages.RDBStorage(url, engine_kwargs={"connect_args": {"timeout": 60}}),
        study_name="tune",
        sampler=optuna.samplers.TPESampler(),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=STARTUP),
        direction="maximize",
        load_if_exists=True,
    )


class Pruning(StoppingRule):
    """Tells the study what a trial is worth after each round, and ends one that is below the median of the others.

    It sees what the acquisition sees, which is of bought labels.

    Args:
        study: the SQLite file.
        trial: its number in the study.
        after: rounds of a trial that are not compared, 1 or more: with the first no label was predicted yet.
    """

    def __init__(self, study: Path, trial: int, after: int) -> None:
        self.study, self.trial, self.after = study, trial, after

    def __call__(self, progress: Progress) -> str | None:
        """`PRUNED`, or None."""
        import optuna

        step = len(progress.values) - 1
        if step < self.after:
            return None
        study = open_study(self.study)
        kept = study.trials[self.trial]
        trial = optuna.trial.Trial(study, kept._trial_id)
        if step not in kept.intermediate_values:  # a round that is repeated has told it
            trial.report(worth(progress.values, progress.right), step)
        return PRUNED if trial.should_prune() else None
