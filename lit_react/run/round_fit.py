"""What a round does with the model: a fit, a refit where one is asked for, a test."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning as L

from lit_react.acquisition.callback import AcquisitionCallback
from lit_react.augmentation.augmentation import Augmentation
from lit_react.augmentation.augmented_fit import AugmentedFit, Bought
from lit_react.data.fit_data import FitData, FitLoaders
from lit_react.run.refit import MakeRefitTrainer, refit
from lit_react.tasks.base import TaskModule

Result = dict[str, Any]


def fit_and_test(
    recipe: TaskModule,
    data: FitData,
    *,
    augmentation: Augmentation,
    before: Path | None,
    make_trainer: Callable[[], L.Trainer],
    make_refit_trainer: MakeRefitTrainer | None,
    acquisition: AcquisitionCallback,
) -> tuple[L.Trainer, TaskModule, Result]:
    """Fit a fresh module on the labels that are bought, and choose the next ones at its end.

    Args:
        recipe: module without weights.
        data: the labels that are bought.
        augmentation: what stretches them.
        before: an exported model whose weights the fit starts from; None: those of the recipe's checkpoint.
        make_trainer: the Trainer of the fit, with `acquisition` among its callbacks.
        make_refit_trainer: see `refit`; None: there is none.
        acquisition: has the report of what it measured and chose.

    Returns:
        the Trainer and the module that were tested, which is the refitted one if there is one, and what a round records
        of them: metrics, reward, steps, seconds by phase, …
    """
    seconds = dict[str, float]()
    with _timed(seconds, "fit"):
        fixed = data.fixed
        bought = Bought(data.pool, fixed.splits.pool, data.validation, len(fixed.class_names or []))
        augmented = augmentation.begin(bought, data.task, data.seed) if augmentation.used and bought.labels else None
        loaders = FitLoaders(data.reading(augmented.rows if augmented is not None else None))
    module = recipe.fresh(augmentation=augmented)
    L.seed_everything(data.seed, workers=True, verbose=False)  # whatever was loaded only now drew before
    if before is not None:
        module.restore(before)
    trainer = make_trainer()
    result = _fit(trainer, module, loaders, acquisition, seconds) | _measured(augmented, data)
    if make_refit_trainer is not None:
        del module, trainer  # neither model nor optimiser has to wait for the other fit
        gc.collect()
        with _timed(result["seconds"], "refit"):
            again = {"steps": result["steps"], "augmentation": augmentation, "after": augmented}
            trainer, module = refit(recipe, data, make_refit_trainer, **again)
        result["refit_steps"] = trainer.global_step
        if module.augmentation is not None and module.augmentation.pseudo_labels is not None:
            result["augmentation"]["generated_in_refit"] = module.augmentation.pseudo_labels.counted
    with _timed(result["seconds"], "test"):
        result["metrics"] |= _test(trainer, module, loaders)
    return trainer, module, result


def _fit(
    trainer: L.Trainer,
    module: TaskModule,
    loaders: FitLoaders,
    acquisition: AcquisitionCallback,
    seconds: dict[str, float],
) -> Result:
    """One fit with the acquisition at its end; the module has the best weights then. `seconds` so far, by phase."""
    with _timed(seconds, "fit"):
        trainer.fit(module, datamodule=loaders)
    report = acquisition.report
    seconds["fit"] -= sum(report.seconds.values())
    return {
        "metrics": report.metrics,
        "reward": report.reward,
        "q": report.q,
        "epochs": trainer.current_epoch,
        "steps": trainer.global_step,
        "seconds": {phase: round(value, 3) for phase, value in {**seconds, **report.seconds}.items()},
    }


def _measured(augmented: AugmentedFit | None, data: FitData) -> Result:
    """What the augmentation measured in a round; nothing without one."""
    return {} if augmented is None else {"augmentation": augmented.report(data.fixed.known_labels()["pool"])}


def _test(trainer: L.Trainer, module: TaskModule, loaders: FitLoaders) -> dict[str, float]:
    """Test metrics by name; none where no test rows are read. They are logged with the round, and not here too."""
    if loaders.fit_data.fixed.splits.test is None or not trainer.limit_test_batches:
        return {}
    trainer.loggers = []
    tested = trainer.test(module, datamodule=loaders, verbose=False)[0]
    return {name: float(value) for name, value in tested.items()}


@contextmanager
def _timed(seconds: dict[str, float], phase: str) -> Iterator[None]:
    """Measure what happens inside, and add it to the phase."""
    start = time.perf_counter()
    yield
    seconds[phase] = round(seconds.get(phase, 0.0) + time.perf_counter() - start, 3)
