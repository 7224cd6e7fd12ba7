"""A page to label on: an oracle whose answers people give in a browser."""

from lit_react.annotation.page.oracle import Page

__all__ = ["Page"]
