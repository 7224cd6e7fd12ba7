"""A run leaves its process as it found it: random numbers, log levels, filters of warnings, garbage collection."""

from __future__ import annotations

import gc
import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from lightning.pytorch.utilities.seed import isolate_rng

from lit_react.core.quiet import ignore_noise

SEEDS = ("PL_GLOBAL_SEED", "PL_SEED_WORKERS")
"""Variables that `seed_everything` leaves in the environment."""


@contextmanager
def isolated() -> Iterator[None]:
    """Inside, a run may seed and be quiet; then generators, environment, levels and filters are as before."""
    seeds = {name: os.environ.get(name) for name in SEEDS}
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    with isolate_rng(), warnings.catch_warnings():
        ignore_noise()
        try:
            for logger in loggers:
                logger.setLevel(max(logger.level, logging.WARNING))
            logging.getLogger("lightning.pytorch.profilers").setLevel(logging.INFO)  # who asks for one wants to read it
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
            for name, value in seeds.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value


@contextmanager
def short_collections() -> Iterator[None]:
    """Inside, garbage collections leave out what was there before: modules, parsers, …, a million objects."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
