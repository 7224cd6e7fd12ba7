"""Tables of a comparison for Markdown, LaTeX, HTML and the terminal."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd
import rich.table
from rich import box
from rich.text import Text

from lit_react.core.terminal import plain

ROWS_OF_A_PAGE = 40

TAG = re.compile(r"<(?=[A-Za-z/!?])")
"""How a tag begins in Markdown."""

LATEX = {
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\ensuremath{<}",
    ">": r"\ensuremath{>}",
    "|": r"\textbar{}",
    "±": r"\ensuremath{\pm}",
    "−": r"\ensuremath{-}",
    "≤": r"\ensuremath{\le}",
    "≥": r"\ensuremath{\ge}",
    "×": r"\ensuremath{\times}",
    "→": r"\ensuremath{\rightarrow}",
    "–": "--",
    "…": r"\dots{}",
    "“": "``",
    "”": "''",
}


@dataclass(frozen=True)
class Entry:
    """What stands in one place of a table."""

    text: str  # a number as it is shown, or a name
    spread: str = ""  # shown smaller after it, `± 1.2` or an interval
    bold: bool = False  # the best of its column


def number(value: float, *, digits: int = 1, spread: float = math.nan, signed: bool = False) -> Entry:
    """A number, a dash where there is none; with a real minus sign, and without a negative zero."""
    if not math.isfinite(value):
        return Entry("–")
    rounded = round(value, digits) + 0.0
    text = f"{rounded:{'+' if signed and rounded else ''}.{digits}f}".replace("-", "−")
    return Entry(text, "" if math.isnan(spread) else f"± {spread:.{digits}f}")


def probability(value: float) -> Entry:
    """A p-value with two digits that tell something."""
    if not math.isfinite(value):
        return Entry("–")
    return Entry("< 0.001" if value < 0.001 else f"{value:.3f}" if value < 0.1 else f"{value:.2f}")


def interval(ends: tuple[float, float], digits: int = 2) -> Entry:
    """`lower … upper`, a dash where there is none."""
    low, high = (number(end, digits=digits, signed=True).text for end in ends)
    return Entry("–" if low == "–" else f"{low} … {high}")


def as_latex(text: str) -> str:
    """Plain text with everything that LaTeX would read otherwise escaped."""
    return "".join(LATEX.get(character, character) for character in text)


def as_markdown(text: str) -> str:
    """Plain text on one line for a cell, without columns, tags, links and code of its own."""
    return TAG.sub("&lt;", " ".join(re.sub(r"([\\|\[`*])", r"\\\1", text).split()))


def entry(value: Entry | str | float) -> Entry:
    """What stands for a value: text as it is, numbers as `number` shows them."""
    return value if isinstance(value, Entry) else Entry(value) if isinstance(value, str) else number(value)


def bold_best(
    values: pd.Series, show: Callable[[float], Entry] = number, *, lowest: bool = False, spread: pd.Series | None = None
) -> pd.Series:
    """An entry per value of a column, its spread behind it; bold where it looks like the best of two or more."""
    known, entries = values.dropna(), {name: show(value) for name, value in values.items()}
    best = entries[known.idxmin() if lowest else known.idxmax()].text if len(known) > 1 else None
    behind = {name: "" if spread is None else number(values[name], spread=spread[name]).spread for name in entries}
    found = {name: Entry(shown.text, behind[name], shown.text == best) for name, shown in entries.items()}
    return pd.Series(found, dtype=object)


@dataclass(frozen=True)
class Table:
    """A table of a report."""

    name: str  # of the LaTeX label and the HTML anchor
    caption: str  # what it shows, in one sentence
    # what stands in it, see `entry`; NaN is a dash. The index is the first column, headed by its name
    frame: pd.DataFrame
    note: str = ""  # how the numbers came about
    focus: str = ""  # text of the first column of the row that stands out

    @property
    def header(self) -> list[str]:
        """Of each column."""
        return [str(self.frame.index.name), *map(str, self.frame.columns)]

    def entries(self) -> list[list[Entry]]:
        """All rows."""
        return [[entry(value) for value in row] for row in self.frame.itertuples(name=None)]

    def markdown(self) -> str:
        """A table of GitHub's Markdown under its caption."""

        def cell(entry: Entry) -> str:
            text = as_markdown(f"{entry.text} {entry.spread}".strip())
            return f"**{text}**" if entry.bold else text

        lines = [[as_markdown(name) for name in self.header], ["---", *["---:"] * (len(self.header) - 1)]]
        lines += [[cell(entry) for entry in row] for row in self.entries()]
        table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
        return "\n\n".join(part for part in (f"**{self.caption}**", table, self.note) if part)

    def latex(self) -> str:
        """A booktabs table: shrunk to the width of the text (graphicx), or over several pages (longtable)."""

        def cell(entry: Entry) -> str:
            text = rf"\textbf{{{as_latex(entry.text)}}}" if entry.bold else as_latex(entry.text)
            return text + (rf"\,{{\scriptsize {as_latex(entry.spread)}}}" if entry.spread else "")

        caption = rf"\caption{{{as_latex(self.caption)}.}}\label{{tab:{self.name}}}"
        note = [rf"\par\smallskip\parbox{{\textwidth}}{{\footnotesize {as_latex(self.note)}}}"] if self.note else []
        columns = f"{{@{{}}l{'r' * (len(self.header) - 1)}@{{}}}}"
        head = [r"\toprule", " & ".join(as_latex(name) for name in self.header) + r" \\", r"\midrule"]
        body = [" & ".join(cell(entry) for entry in row) + r" \\" for row in self.entries()]
        if len(body) > ROWS_OF_A_PAGE:
            lines = [r"{\small", rf"\begin{{longtable}}{columns}", caption + r" \\", *head, r"\endhead", r"\bottomrule"]
            return "\n".join([*lines, r"\endfoot", *body, r"\end{longtable}}", *note])
        lines = [r"\begin{table}[t]", r"\centering", caption, r"\sbox0{\small\setlength{\tabcolsep}{4pt}%"]
        lines += [rf"\begin{{tabular}}{columns}", *head, *body, r"\bottomrule", r"\end{tabular}}%"]
        fit = r"\ifdim\wd0>\textwidth\resizebox{\textwidth}{!}{\usebox0}\else\usebox0\fi"
        return "\n".join([*lines, fit, *note, r"\end{table}"])

    def html(self) -> str:
        """A `figure` with the table, which scrolls sideways where the page is narrow."""

        def cell(entry: Entry, tag: str) -> str:
            opening = f'<{tag} class="best">' if entry.bold else f"<{tag}>"
            spread = f" <small>{html.escape(entry.spread)}</small>" if entry.spread else ""
            return f"{opening}{html.escape(entry.text)}{spread}</{tag}>"

        head = "".join(f"<th>{html.escape(name)}</th>" for name in self.header)
        lines = [f'<figure id="{html.escape(self.name)}"><figcaption>{html.escape(self.caption)}</figcaption>']
        lines += [f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>']
        for first, *others in self.entries():
            opening = '<tr class="focus">' if first.text == self.focus else "<tr>"
            lines.append(f"{opening}{cell(first, 'th')}{''.join(cell(entry, 'td') for entry in others)}</tr>")
        lines.append("</tbody></table></div>")
        if self.note:
            lines.append(f'<p class="note">{html.escape(self.note)}</p>')
        return "\n".join([*lines, "</figure>"])

    def terminal(self) -> rich.table.Table:
        """The table for the terminal, without its note."""
        table = rich.table.Table(
            title=Text(plain(self.caption)), title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False
        )
        for column, name in enumerate(self.header):
            table.add_column(Text(plain(name)), justify="right" if column else "left", no_wrap=column == 0)
        for row in self.entries():
            texts = [Text(plain(f"{entry.text} {entry.spread}".strip()), "bold" if entry.bold else "") for entry in row]
            table.add_row(*texts, style="cyan" if row[0].text == self.focus else None)
        return table
