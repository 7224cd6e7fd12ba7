"""`labels`: what a run has bought, as a table."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import yaml

from lit_react.annotation.answers import Aggregate
from lit_react.annotation.drafts import Drafts
from lit_react.cli.one_line import OneLineParser
from lit_react.core.errors import UserError
from lit_react.core.terminal import plain
from lit_react.data.datamodule import PoolDataModule
from lit_react.data.growth import of_run
from lit_react.run.export import Format, write_table
from lit_react.run.folder import RunFolder
from lit_react.run.labelers import named_aggregate
from lit_react.run.result import RunResult
from lit_react.tasks import TaskModule


def labels(
    run_folder: Path, *, output: Path, format: Format = "csv", answers: bool = False, overwrite: bool = False
) -> None:
    """Write all bought labels of a run: a row a text, with its answers, money and time.

    Args:
        run_folder: of a run that the command line began; of others `RunResult.labels()` is the same table.
        output: the file, or with `dataset` the folder.
        format: csv (cells that a spreadsheet would run have an apostrophe before them), jsonl, parquet, or dataset.
        answers: a row for each answer instead, corrected and undone ones too.
        overwrite: replace what is there.
    """
    result = result_of(run_folder)
    table = result.answers() if answers else result.labels()
    write_table(table, output, format, overwrite=overwrite)
    print(f"{len(table)} {'answers' if answers else 'texts with an answer'}: {plain(output)}")


def result_of(folder: Path) -> RunResult:
    """What the run of a folder has brought, by the options that the command line wrote there.

    Raises:
        UserError: the command line began no run there, or its data are not what they were.
    """
    config = folder / "config.yaml"
    if not config.is_file():
        raise UserError(
            f"{config}: no such file: expected the folder of a run of the command line; in Python, RunResult.labels()"
        )
    options = yaml.safe_load(config.read_text())
    parser = OneLineParser()
    parser.add_subclass_arguments(TaskModule, "model")
    parser.add_subclass_arguments(PoolDataModule, "data")
    parser.add_argument("--aggregation", type=Literal["majority", "dawid_skene"] | Aggregate)
    parser.add_argument("--drafts", type=Drafts | None)
    rounds = {name: options["rounds"].get(name) for name in ("aggregation", "drafts")}
    given = rounds | {name: options[name] for name in ("model", "data")}
    parts = parser.instantiate(parser.parse_object(given))
    texts = of_run(parts.data.prepare, parts.model.task, folder)
    aggregate = named_aggregate(parts.aggregation)
    if parts.drafts is not None:
        aggregate = parts.drafts.under(aggregate)
    return RunResult(RunFolder(folder), texts, parts.data.text_column, parts.model, {}, aggregate)
