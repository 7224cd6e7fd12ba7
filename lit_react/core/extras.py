"""Packages that only some options need."""

from __future__ import annotations

from importlib import import_module

from lit_react.core.errors import UserError


def check_installed(package: str, option: str, extra: str) -> None:
    """See that a package can be imported; else a `UserError` says which option needs it, and which extra brings it."""
    try:
        import_module(package)
    except ImportError as error:
        raise UserError(f"{option}: {package} is not installed (pip install -e '.[{extra}]')") from error
