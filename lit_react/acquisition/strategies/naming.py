"""From what a user writes to strategies: a name, a setting of it, a mixture, a dotted path, or the function itself."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Any

from lit_react.acquisition.strategies import STRATEGIES, Strategy, signals_read
from lit_react.core.errors import UserError

SETTING = re.compile(r"(?P<name>[\w.]+)(?:\((?P<options>.*)\))?")


@dataclass(frozen=True)
class Rule:
    """A strategy, or a mixture of several that take turns, under the name that purchases are recorded with."""

    name: str  # as the user wrote it, or that of the function
    parts: Mapping[str, Strategy]  # name → strategy, in the order of the turns; one for a rule that is no mixture

    @classmethod
    def of(cls, given: str | Strategy, option: str) -> Rule:
        """The rule of `margin`, `facility_location(exponent=1)`, `margin+badge`, `my_file.my_rule`, or a function.

        A `UserError` in the name of the option says that there is no such strategy, that it has no such option, that
        its file fails, or that it is something else.
        """
        try:
            if isinstance(given, str):
                return cls(given, {part.strip(): find_strategy(part) for part in given.split("+")})
            name = _name_of(given)
            return cls(name, {name: _checked(given, name)})
        except ValueError as error:
            raise UserError(f"{option}: {error}") from error

    def read(self, attribute: str) -> frozenset[str]:
        """What its parts read, by an attribute of theirs: `reads` or `reads_if_offered`."""
        return frozenset().union(*(signals_read(strategy, attribute) for strategy in self.parts.values()))


def find_strategy(text: str) -> Strategy:
    """The strategy of a name or a dotted path, with options where it has some: `my_file.my_rule(weight=0.5)`.

    A ValueError says that no strategy has that name or option, or that the file fails.
    """
    match = SETTING.fullmatch(text.strip())
    name = match["name"] if match else ""
    if "." in name:
        strategy = _imported(name)
    elif name in STRATEGIES:
        strategy = STRATEGIES[name]
    elif name.lower() == "boss":
        raise ValueError(f"{name} chooses by test labels, which no run may read; see scripts/tables/reachable_gain.py")
    else:
        known = ", ".join(sorted(STRATEGIES))
        raise ValueError(f"unknown strategy {text!r}, expected one of {known}, or the dotted path of your own")
    options = match["options"] if match else None
    return partial(strategy, **_options(text, options, strategy)) if options else strategy


def _options(text: str, options: str, strategy: Strategy) -> dict[str, Any]:
    parameters = list(inspect.signature(strategy).parameters.values())[3:]
    known = [p.name for p in parameters if p.default is not p.empty]
    found: dict[str, Any] = {}
    for option in options.split(","):
        name, _, value = (part.strip() for part in option.partition("="))
        try:
            found[name] = ast.literal_eval(value)
        except (SyntaxError, ValueError):
            found[name] = None
        if name not in known or not isinstance(found[name], int | float):
            raise ValueError(f"strategy {text!r}: expected options of {', '.join(known) or 'none'} with numbers")
    return found


def _imported(path: str) -> Strategy:
    module, _, name = path.rpartition(".")
    try:
        found = import_module(module)
    except Exception as error:  # whatever a file of the user's own raises
        raise ValueError(f"{path} cannot be imported: {type(error).__name__}: {error}") from error
    if not hasattr(found, name):
        raise ValueError(f"{path} is not there: {module} ({found.__file__}) has no {name}")
    return _checked(getattr(found, name), path)


def _checked(found: Any, name: str) -> Strategy:
    """The strategy, if it can be called as one."""
    try:
        if isinstance(found, type):
            raise TypeError
        inspect.signature(found).bind(None, 1, None)
    except TypeError:
        raise ValueError(
            f"{name} is a {type(found).__name__} that cannot be called with (signals, k, generator), "
            "expected a function that returns rows"
        ) from None
    return found


def _name_of(strategy: Any) -> str:
    """Of a function; of a `partial` with the options that it sets."""
    if isinstance(strategy, partial):
        options = ", ".join(f"{name}={value}" for name, value in strategy.keywords.items())
        return f"{_name_of(strategy.func)}({options})"
    return getattr(strategy, "__name__", f"{strategy!r:.60}")
