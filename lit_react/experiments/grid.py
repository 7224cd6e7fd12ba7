"""`compare`: the grid data x strategy x seed, a run of `fit` for each cell, finished cells left alone."""

from __future__ import annotations

import hashlib
import re
import sys
from collections import ChainMap
from collections.abc import Iterable
from contextlib import closing
from itertools import product
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import lazy_instance
from tqdm import tqdm

from lit_react.acquisition.strategies.naming import Rule
from lit_react.core.errors import UserError
from lit_react.core.same_work import dotted
from lit_react.core.terminal import plain
from lit_react.experiments.executors import Executor, LocalExecutor
from lit_react.experiments.jobs import LOG, Job

Options = dict[str, Any]
NAME = re.compile(r"\w[^/\\]*")
"""Of a data set or a strategy: a folder below that of the grid, and no option where it stands in a command."""


def compare(
    *,
    folder: Path,
    configs: list[str],
    data: dict[str, Options | None],
    strategies: dict[str, Options | None],
    seeds: int | list[int],
    options: Options | None = None,
    executor: Executor = lazy_instance(LocalExecutor),  # noqa: B008
) -> None:
    """Run each strategy on each data set with each seed; the same command goes on where it was stopped.

    A cell is a run of `fit` in `folder/<data>/<strategy>/seed_XX`, with its output in `output.log` there. Options are
    those of `fit`, by dotted name (`rounds.budget: 320`); in their values and in the configs' names, `{data}`,
    `{strategy}` and `{seed}` stand for those of the cell. The exit code is 1 if a cell failed (the others are run all
    the same).

    Args:
        folder: of the grid.
        configs: of `fit`, merged in their order for each cell.
        data: name → options of `fit`, or nothing where a config `…/{data}.yaml` has them.
        strategies: name → options of `fit`, or nothing for the fixed rule of that name.
        seeds: how many, from 0, or which.
        options: of `fit`, for all cells; those of data and strategy are stronger.
        executor: `LocalExecutor`, `RayExecutor` or `SubmititExecutor` (SLURM), see docs/machines.md.
    """
    numbers = list(range(seeds)) if isinstance(seeds, int) else seeds
    jobs = plan(folder, configs, data, strategies, numbers, options or {})
    for job in jobs:
        job.check_record()
    todo = [job for job in jobs if job.result() is None]
    failed = _run(todo, len(jobs), executor) if todo else []
    for line in failed:
        print(plain(line), file=sys.stderr)
    done = f"{len(jobs) - len(failed)} of {len(jobs)} cells finished, {len(todo) - len(failed)} of them now"
    print(plain(f"{folder}: {done}"))
    if failed:
        sys.exit(1)


def plan(
    folder: Path,
    configs: list[str],
    data: dict[str, Options | None],
    strategies: dict[str, Options | None],
    seeds: list[int],
    options: Options,
) -> list[Job]:
    """The cells, all of the first seed before those of the second, so that a grid that is cut short is balanced.

    A `UserError` says that there are none, names an unknown strategy, or a config that cannot be read.
    """
    _check_axes(data, strategies, seeds)
    contents: dict[str, Options] = {}
    jobs = []
    for seed, strategy, data_name in product(seeds, strategies, data):  # neighbours embed different texts
        cell = {"data": data_name, "strategy": strategy, "seed": str(seed)}
        special = strategies[strategy]
        if special is None:  # the fixed rule of that name, alone
            special = {"acquisition.proposals.strategies": [Rule.of(strategy, "strategies").name]}
        given = dotted(options) | dotted(data[data_name] or {}) | dotted(special)
        own = {"seed_everything": seed, **{name: _filled(value, cell) for name, value in given.items()}}
        paths = tuple(_filled(path, cell) for path in configs)
        contents |= {path: dotted(_read_config(path)) for path in paths if path not in contents}
        asked = dict(ChainMap(own, *(contents[path] for path in reversed(paths)))) | _weights(own)
        _check_devices(asked)
        jobs.append(Job(folder / data_name / strategy / f"seed_{seed:02d}", paths, own, asked))
    return jobs


def _check_devices(asked: Options) -> None:
    """Several processes for a cell would begin by starting the grid itself once more."""
    devices = asked.get("trainer.devices", "auto")
    if devices not in ("auto", 1, "1") and not (isinstance(devices, list) and len(devices) == 1):
        raise UserError(f"trainer.devices: {devices}, but a cell is computed by one process; expected 1 or auto")


def _weights(own: Options) -> Options:
    """The digest of a pretrained policy's weights: cells of two policies in one folder are not one strategy."""
    path = Path(str(own.get("acquisition.agent.pretrained"))) / "policy.safetensors"
    return {"policy weights": hashlib.sha256(path.read_bytes()).hexdigest()} if path.is_file() else {}


def _check_axes(data: Iterable[str], strategies: Iterable[str], seeds: list[int]) -> None:
    for axis, names in (("data", list(data)), ("strategies", list(strategies)), ("seeds", seeds)):
        if not names:
            raise UserError(f"{axis}: none given, expected one or more")
    for axis, names in (("data", list(data)), ("strategies", list(strategies))):
        for name in names:
            if not NAME.fullmatch(str(name)) or not str(name).isprintable():
                raise UserError(f"{axis}: {name!r} is no name for a folder, expected a letter first and no slashes")
    if min(seeds) < 0 or len(set(seeds)) < len(seeds):
        raise UserError(f"seeds: expected different numbers from 0 on, got {seeds}")


def _filled(value: Any, cell: dict[str, str]) -> Any:
    if isinstance(value, list):
        return [_filled(entry, cell) for entry in value]
    if isinstance(value, str):
        for name, text in cell.items():
            value = value.replace(f"{{{name}}}", text)
    return value


def _read_config(path: str) -> Options:
    try:
        content = yaml.safe_load(Path(path).read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"configs: {path} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise UserError(f"configs: {path} has no options, expected a YAML mapping")
    return content


def _run(todo: list[Job], total: int, executor: Executor) -> list[str]:
    """A line for each cell that failed."""
    failed = []
    bar = tqdm(total=total, initial=total - len(todo), unit="cell", file=sys.stderr)
    with bar, closing(executor.run(todo)) as outcomes:
        for job, wrong in outcomes:
            if wrong is not None:
                failed.append(f"failed: {job.name}: {wrong} ({job.folder / LOG})")
            bar.set_postfix_str(f"{job.name} {_score(job)}", refresh=False)
            bar.update()
    return failed


def _score(job: Job) -> str:
    """Area under the learning curve of the task's metric on test, in percent."""
    result = job.result()
    if result is None:
        return "failed"
    area = result["aulc"].get(f"test/{result['rounds'][0]['shown'][0]}")
    return "" if area is None else f"{100 * area:.1f}"
