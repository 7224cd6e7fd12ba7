"""The version, for cards and files; `lit_react.__version__` is the same."""

__version__ = "0.1.0"
