"""The examples of docs/extending.md."""

import re
from dataclasses import dataclass
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "extending.md"
BLOCKS = re.compile(
    r"```python\n# (?P<file>\w+\.py)\n(?P<code>.*?)```\n\n {4}(?P<options>.*?)\n\n```python\n(?P<use>.*?)```", re.DOTALL
)


@dataclass(frozen=True)
class Example:
    """A file of the user's, and its two uses.

    Attributes:
        code: of the file.
        options: that name it on a command line.
        use: Python that makes an object of it.
    """

    code: str
    options: str
    use: str


def examples() -> dict[str, Example]:
    """Name of the file → example, in the order of the page."""
    return {m["file"]: Example(m["code"], m["options"], m["use"]) for m in BLOCKS.finditer(PAGE.read_text())}
