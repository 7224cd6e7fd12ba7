"""What a report shows: numbers, tables, pictures, pages."""

import json
import re
import shutil
from html.parser import HTMLParser

import matplotlib.image
import numpy as np
import pandas as pd
import pytest
from grids import FLAT, FOUR, read, write_cell, write_flat, write_grid
from matplotlib.figure import Figure

from lit_react.core.errors import UserError
from lit_react.experiments.cells import load_grid
from lit_react.experiments.figures import spread_out
from lit_react.experiments.pages import Picture, Section, as_html
from lit_react.experiments.report import make_sections, report
from lit_react.experiments.tables import Entry, Table, as_latex, interval, number, probability

# ---- entries


def test_numbers_as_they_are_shown():
    assert number(-1.26) == Entry("−1.3")
    assert number(-0.04, signed=True) == Entry("0.0")
    assert number(0.5, signed=True, spread=0.25, digits=2) == Entry("+0.50", "± 0.25")
    assert number(float("nan")) == Entry("–")
    assert interval((-0.5, 1)) == Entry("−0.50 … +1.00")
    assert interval((np.nan, np.nan)) == Entry("–")
    assert [probability(p).text for p in (0.0002, 0.0123, 0.5, np.nan)] == ["< 0.001", "0.012", "0.50", "–"]


NAMES = pd.Index(["a_b & c", "<b>"], name="name")
AWKWARD = Table("t", "50 % of a_b", pd.DataFrame({"x|y": [Entry("1.0", "± 0.1", bold=True), "2"]}, index=NAMES))


def test_latex_reads_nothing_but_text():
    assert as_latex(r"a_b & 5 % {#1} $x$ \y ~ ^") == (
        r"a\_b \& 5 \% \{\#1\} \$x\$ \textbackslash{}y \textasciitilde{} \textasciicircum{}"
    )
    lines = AWKWARD.latex().splitlines()
    assert r"a\_b \& c & \textbf{1.0}\,{\scriptsize \ensuremath{\pm} 0.1} \\" in lines
    assert r"\ensuremath{<}b\ensuremath{>} & 2 \\" in lines
    assert AWKWARD.latex().isascii()


def test_long_latex_tables_run_over_pages():
    long = Table("t", "long", pd.DataFrame({"b": ["1"] * 60}, index=pd.Index(["x"] * 60, name="a")))
    assert r"\begin{longtable}{@{}lr@{}}" in long.latex()
    assert "table}[t]" not in long.latex()


def test_markdown_keeps_its_columns():
    lines = [line for line in AWKWARD.markdown().splitlines() if line.startswith("|")]
    assert lines[0] == r"| name | x\|y |"
    assert lines[2] == "| a_b & c | **1.0 ± 0.1** |"


def test_html_is_escaped():
    assert "<th>&lt;b&gt;</th><td>2</td>" in AWKWARD.html()


def test_labels_at_the_ends_of_curves_keep_apart():
    values = np.array([1.0, 0.0, 0.05, 0.04])
    placed = spread_out(values, 0.2)
    assert np.diff(np.sort(placed)).min() >= 0.2 - 1e-12
    assert np.argsort(placed).tolist() == np.argsort(values).tolist()
    assert placed.mean() == pytest.approx(values.mean())


# ---- the whole


class Page(HTMLParser):
    """Tags that are open, and every address."""

    def __init__(self):
        super().__init__()
        self.open, self.addresses, self.tags = [], [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.addresses += [value for name, value in attributes if name in ("src", "href")]
        if tag not in ("meta", "img", "br", "link"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def check_page(text):
    page = Page()
    page.feed(text)
    assert page.open == []
    assert all(address.startswith(("data:image/", "#")) for address in page.addresses)
    assert "http" not in re.sub(r"base64,[A-Za-z0-9+/=]+", "", text)
    assert not {"script", "link", "iframe"} & set(page.tags)
    return page


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = write_grid(tmp_path_factory.mktemp("grid"), FOUR, sets=3, seeds=3)
    shutil.rmtree(folder / "set_02" / "badge" / "seed_02")
    report(folder)
    return folder / "report"


def test_all_files_are_written_and_named(written):
    names = {path.name for path in written.iterdir()}
    pictures = {"curves", "curves_macro_f1", "gains", "aulc", "focus", "pairs"}
    pages = {"report.md", "report.tex", "report.html"}
    assert names == pages | {f"{name}.{kind}" for name in pictures for kind in ("png", "svg")}
    text = (written / "report.md").read_text()
    assert set(re.findall(r"\]\((\w+)\.png\)", text)) == pictures
    assert "Missing runs: 1 (begun: 0): set_02/badge/seed_02" in text
    assert "8 of 9 pairs" in text
    for name in pictures:
        assert min(matplotlib.image.imread(written / f"{name}.png").shape[:2]) > 250


def test_the_page_needs_nothing_from_outside(written):
    page = check_page((written / "report.html").read_text())
    assert page.tags.count("img") == 6
    assert page.tags.count("table") >= 9


def test_latex_environments_are_closed(written):
    text = (written / "report.tex").read_text()
    for name in ("table", "tabular"):
        assert text.count(rf"\begin{{{name}}}") == text.count(rf"\end{{{name}}}") >= 8
    assert not re.search(r"(?<!\\)_", text)
    assert text.isascii()


def test_a_second_report_is_the_same_and_the_terminal_shows_the_summary_and_the_files(written, capsys):
    before = {path.name: path.read_bytes() for path in written.iterdir()}
    report(written.parent)
    assert {path.name: path.read_bytes() for path in written.iterdir()} == before, "the report is no data set"
    out = capsys.readouterr().out
    assert "worst" in out
    assert str(written / "report.html") in out
    assert str(written / "curves.png") in out


@pytest.mark.parametrize(
    ("means", "sets", "seeds"),
    [
        (FLAT, ("a",), 1),
        ({"policy": 0.5, "random": 0.5}, ("a", "b"), 1),
        ({"policy": 0.5, "facility_location": 0.5}, ("a", "b"), 2),
        ({"policy": 0.5}, ("a",), 2),
    ],
    ids=["one run each", "ties", "no fixed rule", "one strategy"],
)
@pytest.mark.filterwarnings("error")
def test_small_grids_leave_out_what_needs_more(tmp_path, means, sets, seeds):
    write_flat(tmp_path, means, sets=sets, seeds=seeds)
    grid, comparison = load_grid(tmp_path), read(tmp_path)
    sections = make_sections(grid, comparison)
    check_page(as_html("small", sections))
    text = " ".join(block for section in sections for block in section.blocks if isinstance(block, str))
    tables = {table.name for section in sections for table in section.tables()}
    assert ("One data set: no clustered interval" in text) == (len(sets) == 1 and len(means) > 1)
    assert ("pairs" in tables) == (len(means) > 1)
    assert ("penalty" in tables) == (seeds > 1 and len(means) > 1)
    assert "Fixed rules" in text or "no regret" in text
    json.dumps([table.markdown() for section in sections for table in section.tables()])


def test_a_grid_without_macro_f1_and_calibration(tmp_path):
    for name in ("policy", "random"):
        write_cell(tmp_path / "a" / name / "seed_00", (100, 200), (0.4, 0.5), metrics=("accuracy",))
    sections = make_sections(load_grid(tmp_path), read(tmp_path))
    assert "No run has test/ece." in sections[-2].blocks
    assert "curves_macro_f1" not in {picture.name for section in sections for picture in section.pictures()}


def test_pictures_of_the_same_numbers_are_the_same_bytes():
    def draw():
        figure = Figure()
        figure.subplots().plot([1, 2])
        return Picture("p", "a caption", figure)

    assert draw().svg == draw().svg
    assert Section("title", ["text", draw()]).tables() == []


def test_names_that_look_like_formulas_are_names(tmp_path):
    report(write_flat(tmp_path, FLAT, sets=("a$x^$b", "a_$")), reference="badge")
    assert "a$x^$b" in (tmp_path / "report" / "report.md").read_text()


@pytest.mark.parametrize("content", ["{}", "[]", '{"rounds": []}', "no JSON"])
def test_a_result_file_that_is_none_is_named(content, tmp_path):
    write_flat(tmp_path, FLAT)
    path = tmp_path / "a" / "policy" / "seed_00" / "result.json"
    path.write_text(content)
    with pytest.raises(UserError, match=rf"{path}: not a result file"):
        report(tmp_path)
