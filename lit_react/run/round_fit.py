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
from lit_react.data.datamodule import PoolDataModule
from lit_react.run.refit import MakeRefitTrainer, refit
from lit_react.tasks.base import TaskModule

Result = dict[str, Any]


def fit_and_test(
    recipe: TaskModule,
    data: PoolDataModule,
    *,
    seed: int,
    before: Path | None,
    make_trainer: Callable[[], L.Trainer],
    make_refit_trainer: MakeRefitTrainer | None,
    acquisition: AcquisitionCallback,
) -> tuple[L.Trainer, TaskModule, Result]:
    """Fit a fresh module on the labels that are bought, and choose the next ones at its end.

    Args:
        recipe: module without weights.
        data: with the labels that are bought.
        seed: of the round.
        before: an exported model whose weights the fit starts from; None: those of the recipe's checkpoint.
        make_trainer: the Trainer of the fit, with `acquisition` among its callbacks.
        make_refit_trainer: see `refit`; None: there is none.
        acquisition: has the report of what it measured and chose.

    Returns:
        the Trainer and the module that were tested, which is the refitted one if there is one, and what a round records
        of them: metrics, reward, steps, seconds by phase, …
    """
    module, seconds = recipe.fresh(), dict[str, float]()
    with _timed(seconds, "fit"):
        data.fit_rows = module.augmentation.begin(data, seed) if module.augmentation is not None else None
    L.seed_everything(seed, workers=True, verbose=False)  # whatever was loaded only now drew before
    if before is not None:
        module.restore(before)
    trainer = make_trainer()
    result = _fit(trainer, module, data, acquisition, seconds) | _augmented(module, data)
    if make_refit_trainer is not None:
        trust = module.augmentation.trust if module.augmentation is not None else None
        del module, trainer  # neither model nor optimiser has to wait for the other fit
        gc.collect()
        with _timed(result["seconds"], "refit"):
            made = result["steps"]
            trainer, module = refit(recipe, data, make_refit_trainer, steps=made, trust=trust, seed=seed)
        result["refit_steps"] = trainer.global_step
        if module.augmentation is not None and module.augmentation.labels is not None:
            result["augmentation"]["generated_in_refit"] = module.augmentation.counted
    with _timed(result["seconds"], "test"):
        result["metrics"] |= _test(trainer, module, data)
    return trainer, module, result


def _fit(
    trainer: L.Trainer,
    module: TaskModule,
    data: PoolDataModule,
    acquisition: AcquisitionCallback,
    seconds: dict[str, float],
) -> Result:
    """One fit with the acquisition at its end; the module has the best weights then. `seconds` so far, by phase."""
    with _timed(seconds, "fit"):
        trainer.fit(module, datamodule=data)
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


def _augmented(module: TaskModule, data: PoolDataModule) -> Result:
    """What the augmentation measured in a round; nothing without one."""
    if module.augmentation is None:
        return {}
    return {"augmentation": module.augmentation.report(data.known_labels()["pool"], module.class_of)}


def _test(trainer: L.Trainer, module: TaskModule, data: PoolDataModule) -> dict[str, float]:
    """Test metrics by name; none where there are no test rows."""
    if data.splits.test is None:
        return {}
    tested = trainer.test(module, datamodule=data, verbose=False)[0]
    return {name: float(value) for name, value in tested.items()}


@contextmanager
def _timed(seconds: dict[str, float], phase: str) -> Iterator[None]:
    """Measure what happens inside, and add it to the phase."""
    start = time.perf_counter()
    yield
    seconds[phase] = round(seconds.get(phase, 0.0) + time.perf_counter() - start, 3)
