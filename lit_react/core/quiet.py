"""Our own log lines are shown, those of the libraries that are beside the point are not."""

from __future__ import annotations

import logging
import sys
import warnings

import datasets
import transformers

from lit_react.core.terminal import plain_record

NOISE = (
    ".*sync_dist=True.*",  # metrics are of all rows, see `TaskModule`
    ".*LeafSpec.*",  # torch 2.13 about lightning 2.6's own code
    ".*does not have many workers.*",  # encoded tables need none
    ".*custom batch sampler `LengthSortedBatches`.*",  # it gives every row
    ".*LightningCLI's args parameter.*",  # `compare` runs cells by it
)
"""Warnings that are beside the point."""


def ignore_noise() -> None:
    """Of warnings, from now on or within a `catch_warnings`."""
    for message in NOISE:
        warnings.filterwarnings("ignore", message=message)


def quiet() -> None:
    """Called once by the commands that train."""
    logging.basicConfig(format="%(message)s")
    logging.getLogger("lit_react").setLevel(logging.INFO)
    logging.getLogger("lit_react").addFilter(plain_record)
    for noisy in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    ignore_noise()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    if not sys.stderr.isatty():  # as the Trainer's bars: in a file they are one long line
        datasets.disable_progress_bars()
