"""What a run was begun with: the same lines go on with it, other lines are refused."""

from __future__ import annotations

import inspect
import json
import math
from collections.abc import Callable, Mapping, Set
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from lit_react.annotation.ledger import Ledger
from lit_react.annotation.ledger_file import has_purchases
from lit_react.annotation.oracles import Oracle
from lit_react.core.errors import UserError
from lit_react.core.same_work import dotted
from lit_react.run.state import STATE, RunState

if TYPE_CHECKING:
    from lit_react.run.active_learning import ActiveLearning

RECORD = "run.json"
"""The file, in the folder of the run."""

FREE = (
    "acquisition.batch_size",
    "data.eval_batch_size",
    "data.predict",
    "predictions",
    "pretraining.training.accelerator",
    "rounds.budget",
    "rounds.folder",
    "rounds.stopping",
    "trainer.accelerator",
    "trainer.devices",
    "trainer.enable_",
    "trainer.logger",
    "trainer.num_nodes",
    "trainer.strategy",
    "wandb",
)
"""Options that may change while a run goes on: where and how fast it computes, what it reports, when it ends."""

NAMES = "data.label_names"
"""To which classes may be added while a run goes on, at the end, see `KnownRows`."""

OF_THE_LABELS = ("data.", "model.class_path", "rounds.drafter", "rounds.oracle", "rounds.overlap", "seed_everything")
"""Options that say which labels are asked for and what they mean. Before a first round has ended, any other may be
mended, and `data.batch_size` too: the labels that it begins with are paid for, and a fit that failed is not worth more
than they are."""


def described(part: Any) -> Any:
    """An option as JSON; an object is its class and its own options.

    As in scikit-learn, an object keeps each option of its constructor in an attribute of the same name. What has no
    such attribute is not compared. Of an oracle the class alone is told: what else it has may be a secret, and may
    change. Tables in memory are left to the ledger, which knows their texts.
    """
    if part is None or isinstance(part, bool | int | float | str):
        return part
    if isinstance(part, Path):
        return str(part)
    if isinstance(part, Mapping) and not hasattr(part, "column_names"):
        return {str(name): described(value) for name, value in part.items()}
    if isinstance(part, list | tuple):
        return [described(value) for value in part]
    if isinstance(part, Set):
        return sorted(map(str, part))
    if isinstance(part, partial):
        return {"function": _path(part.func), **{name: described(value) for name, value in part.keywords.items()}}
    if isinstance(part, type) or inspect.isroutine(part):
        return _path(part)
    if isinstance(part, Oracle):
        return {"class_path": _path(type(part))}
    options = {name: vars(part)[name] for name in _options_of(type(part)) if name in getattr(part, "__dict__", {})}
    if callable(options.get("optimizer")):
        options["optimizer"] = _built(options["optimizer"])
    return {"class_path": _path(type(part)), **{name: described(value) for name, value in options.items()}}


def _path(thing: Any) -> str:
    return f"{thing.__module__}.{thing.__qualname__}"


def _options_of(cls: type) -> list[str]:
    """Names of the arguments that a class is made with, those of the classes above where it hands `**options` on."""
    names: dict[str, None] = {}
    for owner in cls.__mro__:
        if "__init__" not in vars(owner) or owner is object:
            continue
        parameters = list(inspect.signature(owner.__init__).parameters.values())[1:]  # type: ignore[misc]
        names |= {p.name: None for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)}
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    return list(names)


def _built(optimizer: Callable[..., torch.optim.Optimizer]) -> dict[str, Any]:
    """What a function that builds an optimiser builds: its class and settings."""
    try:
        made = optimizer([torch.nn.Parameter(torch.zeros(1))])
    except ValueError as error:
        raise UserError(f"model.optimizer: {error}") from error
    plain = {
        name: value for name, value in made.defaults.items() if isinstance(value, bool | int | float | tuple | None)
    }
    return {"class_path": _path(type(made)), **plain}


def record_of(run: ActiveLearning) -> dict[str, Any]:
    """What a run is made of, as JSON: group → its options."""
    of_rounds = ("budget", "oracle", "drafts", "overlap", "aggregation", "start", "refit", "stopping", "steps")
    groups = ("data", "acquisition", "augmentation", "pretraining", "early_stopping")
    model = {name: value for name, value in described(run.model).items() if name != "task"}
    return {
        "seed_everything": run.seed,
        "rounds": {name: described(getattr(run, name)) for name in of_rounds}
        | {"folder": str(run.folder.path), "drafter": run.drafts and run.drafts.annotator.annotator},
        **{name: described(getattr(run, name)) for name in groups},
        "model": described(run.model.task) | model,
        "trainer": described({name: value for name, value in run.trainer.items() if name != "logger"}),
    }


def check_same_run(folder: Path, record: Mapping[str, Any]) -> None:
    """Compare what a run is to do with what the run in this folder does. A run begins with its first purchase.

    Until its first round has ended only what its labels depend on is compared, see `OF_THE_LABELS`. Options that only
    one of them has are left out: a later version of this package may have more.

    Args:
        folder: of the run.
        record: see `record_of`.

    Raises:
        UserError: something was changed that is not `FREE`, the folder is of an older version, or its ledger is lost.
    """
    path = folder / RECORD
    if not has_purchases(folder / "ledger.sqlite"):
        done = RunState.load(folder).rounds
        if done and done[-1]["labeled"] + done[-1]["validation"]:
            raise UserError(
                f"{folder}: {STATE} has {len(done)} round{'s' * (len(done) > 1)}, ledger.sqlite not one label: "
                "put back the one that was there, or choose another --rounds.folder"
            )
        return
    if not path.exists():
        raise UserError(f"{folder}: a run of another version of lit-react lies there, choose another --rounds.folder")
    old, new = dotted(json.loads(path.read_text())), dotted(json.loads(json.dumps(record)))
    changed = {key for key in old.keys() & new.keys() if old[key] != new[key]} | _switched(old, new)
    changed = {key for key in changed if not key.startswith(FREE)}
    if _extended(old.get(NAMES), new.get(NAMES)):
        changed.discard(NAMES)
    if not (folder / STATE).exists():
        changed = {key for key in changed if key.startswith(OF_THE_LABELS) and key != "data.batch_size"}
    if changed:
        key = min(changed)
        more = f" (and {len(changed) - 1} more)" if len(changed) > 1 else ""
        raise UserError(
            f"{path}: this run was begun with {key} = {old.get(key, 'options')!r}, "
            f"now it is {new.get(key, 'options')!r}{more}; "
            "restore it, or choose another --rounds.folder"
        )


def check_one_run(folder: Path, ledger: Ledger, state: RunState) -> None:
    """See that ledger, record and state of a folder are of one run; the ledger may be ahead of the state.

    Raises:
        UserError: the ledger is of another run, or an earlier copy of this one.
    """
    known = {
        STATE: state.run,
        RECORD: json.loads((folder / RECORD).read_text()).get("run") if ledger.asked(0) else None,
    }
    for name, run in known.items():
        if run not in (None, ledger.run):
            raise UserError(
                f"{ledger.path}: this ledger is of another run than {name} beside it: put back the one that was there, "
                "or choose another --rounds.folder"
            )
    spent, known_of = ledger.spent_by(len(state.rounds) - 1), state.rounds[-1]["cost"] if state.rounds else 0.0
    if not math.isclose(spent, known_of):
        raise UserError(
            f"{ledger.path}: labels of {spent:g} cost units are there, but the {len(state.rounds)} rounds of {STATE} "
            f"learned those of {known_of:g}: put back the newest ledger, or choose another --rounds.folder"
        )


def _switched(old: Mapping[str, Any], new: Mapping[str, Any]) -> set[str]:
    """Names of groups that are null on one side and have options on the other."""
    return {
        key
        for one, other in ((old, new), (new, old))
        for key, value in one.items()
        if value is None and any(name.startswith(f"{key}.") for name in other)
    }


def _extended(old: Any, new: Any) -> bool:
    """Whether a list has become longer at its end."""
    return isinstance(old, list) and isinstance(new, list) and new[: len(old)] == old
