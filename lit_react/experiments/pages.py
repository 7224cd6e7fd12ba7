"""A report of sections in three forms: Markdown, LaTeX tables, and one HTML page that needs nothing else."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from lit_react.experiments.tables import Table

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #222; background: #fff; max-width: 72rem; margin: 2rem auto;
  padding: 0 1.25rem; }
h1 { font-size: 1.7rem; margin-bottom: .4rem; } h2 { font-size: 1.25rem; margin: 2.6rem 0 .6rem; }
p { max-width: 46rem; } nav { color: #666; margin: 1rem 0 2rem; } nav a { margin-right: 1.1rem; white-space: nowrap; }
a { color: #0072b2; text-decoration: none; } a:hover { text-decoration: underline; }
figure { margin: 1.4rem 0 2rem; } figcaption { font-weight: 600; margin-bottom: .5rem; }
img { max-width: 100%; height: auto; } .note { color: #666; font-size: .85rem; margin-top: .5rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums; white-space: nowrap;
  border-top: 2px solid #222; border-bottom: 2px solid #222; }
th, td { padding: .22rem .6rem; text-align: right; font-weight: normal; }
th:first-child { text-align: left; position: sticky; left: 0; background: #fff; }
thead th { border-bottom: 1px solid #222; font-weight: 600; }
tbody tr:hover > * { background: #f3f3f3; } tr.focus > * { background: #fdf0e6; } .best { font-weight: 700; }
small { color: #777; } td.best small { font-weight: normal; }
@media print { body { max-width: none; margin: 0; font-size: 11px; } nav { display: none; } }
"""


@dataclass(frozen=True)
class Picture:
    """A figure of a report."""

    name: str  # of its files, without ending
    caption: str  # what it shows
    figure: Figure  # drawn

    @cached_property
    def png(self) -> bytes:
        """For Markdown and slides."""
        return self._saved("png", dpi=160)

    @cached_property
    def svg(self) -> bytes:
        """For the HTML page and papers; the same figure gives the same bytes."""
        with matplotlib.rc_context({"svg.hashsalt": self.name}):
            return self._saved("svg", metadata={"Date": None})

    def _saved(self, kind: str, **options: Any) -> bytes:
        file = io.BytesIO()
        with matplotlib.rc_context({"text.parse_math": False}):
            self.figure.savefig(file, format=kind, **options)
        return file.getvalue()

    def html(self) -> str:
        """The SVG as a data address."""
        data = base64.b64encode(self.svg).decode()
        caption = html.escape(self.caption)
        image = f'<img alt="{caption}" src="data:image/svg+xml;base64,{data}">'
        return f'<figure id="{html.escape(self.name)}"><figcaption>{caption}</figcaption>\n{image}</figure>'


Block = str | Table | Picture
"""A paragraph of plain text, a table or a picture."""


@dataclass(frozen=True)
class Section:
    """A part of a report."""

    title: str  # its heading
    blocks: Sequence[Block]  # in the order of reading

    def tables(self) -> list[Table]:
        """Its tables."""
        return [block for block in self.blocks if isinstance(block, Table)]

    def pictures(self) -> list[Picture]:
        """Its pictures."""
        return [block for block in self.blocks if isinstance(block, Picture)]


def as_markdown(title: str, sections: Sequence[Section]) -> str:
    """The report in GitHub's Markdown; pictures are files beside it."""

    def show(block: Block) -> str:
        if isinstance(block, Picture):
            return f"![{block.caption}]({block.name}.png)"
        return block.markdown() if isinstance(block, Table) else block

    parts = [f"# {title}"]
    for section in sections:
        parts += [f"## {section.title}", *map(show, section.blocks)]
    return "\n\n".join(parts) + "\n"


def as_latex(title: str, sections: Sequence[Section]) -> str:
    """The tables, for a document to input."""
    head = [f"% {title}", r"% \usepackage{booktabs, graphicx, longtable}"]
    return "\n\n".join(["\n".join(head), *(table.latex() for section in sections for table in section.tables())]) + "\n"


def as_html(title: str, sections: Sequence[Section]) -> str:
    """The report on one page: style and pictures inside, nothing fetched, no script."""

    def show(block: Block) -> str:
        return f"<p>{html.escape(block)}</p>" if isinstance(block, str) else block.html()

    links = "".join(
        f'<a href="#section-{number}">{html.escape(section.title)}</a>' for number, section in enumerate(sections)
    )
    parts = [
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{html.escape(title)}</title>\n<style>{STYLE}</style></head>\n<body>",
        f"<h1>{html.escape(title)}</h1>\n<nav>{links}</nav>",
    ]
    for number, section in enumerate(sections):
        parts.append(f'<section id="section-{number}"><h2>{html.escape(section.title)}</h2>')
        parts += [*map(show, section.blocks), "</section>"]
    return "\n".join([*parts, "</body></html>"]) + "\n"
