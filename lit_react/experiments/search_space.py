"""What `tune` searches: options of `fit` by dotted name, each with its values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lit_react.core.errors import UserError
from lit_react.run.record import OF_THE_LABELS

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

Options = dict[str, Any]
FIXED = (
    *(*OF_THE_LABELS, "acquisition", "rounds.aggregation", "rounds.budget", "rounds.drafts", "rounds.folder"),
    "rounds.stopping",
)
"""Options that say what is bought, or which label follows: the trials of a study learn the same ones."""
FORMS = "expected {float: [low, high]} or {int: [low, high]}, with log: true where wanted, or {choices: [a, b]}"


def distributions(space: dict[str, Any]) -> dict[str, BaseDistribution]:
    """Optuna's distributions of the options.

    Args:
        space: option → `{float: [low, high]}` or `{int: [low, high]}`, both ends included, with `log: true` where the
            logarithm is to be uniform; or `{choices: [a, b, …]}`.

    Raises:
        UserError: there is none, one has another form, or says what is bought.
    """
    if not space:
        raise UserError("space: no options, expected one or more")
    return {name: _distribution(name, entry) for name, entry in space.items()}


def _distribution(name: str, entry: Any) -> BaseDistribution:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    plain = _plain(name)
    if plain.startswith(FIXED) and plain != "data.batch_size":
        raise UserError(f"space: {name} says which labels are bought, but all trials learn the same ones; leave it out")
    match entry:
        case {"choices": [*values], **rest} if values and not rest and all(_is_plain(value) for value in values):
            return CategoricalDistribution(values)
        case {"float": [low, high], **rest} if _is_number(low, high) and _is_log(rest):
            return _bounded(FloatDistribution, name, low, high, rest)
        case {"int": [int(low), int(high)], **rest} if _is_log(rest):
            return _bounded(IntDistribution, name, low, high, rest)
    raise UserError(f"space: {name}: got {entry}, {FORMS}")


def _bounded(kind: Any, name: str, low: float, high: float, rest: dict[Any, Any]) -> BaseDistribution:
    try:
        distribution: BaseDistribution = kind(low, high, **rest)
    except ValueError as error:
        raise UserError(f"space: {name}: {error}") from error
    return distribution


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, bool | int | float | str)


def _is_number(*values: Any) -> bool:
    return all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)


def _is_log(rest: dict[Any, Any]) -> bool:
    return not rest.keys() - {"log"} and isinstance(rest.get("log", False), bool)


def lowest(space: dict[str, Any]) -> Options:
    """A point of the space, to see that `fit` takes its options."""
    return {name: next(iter(next(entry[kind] for kind in entry if kind != "log"))) for name, entry in space.items()}


def fragment(config: Options, names: list[str]) -> Options:
    """The part of a configuration of `fit` that has these options, with the classes that take them.

    Args:
        config: of a run, whole.
        names: dotted; `init_args` may be left out.
    """
    tree: Options = {}
    for name in names:
        node, kept = config, tree
        *above, last = _plain(name).split(".")
        for part in (*above, last):
            if part not in node:  # an argument of a class
                kept.setdefault("class_path", node["class_path"])
                node, kept = node["init_args"], kept.setdefault("init_args", {})
            if part != last:
                node, kept = node[part], kept.setdefault(part, {})
        kept[last] = node[last]
    return tree


def _plain(name: str) -> str:
    return name.replace(".init_args.", ".")
