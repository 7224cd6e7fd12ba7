"""The command line: a client of the Python API."""

from lit_react.cli.main import main

__all__ = ["main"]
