"""Command lines: configurations count before options, and what the user gave wrong is told in one line."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from difflib import get_close_matches
from importlib import import_module
from itertools import islice
from typing import Any, NoReturn, TypeVar

from jsonargparse import ArgumentParser

from lit_react.core.errors import UserError

E = TypeVar("E", bound=BaseException)

KEY = re.compile(r'Parser key "([^"]+)"')
BASE = re.compile(r"Subtypes: \[<class '([\w.]+)'>")
NO_CLASS = re.compile(
    r"Expected a dot import path string: (?P<name>\S+)"
    r"|Problem with given class_path '(?P<path>[^']+)':\s+(?:No module named|module \S+ has no attribute)"
)
DOTTED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")
ABSTRACT = re.compile(r"Expected an instantiatable class, but (?:\S+ )?is abstract")
NO_KIND = re.compile(
    r"any of the Union subtypes\s+Subtypes: \[(?P<any>.+?)\]\s+Errors:.*Given value: (?P<value>.*)"
    r"|Expected an? (?P<kind>.+?)\. Got value: (?P<other>.*)",
    re.DOTALL,
)
LITERAL = re.compile(r"typing\.Literal\[([^]]*)\]|<class '(?:\w+\.)*(\w+)'>")
CONFIG = re.compile(r"(?:--config|-c)(?:=(?P<file>.+))?")
UNKNOWN = re.compile(
    r"unrecognized arguments: --(?P<option>[^\s=]+)|Option '(?P<own>[^']+)' is not accepted", re.IGNORECASE
)
NESTED = re.compile(r"NestedArg\(key='(?P<key>[^']+)', val=(?P<value>.+)\)")
TOLD = re.compile(r"- (\S+: (?:no class|no such option|got\b|expected\b|\S+ is no text|\S+ cannot be imported).*)")
"""Parts of jsonargparse's messages; the last is what was told of a class's own argument."""
NO_ARGUMENT = re.compile(r"- the following arguments are required: (?P<names>.+)\s[\s\S]*class_path='(?P<path>[\w.]+)'")
NOT_TEXT = re.compile(r"Expected a <class 'str'>\. Got value: (?P<value>True|False|None|-?\d[\d.e+-]*)(?!\S)")
"""Words and numbers that YAML does not read as text."""
UNWRITABLE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS}
"""Why a file cannot be written, whatever the program does."""


def configs_first(words: list[str]) -> list[str]:
    """The words after a command with each `--config FILE` in front, in their order: options win wherever they are.

    Args:
        words: which jsonargparse reads from left to right, the last one wins; `-c FILE` and `--config=FILE` are the
            like.
    """
    configs: list[str] = []
    others: list[str] = []
    rest = iter(words)
    for word in rest:
        if (given := CONFIG.fullmatch(word)) is None:
            others.append(word)
        else:
            configs += ["--config", *([given["file"]] if given["file"] else islice(rest, 1))]
    return configs + others


class OneLineParser(ArgumentParser):
    """Wrong options are a `UserError` of one line, and so are options that are cut short."""

    def __init__(self, *args: Any, allow_abbrev: bool = False, **options: Any) -> None:
        super().__init__(*args, allow_abbrev=allow_abbrev, **options)

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raise what `main` prints."""
        tell = (inner, failed_import, unknown_class, no_option, no_text, no_argument, no_kind)
        told = next(filter(None, (one(message) for one in tell)), " ".join(message.split()))
        raise UserError(told + self._nearest(message)) from ex

    def _nearest(self, message: str) -> str:
        """The option that was meant, most likely, by one that is not there."""
        unknown = UNKNOWN.match(message)
        if unknown is None:
            return ""
        commands = getattr(self, "_subcommands_action", None)
        parsers = [self, *(commands.choices.values() if commands else [])]
        known = [option for parser in parsers for option in parser._option_string_actions]
        nearest = get_close_matches(f"--{unknown['option'] or unknown['own']}", known, n=1, cutoff=0.8)
        start = 2 if unknown["own"] else 0  # it is one of a class's arguments
        return f": did you mean {nearest[0][start:]}?" if nearest else ""


def inner(message: str) -> str | None:
    """What was told already of an option of the class that a key names, with the whole name of that option."""
    key, told = KEY.search(message), TOLD.search(message)
    return f"{key[1]}.{told[1]}" if key and told else None


def failed_import(message: str) -> str | None:
    """The error of a module that is there and cannot be imported; None where a message is about other things."""
    key, given = KEY.search(message), NO_CLASS.search(message) or NO_KIND.search(message)
    path = (
        next((value for value in given.groupdict().values() if value and DOTTED.fullmatch(value)), None)
        if given
        else None
    )
    if key is None or path is None:
        return None
    module = path.rpartition(".")[0]
    try:
        import_module(module)
    except ModuleNotFoundError as error:
        if error.name and f"{module}.".startswith(f"{error.name}."):
            return None  # it is not there
        return f"{key[1]}: {module} cannot be imported: {error}"
    except Exception as error:
        return f"{key[1]}: {module} cannot be imported: {type(error).__name__}: {error}"
    return None


def unknown_class(message: str) -> str | None:
    """One line for an option whose class is not there, with those that are; None where a message is about other things.

    Args:
        message: of jsonargparse, which lists all that it tried.
    """
    key, wrong, base = KEY.search(message), NO_CLASS.search(message), BASE.search(message)
    if key is None or (wrong is None and not ABSTRACT.search(message)):
        return None
    told = f"{key[1]}: no class {wrong['name'] or wrong['path']!r}," if wrong else f"{key[1]}:"
    if base is None:
        return f"{told} expected the name of a known class, or the dotted path of another"
    module, _, name = base[1].rpartition(".")
    package = module.partition(".")[0]
    kinds = _concrete(getattr(import_module(module), name))
    known = sorted({kind.__name__ for kind in kinds if kind.__module__.partition(".")[0] == package})
    short = re.findall(r"'(\w+)'", "".join(re.findall(r"typing\.Literal\[([^]]*)\]", message)))
    return f"{told} expected one of {', '.join(dict.fromkeys([*short, *known]))}, or the dotted path of another"


def no_option(message: str) -> str | None:
    """One line for an option that a class does not have; None where a message is about other things."""
    key, unknown = KEY.search(message), UNKNOWN.search(message)
    if unknown is None or not (key or unknown["own"]):
        return None
    name = unknown["option"] or unknown["own"]
    return f"{key[1]}.{name}: no such option" if key else f"{name}: no such option"


def no_text(message: str) -> str | None:
    """One line for a list of texts with a number, a yes or a no; None where a message is about other things."""
    key, wrong = KEY.search(message), NOT_TEXT.search(message)
    if key is None or wrong is None:
        return None
    return f"{key[1]}: {wrong['value']} is no text; what YAML takes for a number, yes or no is quoted: \"['yes', '1']\""


def no_argument(message: str) -> str | None:
    """One line for a class without an argument that it needs; None where a message is about other things."""
    key, wrong = KEY.search(message), NO_ARGUMENT.search(message)
    if key is None or wrong is None:
        return None
    missing = wrong["names"].partition(",")[0]
    return f"{key[1]}: {wrong['path'].rpartition('.')[2]} needs {missing}, such as --{key[1]}.{missing} …"


def no_kind(message: str) -> str | None:
    """One line for a value of no kind that an option takes; None where a message is about other things."""
    key, wrong = KEY.search(message), NO_KIND.search(message)
    if key is None or wrong is None:
        return None
    if nested := next(reversed(list(NESTED.finditer(message))), None):  # the outermost
        return f"{key[1]}.{nested['key']}: got {nested['value']}, which it does not take"
    kinds = LITERAL.sub(r"\1\2", wrong["any"] or wrong["kind"]).replace("NoneType", "null")
    return f"{key[1]}: got {(wrong['value'] or wrong['other']).strip()}, expected {kinds}"


def _concrete(base: type) -> Iterator[type]:
    """The class and all below it, without abstract and private ones."""
    abstract = any(getattr(getattr(base, name, None), "__isabstractmethod__", False) for name in dir(base))
    if not abstract and not base.__name__.startswith("_"):
        yield base
    subclasses: list[type] = base.__subclasses__()
    for below in subclasses:
        yield from _concrete(below)


def cause(error: BaseException | None, kind: type[E]) -> E | None:
    """The exception of this kind that another comes from, if any: jsonargparse wraps them in a ValueError."""
    while error is not None and not isinstance(error, kind):
        error = error.__cause__ or error.__context__
    return error


def of_the_disk(error: BaseException) -> str | None:
    """One line where a file could not be written for want of room, or not be opened; None for anything else.

    What comes of an error that was handled is another error, but a library may wrap that of a full disk.
    """
    if isinstance(error, PermissionError):
        return str(error)
    found: BaseException | None = error
    while found is not None:
        number = found.errno if isinstance(found, OSError) else None
        if "No space left on device" in str(found):  # as libraries of other languages say it too
            number = errno.ENOSPC
        if number in UNWRITABLE:
            place = f" ({found.filename})" if isinstance(found, OSError) and found.filename else ""
            reason = os.strerror(number)
            return f"{reason}{place}: nothing that was bought is lost, the same command goes on once that is mended"
        found = found.__cause__ or (None if found.__suppress_context__ else found.__context__)
    return None
